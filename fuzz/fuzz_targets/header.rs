//! Any bytes as a safetensors file: no panic, and whatever is accepted the reference reader accepts.
#![no_main]

#[path = "../src/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    checks::header(file);
});
