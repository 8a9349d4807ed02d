//! Any bytes as a seal: no panic, and what is accepted agrees with itself.
#![no_main]

#[path = "../src/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    checks::seal(text);
});
