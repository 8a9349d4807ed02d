//! JSON documents that become many times as large in memory, and headers at the border of their format.

use std::fs;

use safetensors::SafeTensors;
use weighbridge::contract::Code;
use weighbridge::loader::format::safetensors::{layout, parse};
use weighbridge::loader::infer::chat::Template;
use weighbridge::loader::open::shard_index::Index;

use crate::bounded;

/// Documents of 15 MB.
fn documents() -> [(&'static str, String); 5] {
    let many = |one: &str| format!("{{\"a\":[{}0]}}", one.repeat(15_000_000 / one.len()));
    [
        ("objects", many("{\"\":0},")),
        ("empty objects", many("{},")),
        ("lists", many("[],")),
        ("numbers", many("0,")),
        ("brackets", "[".repeat(15_000_000)),
    ]
}

#[test]
fn a_document_of_a_tokenizer_is_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokenizer_config.json");
    for (name, text) in documents() {
        fs::write(&path, text).expect("written");
        let refused = bounded(name, || Template::read(&path).map(|_| ()));
        assert_eq!(refused.expect_err(name).code(), Code::InvalidTemplate, "{name}");
    }
}

#[test]
fn an_index_is_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors.index.json");
    for (name, text) in documents() {
        fs::write(&path, format!("{{\"weight_map\":{{}},\"metadata\":{text}}}")).expect("written");
        let read = bounded(name, || Index::open(&path).map(|_| ()));
        if let Err(error) = read {
            assert_eq!(error.code(), Code::InvalidIndex, "{name}: {error}");
        }
    }
    let file = fs::File::create(&path).expect("made");
    file.set_len(1 << 40).expect("a sparse file");
    let refused = bounded("a sparse index", || Index::open(&path).map(|_| ()));
    assert_eq!(refused.expect_err("refused").code(), Code::InvalidIndex);
}

/// What the format's own implementation and the loader make of a header with so many bytes of data.
fn read(header: &str, data: usize) -> (bool, Result<(), Code>) {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.resize(file.len() + data, 0);
    let own = SafeTensors::deserialize(&file).is_ok();
    let ours = parse(header.as_bytes()).and_then(|header| layout::check(&header, data as u64));
    (own, ours.map_err(|error| error.code()))
}

/// R27 follows the format's own implementation: a newer version that decides otherwise shows here.
#[test]
fn borders_are_decided_as_the_implementation_of_the_format_decides_them() {
    let tensor = |name: &str, shape: &str, at: [usize; 2]| {
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":{at:?}}}")
    };
    let whole = tensor("a", "[4]", [0, 16]);
    for at in 0..=18 {
        let empty = tensor("e", "[0]", [at, at]);
        for header in [format!("{{{whole},{empty}}}"), format!("{{{empty},{whole}}}")] {
            let (own, ours) = read(&header, 16);
            assert_eq!(own, ours.is_ok(), "{header}: {ours:?}");
            assert_eq!(own, [0, 16].contains(&at), "{header}");
        }
    }
    let far = "9223372036854775807";
    for shape in [
        format!("[{far},4,0]"),
        format!("[0,{far},4]"),
        format!("[{far},0,4]"),
        format!("[4,{far},0]"),
        format!("[{far},0]"),
        format!("[0,{far}]"),
        "[4294967296,4294967296,0]".to_owned(),
        "[0,4294967296,4294967296]".to_owned(),
        "[4294967296,4294967295,0]".to_owned(),
    ] {
        let header = format!("{{{}}}", tensor("e", &shape, [0, 0]));
        let (own, ours) = read(&header, 0);
        assert_eq!(own, ours.is_ok(), "{header}: {ours:?}");
    }
}

#[test]
fn a_header_at_the_longest_is_bounded() {
    let one = r#""%":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"#;
    let mut text = String::from("{");
    for at in 0..500_000 {
        text.push_str(&one.replace('%', &at.to_string()));
    }
    text.pop();
    text.push('}');
    let count =
        bounded("many tensors", || parse(text.as_bytes()).map(|header| header.tensors.len()));
    assert_eq!(count.expect("a header"), 500_000);
}
