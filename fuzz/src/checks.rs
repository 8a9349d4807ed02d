//! What must hold of any bytes: shared by the fuzz targets and by `tests/fuzz.rs`, which `cargo test`
//! runs.

#![allow(dead_code)] // each fuzz target runs one of them

use std::io::{Cursor, Write};

use apr_format::v2::{AprV2Header, HEADER_SIZE_V2};
use candle_core::quantized::gguf_file;
use weighbridge::contract::request::Format;
use weighbridge::loader::format;
use weighbridge::loader::format::safetensors;
use weighbridge::loader::format::safetensors::PREFIX;
use weighbridge::loader::format::{ImportedFile, ImportedModel};
use weighbridge::loader::read::file::OpenFile;
use weighbridge::loader::seal::Seal;

/// Any bytes as a safetensors file: no panic, and what is accepted here the format's reference
/// implementation accepts too and reads alike. Returns whether it was accepted.
pub fn header(file: &[u8]) -> bool {
    let Ok(length) = safetensors::text_length(file, file.len() as u64) else { return false };
    let (text, data) = file[PREFIX as usize..].split_at(length as usize);
    let Ok(header) = safetensors::parse(text) else { return false };
    if safetensors::layout::check(&header, data.len() as u64).is_err() {
        return false;
    }
    let theirs = ::safetensors::SafeTensors::deserialize(file)
        .unwrap_or_else(|error| panic!("accepted here, refused there: {error}"));
    assert_eq!(theirs.len(), header.tensors.len());
    for ours in &header.tensors {
        let their = theirs.tensor(&ours.name).unwrap_or_else(|error| panic!("{error}"));
        let shape: Vec<u64> = their.shape().iter().map(|side| *side as u64).collect();
        assert_eq!(shape, ours.shape, "{:?}", ours.name);
        let bytes = &data[ours.begin as usize..ours.end as usize];
        assert_eq!(their.data(), bytes, "{:?}", ours.name);
    }
    true
}

/// Any bytes as a seal: no panic, and what is accepted agrees with itself. Returns whether it was
/// accepted.
pub fn seal(text: &[u8]) -> bool {
    let Ok(seal) = Seal::parse(text) else { return false };
    assert!(seal.chunk_bytes.is_power_of_two());
    // Read again by a parser that knows nothing of seals, it says the same. That one also refuses
    // half a surrogate pair, or a number beyond its own, in members that a seal does not have.
    assert!(std::str::from_utf8(text).is_ok());
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(text) else { return true };
    let pieces = &value["predicate"]["weighbridge"];
    assert_eq!(pieces["chunk_bytes"], seal.chunk_bytes);
    for file in pieces["files"].as_array().into_iter().flatten() {
        let (bytes, name) = (file["bytes"].as_u64(), file["name"].as_str());
        let (bytes, name) = (bytes.expect("a size"), name.expect("a name"));
        let found = seal.file(name.as_ref(), bytes).expect("a sealed file is found by its name");
        let data = bytes - found.header_bytes;
        assert_eq!(found.chunks.len() as u64, data.div_ceil(seal.chunk_bytes));
        assert!(seal.file(name.as_ref(), bytes.wrapping_add(1)).is_err());
    }
    true
}

/// Any bytes as a file of another format: no panic, a refusal says what was expected, and of what is
/// accepted all tensors lie side by side within the file. Of GGUF candle reads as many, of the same
/// shapes. Returns whether it was accepted.
pub fn foreign(format: Format, bytes: &[u8]) -> bool {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    let source = OpenFile::open(file.path()).expect("opened");
    let read = match format::read(format, source, &OpenFile::open) {
        Ok((_, read)) => read,
        Err(error) => {
            let failure = error.failure();
            assert!(failure.expected.is_some() && failure.remedy.is_some(), "{failure:?}");
            return false;
        }
    };
    let [ImportedFile { data, .. }] = read.files.as_slice() else { panic!("several files") };
    assert!(data.start <= data.end && data.end <= bytes.len() as u64);
    let data = data.end - data.start;
    let mut places: Vec<_> =
        read.tensors.iter().map(|one| (one.info.begin, one.info.end)).collect();
    places.sort_unstable();
    assert!(places.iter().all(|(begin, end)| begin <= end && *end <= data), "{places:?}");
    assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{places:?}");
    if format == Format::Gguf {
        like_candle(&read, bytes);
    }
    true
}

/// Any bytes as a file in APR, as they are and with the sum of the header made right.
pub fn apr(file: &[u8]) -> bool {
    let mut mended = file.to_vec();
    if let Ok(mut header) = AprV2Header::from_bytes(&mended) {
        header.update_checksum();
        mended[..HEADER_SIZE_V2].copy_from_slice(&header.to_bytes());
        foreign(Format::Apr, &mended);
    }
    foreign(Format::Apr, file)
}

fn like_candle(read: &ImportedModel, bytes: &[u8]) {
    let theirs = gguf_file::Content::read(&mut Cursor::new(bytes))
        .unwrap_or_else(|error| panic!("accepted here, refused there: {error}"));
    let mut own: Vec<Vec<u64>> = read.tensors.iter().map(|one| one.info.shape.clone()).collect();
    let sides = |one: &gguf_file::TensorInfo| one.shape.dims().iter().map(|n| *n as u64).collect();
    let mut their: Vec<Vec<u64>> = theirs.tensor_infos.values().map(sides).collect();
    own.sort_unstable();
    their.sort_unstable();
    assert_eq!(own, their);
}
