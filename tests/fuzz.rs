//! What fuzzers do for hours, for a moment: the checks of `fuzz/` over changed headers, seals and files of other formats.

#[path = "../fuzz/src/checks.rs"]
mod checks;

use apr_format::v2::{AprV2Metadata, AprV2Writer};
use proptest::prelude::*;
use weighbridge::contract::request::Format;
use weighbridge::loader::progress::Progress;
use weighbridge::loader::seal::make;

/// Headers to begin with, each over so many bytes of data: the legal oddities among them.
const HEADERS: [(&str, usize); 9] = [
    ("{}", 0),
    (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  "#, 8),
    (r#"{"__metadata__":{"k":"v"},"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}"#, 2),
    (
        r#"{"b":{"dtype":"U8","shape":[1,3],"data_offsets":[2,5]},"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}"#,
        5,
    ),
    (
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"e":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#,
        8,
    ),
    (
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"e":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}}"#,
        8,
    ),
    (
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"e":{"dtype":"F32","shape":[0],"data_offsets":[3,3]}}"#,
        8,
    ),
    (r#"{"e":{"dtype":"F32","shape":[9223372036854775807,4,0],"data_offsets":[0,0]}}"#, 0),
    (
        r#"{"\u0061\n":{"data_offsets":[0,8],"shape":[1],"dtype":"I64"},"f":{"dtype":"F4","shape":[4],"data_offsets":[8,10]}}"#,
        10,
    ),
];

fn file(text: &[u8], data: usize) -> Vec<u8> {
    let mut file = (text.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(text);
    file.extend((0..data).map(|at| at as u8));
    file
}

/// A sound seal of a small file.
fn seal() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    let text = r#"{"a":{"dtype":"U8","shape":[9000],"data_offsets":[0,9000]}}"#;
    std::fs::write(&path, file(text.as_bytes(), 9000)).expect("written");
    make(&path, 4096, std::path::Path::new(""), &Progress::default()).expect("sealed").text
}

/// A small model in APR, by its own library.
fn apr() -> Vec<u8> {
    let mut metadata = AprV2Metadata::new("qwen2");
    metadata.hidden_size = Some(8);
    let mut writer = AprV2Writer::new(metadata);
    writer.add_f32_tensor("model.norm.weight", vec![8], &[1.0; 8]);
    writer.add_f32_tensor("model.embed_tokens.weight", vec![4, 8], &[0.5; 32]);
    writer.write().expect("written")
}

/// Changes some bytes: another value, one left out, one twice, or a piece of another place.
fn change(bytes: &mut Vec<u8>, changes: &[(prop::sample::Index, u8, u8)]) {
    for (at, kind, byte) in changes {
        if bytes.is_empty() {
            return;
        }
        let at = at.index(bytes.len());
        match kind % 5 {
            0 => bytes[at] = *byte,
            1 => bytes[at] ^= 1 << (byte % 8),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, bytes[at]),
            _ => {
                let from = *byte as usize * bytes.len() / 256;
                let piece: Vec<u8> = bytes[from..].iter().take(12).copied().collect();
                bytes.splice(at..at, piece);
            }
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..5)
}

#[test]
fn what_changes_begin_with_is_accepted() {
    for (text, data) in HEADERS {
        assert!(checks::header(&file(text.as_bytes(), data)), "{text}");
    }
    assert!(checks::seal(&seal()));
    let gguf = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/chat/chat.gguf");
    assert!(checks::foreign(Format::Gguf, &std::fs::read(gguf).expect("the small chat model")));
    assert!(checks::apr(&apr()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn headers(which in 0..HEADERS.len(), changes in changes(), prefix in any::<bool>()) {
        let (text, data) = HEADERS[which];
        let mut bytes = text.as_bytes().to_vec();
        if prefix {
            // The length counts as well.
            bytes = file(&bytes, data);
            change(&mut bytes, &changes);
        } else {
            change(&mut bytes, &changes);
            bytes = file(&bytes, data);
        }
        checks::header(&bytes);
    }

    #[test]
    fn offsets_and_shapes(
        tensors in prop::collection::vec((0u64..3, 0u64..3, 0u64..7, 0u64..7), 0..4), data in 0usize..8,
    ) {
        let entries: Vec<String> = tensors.iter().enumerate().map(|(index, (rows, columns, begin, end))| {
            format!(r#""{index}":{{"dtype":"U8","shape":[{rows},{columns}],"data_offsets":[{begin},{end}]}}"#)
        }).collect();
        checks::header(&file(format!("{{{}}}", entries.join(",")).as_bytes(), data));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn files_in_apr(changes in changes()) {
        let mut file = apr();
        change(&mut file, &changes);
        checks::apr(&file);
    }

    #[test]
    fn seals(changes in changes()) {
        let mut text = seal();
        change(&mut text, &changes);
        checks::seal(&text);
    }
}
