//! Any bytes as a file in GGUF: no panic, and what is accepted lies within the file, as candle reads it.
#![no_main]

#[path = "../src/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    checks::foreign(weighbridge::contract::request::Format::Gguf, file);
});
