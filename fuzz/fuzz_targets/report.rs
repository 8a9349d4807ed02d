//! Any bytes as a report, a record or a journal: no panic, and every form can be made of it.
#![no_main]

#[path = "../src/judge_checks.rs"]
mod judge_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    judge_checks::report(bytes);
});
