//! Tests APR headers made by hand: what is read from a sound one, and which faults are refused, with
//! what was expected and found.

mod documents;

use std::io::Write;

use serde_json::{Value, json};

use crate::contract::request::Format;
use crate::contract::{Code, DType};
use crate::loader::error::tests::check;
use crate::loader::error::{LoadError, Result};
use crate::loader::format::blocks::Packing;
use crate::loader::format::{ImportedModel, import};
use crate::loader::read::file::OpenFile;

/// An entry of the index: name, type, sides, first byte, bytes.
type Listed<'n> = (&'n [u8], u8, &'n [u64], u64, u64);

/// A matrix and a vector, as a sound file lists them.
const SOUND: [Listed<'_>; 2] = [(b"a.weight", 0, &[2, 3], 0, 24), (b"b.weight", 30, &[4], 64, 8)];

fn padded(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(64), 0);
}

/// Makes the header's own checksum right again.
fn summed(bytes: &mut [u8]) {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&bytes[..40]);
    sum.update(&bytes[44..64]);
    bytes[40..44].copy_from_slice(&sum.finalize().to_le_bytes());
}

/// A file with this metadata and these entries, and as many bytes of data as the last one needs.
fn file(metadata: &[u8], entries: &[Listed<'_>]) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes.extend_from_slice(metadata);
    padded(&mut bytes);
    let index = bytes.len() as u64;
    for (name, kind, shape, begin, size) in entries {
        bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&[*kind, shape.len() as u8]);
        for number in shape.iter().chain([begin, size]) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    padded(&mut bytes);
    let data = bytes.len() as u64;
    bytes[..5].copy_from_slice(b"APR\0\x02");
    bytes[8..12].copy_from_slice(&(entries.len() as u32).to_le_bytes());
    bytes[12..20].copy_from_slice(&64u64.to_le_bytes());
    bytes[20..24].copy_from_slice(&(metadata.len() as u32).to_le_bytes());
    bytes[24..32].copy_from_slice(&index.to_le_bytes());
    bytes[32..40].copy_from_slice(&data.to_le_bytes());
    summed(&mut bytes);
    let held = entries.iter().map(|(.., begin, size)| begin.saturating_add(*size)).max();
    bytes.resize(bytes.len() + held.unwrap_or(0).min(4096) as usize, 0);
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

fn read(bytes: &[u8]) -> Result<ImportedModel> {
    let mut on_disk = tempfile::NamedTempFile::new().expect("a file");
    on_disk.write_all(bytes).expect("written");
    let first = OpenFile::open(on_disk.path()).expect("opens");
    let (_, model) =
        import::read(Format::Apr, first, &|path| panic!("{} asked for", path.display()))?;
    Ok(model)
}

fn refused(bytes: &[u8], of: &str) -> LoadError {
    read(bytes).err().unwrap_or_else(|| panic!("{of} is read"))
}

/// Metadata of a small model with these further fields.
fn metadata(further: &Value) -> Vec<u8> {
    let mut all = json!({"hf_model_type": "qwen2", "hidden_size": 8});
    let fields = all.as_object_mut().expect("an object");
    fields.extend(further.as_object().expect("an object").clone());
    all.to_string().into_bytes()
}

#[test]
fn tensors_and_their_places_are_those_of_the_index() {
    let packed: [Listed<'_>; 2] =
        [(b"k.weight", 12, &[2, 256], 0, 288), (b"q.weight", 14, &[256], 320, 210)];
    for (entries, wanted) in [
        (SOUND, [("a.weight", DType::F32, None, 0..24), ("b.weight", DType::BF16, None, 64..72)]),
        (
            packed,
            [
                ("k.weight", DType::F32, Some(Packing::Q4K), 0..288),
                ("q.weight", DType::F32, Some(Packing::Q6K), 320..530),
            ],
        ),
    ] {
        let bytes = file(&metadata(&json!({})), &entries);
        let model = read(&bytes).expect("a sound file");
        let found = model.tensors.iter().map(|one| {
            let place = one.info.begin..one.info.end;
            (one.info.name.as_str(), one.info.dtype, one.import.packing, place)
        });
        assert_eq!(found.collect::<Vec<_>>(), wanted);
        assert_eq!(model.tensors[0].info.shape, entries[0].2);
        let data = &model.files[0].data;
        assert_eq!((data.end, data.start % 64), (bytes.len() as u64, 0));
    }
    let half = [(&b"h"[..], 1, &[2u64][..], 0, 4)];
    let model = read(&file(&metadata(&json!({})), &half)).expect("a sound file");
    assert_eq!(model.tensors[0].info.dtype, DType::F16);
}

#[test]
fn a_header_that_contradicts_the_format_is_refused() {
    type Change = fn(&mut Vec<u8>);
    let cases: &[(&str, Change, Code, &str, &str)] = &[
        (
            "another format",
            |bytes| bytes[..4].copy_from_slice(b"APX\0"),
            Code::ForeignFormat,
            "a file in APR",
            r#"a file that begins "APX\x00\x02\x00\x00\x00""#,
        ),
        (
            "a zip archive",
            |bytes| bytes[..4].copy_from_slice(b"PK\x03\x04"),
            Code::Pickle,
            "a file in APR",
            "a zip archive, as PyTorch checkpoints are",
        ),
        ("two bytes", |bytes| bytes.truncate(2), Code::TooShort, "at least 68 bytes", "2 bytes"),
        ("no sum", |bytes| bytes.truncate(66), Code::TooShort, "at least 68 bytes", "66 bytes"),
        ("another version", |bytes| bytes[4] = 3, Code::InvalidHeader, "version 2", "3"),
        (
            "a flag of a later version",
            |bytes| bytes[7] = 0x10,
            Code::InvalidField,
            "flags within 0x0fff",
            "0x1000",
        ),
        (
            "long metadata",
            |bytes| bytes[20..24].copy_from_slice(&((16u32 << 20) + 1).to_le_bytes()),
            Code::HeaderTooLarge,
            "at most 16777216 bytes",
            "16777217",
        ),
        (
            "more tensors than fit",
            |bytes| bytes[8..12].copy_from_slice(&1000u32.to_le_bytes()),
            Code::HeaderTruncated,
            "at most 13 tensors",
            "1000",
        ),
        (
            "more tensors than are read",
            |bytes| {
                bytes.resize(64 + 20 * (1 << 17) + 20, 0);
                bytes[8..12].copy_from_slice(&((1u32 << 17) + 1).to_le_bytes());
            },
            Code::HeaderTooLarge,
            "at most 131072 tensors",
            "131073",
        ),
        ("metadata elsewhere", |bytes| bytes[12] = 65, Code::InvalidLayout, "byte 64", "65"),
        ("an index elsewhere", |bytes| bytes[24] = 64, Code::InvalidLayout, "byte 128", "64"),
        ("data elsewhere", |bytes| bytes[32] = 128, Code::InvalidLayout, "byte 256", "384"),
        (
            "no room for the last sum",
            |bytes| bytes.truncate(258),
            Code::Truncated,
            "4 bytes at least",
            "2",
        ),
        (
            "data that is cut",
            |bytes| bytes.truncate(300),
            Code::Truncated,
            "72 bytes of data",
            "40 bytes",
        ),
    ];
    for (of, change, code, expected, actual) in cases {
        let mut bytes = file(&metadata(&json!({})), &SOUND);
        change(&mut bytes);
        if bytes.len() >= 64 {
            summed(&mut bytes);
        }
        check(&refused(&bytes, of), (*code, expected, actual), of);
    }
    let mut bytes = file(&metadata(&json!({})), &SOUND);
    let told = u32::from_le_bytes([bytes[40], bytes[41], bytes[42], bytes[43]]);
    bytes[63] ^= 1;
    let mut right = bytes.clone();
    summed(&mut right);
    let found = u32::from_le_bytes([right[40], right[41], right[42], right[43]]);
    let wanted = (Code::InvalidHeader, &*format!("{told:08x}"), &*format!("{found:08x}"));
    check(&refused(&bytes, "a changed byte"), wanted, "a changed byte");
}

#[test]
fn features_that_are_not_served_are_refused_by_name() {
    for (flags, what) in [
        (1u16, "compression"),
        (1 << 1, "compression"),
        (1 << 2, "encryption"),
        (1 << 3, "a signature"),
        (1 << 4, "a model in several files"),
        (1 << 11, "column-major order"),
    ] {
        let mut bytes = file(&metadata(&json!({})), &SOUND);
        bytes[6..8].copy_from_slice(&flags.to_le_bytes());
        summed(&mut bytes);
        let error = refused(&bytes, what);
        let found = format!("flags {flags:#06x}");
        check(&error, (Code::InvalidHeader, "a file without it", &found), what);
        assert!(error.failure().message.starts_with(what), "{error}");
        let remedy = error.failure().remedy.clone().expect("a remedy");
        assert_eq!(remedy, format!("Convert the model without {what}."));
    }
    let mut bytes = file(&metadata(&json!({})), &SOUND);
    bytes[6] = 1 << 5;
    summed(&mut bytes);
    assert!(read(&bytes).is_ok(), "a flag that changes nothing");
}

#[test]
fn entries_that_contradict_themselves_or_each_other_are_refused() {
    let long = [b'n'; 257];
    let types = "F32, F16, BF16, Q4_K or Q6_K";
    let one: [(&str, Listed<'_>, Code, &str, &str); 9] = [
        ("a long name", (&long, 0, &[1], 0, 4), Code::InvalidField, "at most 256 bytes", "257"),
        ("many sides", (b"n", 0, &[1; 9], 0, 4), Code::InvalidField, "at most 8", "9"),
        ("type 3", (b"n", 3, &[1], 0, 4), Code::UnsupportedDtype, types, "type 3"),
        ("type 129", (b"n", 129, &[1], 0, 4), Code::UnsupportedDtype, types, "type 129"),
        ("type 2", (b"n", 2, &[1], 0, 4), Code::UnknownDtype, types, "type 2"),
        (
            "an end beyond 64 bits",
            (b"n", 0, &[1], u64::MAX, 4),
            Code::SizeOverflow,
            "a place below 2^64",
            "18446744073709551615",
        ),
        ("another size", (b"n", 1, &[3], 0, 8), Code::SizeMismatch, "6 bytes", "8 bytes"),
        (
            "a row that is no whole number of blocks",
            (b"n", 12, &[2, 128], 0, 144),
            Code::InvalidLayout,
            "rows of a multiple of 256 elements",
            "128",
        ),
        (
            "a shape beyond 64 bits",
            (b"n", 0, &[1 << 40, 1 << 40], 0, 4),
            Code::SizeOverflow,
            "a size below 2^64",
            "shape [1099511627776, 1099511627776]",
        ),
    ];
    for (of, entry, code, expected, actual) in one {
        let error = refused(&file(&metadata(&json!({})), &[entry]), of);
        check(&error, (code, expected, actual), of);
        let named = code != Code::InvalidField || of != "a long name";
        assert_eq!(error.failure().tensor.as_deref(), named.then_some("n"), "{of}");
    }
    let error = refused(&file(&metadata(&json!({})), &[(b"\xff", 0, &[1], 0, 4)]), "no UTF-8");
    assert_eq!(error.code(), Code::HeaderNotUtf8);

    let two = |first: &'static [u8], second: &'static [u8], begin| {
        let entries: [Listed<'_>; 2] = [(first, 0, &[1], 0, 4), (second, 0, &[1], begin, 4)];
        refused(&file(&metadata(&json!({})), &entries), "two")
    };
    let wanted = (Code::DuplicateKey, "a name after \"a\"", "\"a\"");
    check(&two(b"a", b"a", 64), wanted, "a name twice");
    let wanted = (Code::InvalidLayout, "a name after \"b\"", "\"a\"");
    check(&two(b"b", b"a", 64), wanted, "names that descend");
    let wanted = (Code::Overlap, "a tensor that begins at byte 64", "4");
    check(&two(b"a", b"b", 4), wanted, "a place that is not aligned");
    let wanted = (Code::Gap, "a tensor that begins at byte 64", "128");
    check(&two(b"a", b"b", 128), wanted, "bytes between");
    let mut bytes = file(&metadata(&json!({})), &SOUND);
    bytes.extend_from_slice(&[0; 60]);
    let wanted = (Code::TrailingBytes, "at most 128 bytes of data", "132 bytes");
    check(&refused(&bytes, "bytes behind"), wanted, "bytes behind");
}
