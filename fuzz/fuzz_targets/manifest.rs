//! Any bytes as a loader's manifest: no panic, and a refusal names the file.
#![no_main]

#[path = "../src/judge_checks.rs"]
mod judge_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    judge_checks::manifest(bytes);
});
