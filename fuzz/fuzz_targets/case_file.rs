//! Any bytes as a case file: no panic, and a refusal says where and why.
#![no_main]

#[path = "../src/judge_checks.rs"]
mod judge_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    judge_checks::case_file(bytes);
});
