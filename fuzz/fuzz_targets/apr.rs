//! Any bytes as a file in APR: no panic, and what is accepted lies within the file.
#![no_main]

#[path = "../src/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    checks::apr(file);
});
