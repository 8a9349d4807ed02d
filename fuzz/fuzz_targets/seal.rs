//! Any bytes as a seal: no panic, and what is accepted agrees with itself.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok(seal) = weighbridge::loader::seal::Seal::parse(text) {
        assert!(seal.chunk_bytes.is_power_of_two());
    }
});
