//! Tests models in several files.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{File, check, llama, open, text, whole};
use crate::contract::{Code, Phase};

/// A first part with the words, and a second one with the queries.
fn two() -> [File; 2] {
    let mut first = llama().and("split.no", whole(0)).and("split.count", whole(2));
    first.set("split.tensors.count", whole(2));
    first.data = 160;
    let mut second = llama();
    second.keys.retain(|(key, _)| key == "general.architecture");
    second.set("split.no", whole(1));
    second.set("split.count", whole(2));
    second.tensors = first.tensors.split_off(1);
    second.tensors[0].3 = 0;
    second.data = 256;
    [first, second]
}

fn written(folder: &Path, parts: &[File]) -> PathBuf {
    for (at, part) in parts.iter().enumerate() {
        let name = format!("model-{:05}-of-00002.gguf", at + 1);
        fs::write(folder.join(name), part.bytes()).expect("written");
    }
    folder.join("model-00001-of-00002.gguf")
}

#[test]
fn the_tensors_of_all_parts_are_read_with_their_file() {
    let folder = TempDir::new().expect("a folder");
    let parts = two();
    let model = open(&written(folder.path(), &parts)).expect("a sound model");
    let found = model.tensors.iter().map(|one| (one.info.name.as_str(), one.file, one.info.begin));
    assert_eq!(
        found.collect::<Vec<_>>(),
        [("model.embed_tokens.weight", 0, 0), ("model.layers.0.self_attn.q_proj.weight", 1, 0)]
    );
    let ends: Vec<u64> = model.files.iter().map(|file| file.data.end).collect();
    assert_eq!(ends, parts.map(|part| part.bytes().len() as u64));
    assert_eq!(model.documents.config["vocab_size"], 5);
}

#[test]
fn a_file_that_is_no_first_part_is_refused() {
    let split =
        |no: u32, count: u32| llama().and("split.no", whole(no)).and("split.count", whole(count));
    let most = "split.no below split.count, at most 99999";
    for (name, file, expected, actual, remedy) in [
        ("m.gguf", split(0, 100_000), most, "split.no 0, split.count 100000", ""),
        ("m.gguf", split(2, 2), most, "split.no 2, split.count 2", ""),
        (
            "m-00002-of-00003.gguf",
            split(1, 3),
            "split.no 0, the first part",
            "split.no 1",
            "first part, m-00001-of-00003.gguf:",
        ),
        (
            "m.gguf",
            split(1, 3),
            "split.no 0, the first part",
            "split.no 1",
            "first part, whose name ends in -00001-of-00003.gguf:",
        ),
        ("m.gguf", split(0, 3), "a name that ends in -00001-of-00003.gguf", "\"m.gguf\"", ""),
    ] {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join(name);
        fs::write(&path, file.bytes()).expect("written");
        let error = open(&path).expect_err(actual);
        check(&error, (Code::InvalidConfig, expected, actual), actual);
        let told = error.failure().remedy.clone().unwrap_or_default();
        assert!(told.contains(remedy), "{told}");
    }
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("m.gguf");
    fs::write(&path, split(0, 1).bytes()).expect("written");
    assert!(open(&path).is_ok(), "one part of one");
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    type Change = fn(&mut [File; 2]);
    let cases: [(&str, Change, &str, &str); 5] = [
        ("a number", |[_, second]| second.set("split.no", whole(0)), "split.no 1", "split.no 0"),
        (
            "a count",
            |[_, second]| second.set("split.count", whole(3)),
            "split.count 2",
            "split.count 3",
        ),
        (
            "no number",
            |[_, second]| second.keys.retain(|(key, _)| key != "split.no"),
            "split.no 1",
            "split.no none",
        ),
        (
            "another sum",
            |[first, _]| first.set("split.tensors.count", whole(3)),
            "3 tensors, by split.tensors.count",
            "2",
        ),
        (
            "no tensor",
            |[_, second]| {
                second.tensors.clear();
                second.data = 0;
            },
            "2 tensors, by split.tensors.count",
            "1",
        ),
    ];
    for (of, change, expected, actual) in cases {
        let folder = TempDir::new().expect("a folder");
        let mut parts = two();
        change(&mut parts);
        let error = open(&written(folder.path(), &parts)).expect_err(of);
        check(&error, (Code::InvalidConfig, expected, actual), of);
    }
    let folder = TempDir::new().expect("a folder");
    let mut parts = two();
    parts[1].tensors.push(parts[0].tensors[0].clone());
    parts[0] = parts[0].clone().without("split.tensors.count");
    let error = open(&written(folder.path(), &parts)).expect_err("a name twice");
    let wanted = (Code::DuplicateKey, "every name once", "\"token_embd.weight\"");
    check(&error, wanted, "a name in both parts");
}

#[test]
fn a_part_that_cannot_be_opened_is_named() {
    let folder = TempDir::new().expect("a folder");
    let [first, _] = two();
    let path = written(folder.path(), &[first]);
    let name = "model-00002-of-00002.gguf";
    let second = folder.path().join(name);
    let error = open(&path).expect_err("a missing part");
    let found = format!("no file \"{name}\"");
    check(&error, (Code::NotFound, "2 files", &found), "a missing part");
    assert_eq!(error.phase(), Phase::Open);
    assert_eq!(error.failure().path.as_deref(), second.to_str());
    assert!(error.failure().remedy.as_deref().is_some_and(|remedy| remedy.contains(name)));
    fs::create_dir(&second).expect("a folder in its place");
    let error = open(&path).expect_err("a folder in place of a part");
    assert_eq!((error.code(), error.failure().path.as_deref()), (Code::NotAFile, second.to_str()));
    fs::remove_dir(&second).expect("removed");
    fs::write(&second, llama().and("general.name", text("x")).bytes()).expect("written");
    let error = open(&path).expect_err("a whole model in place of a part");
    check(&error, (Code::InvalidConfig, "split.no 1", "split.no none"), "a whole model");
    assert_eq!(error.failure().path.as_deref(), second.to_str(), "the part is named");
}
