//! Any bytes as lines of the contract: no panic, and what is accepted survives a round trip.
#![no_main]

#[path = "../src/judge_checks.rs"]
mod judge_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    judge_checks::wire_line(bytes);
});
