//! Any bytes as a safetensors file: no panic, and whatever is accepted the reference reader accepts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weighbridge::loader::header::{self, PREFIX};

fuzz_target!(|file: &[u8]| {
    let Ok(length) = header::text_length(file, file.len() as u64) else { return };
    let (text, data) = file[PREFIX as usize..].split_at(length as usize);
    let Ok(header) = header::parse(text) else { return };
    if header::layout::check(&header, data.len() as u64).is_ok() {
        let read = safetensors::SafeTensors::deserialize(file);
        let tensors = read.expect("what is accepted here is accepted there").len();
        assert_eq!(tensors, header.tensors.len());
    }
});
