//! Tests which statements of a signature are read, and which files are told to be other ones.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::contract::{Class, Code};
use crate::loader::load::tests::{F32_ONES, file_of};
use crate::loader::progress::Progress;
use crate::loader::seal::make;
use crate::loader::seal::signed::*;

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A statement that signs files with these digests.
fn statement(files: &[(&str, &str)]) -> Value {
    let digests: Vec<u8> = files
        .iter()
        .flat_map(|(_, digits)| crate::loader::read::digest::parse_hex(digits.as_bytes()))
        .flatten()
        .collect();
    let resources = files
        .iter()
        .map(|(name, digits)| json!({"name": name, "algorithm": "sha256", "digest": digits}));
    json!({
        "_type": STATEMENT,
        "subject": [{"name": "m", "digest": {"sha256": digest(&digests)}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": true},
            "resources": resources.collect::<Vec<_>>(),
        },
    })
}

fn parse(statement: &Value) -> Result<SignedFiles> {
    SignedFiles::parse(statement.to_string().as_bytes())
}

#[test]
fn a_statement_of_another_form_is_refused() {
    let (one, two) = (digest(b"one"), digest(b"two"));
    let sound = statement(&[("a", &one), ("b/c", &two)]);
    assert_eq!(parse(&sound).expect("a sound statement").count(), 2);
    let root = sound["subject"][0]["digest"]["sha256"].to_string();
    let digits = "sha256 and 64 lower-case hex digits";
    let plain = "a relative path without `.` and `..`";
    for (place, value, expected, actual) in [
        ("/_type", json!("x"), STATEMENT, "\"x\""),
        ("/predicateType", json!("x"), PREDICATE, "\"x\""),
        ("/subject", json!([]), "1", "0"),
        ("/predicate/resources/0/digest", json!("A0"), digits, "\"A0\""),
        ("/predicate/resources/0/name", json!("../a"), plain, "\"../a\""),
        ("/predicate/resources/0/name", json!("."), plain, "\".\""),
        ("/predicate/resources/1/name", json!("a"), "each name once", "1"),
        ("/subject/0/digest/sha256", json!(one), root.trim_matches('"'), &format!("\"{one}\"")),
    ] {
        let mut changed = sound.clone();
        *changed.pointer_mut(place).expect("there") = value;
        let error = parse(&changed).expect_err(place);
        let failure = error.failure();
        let told = (failure.expected.as_deref(), failure.actual.as_deref());
        assert_eq!((failure.code, told), (Code::InvalidSeal, (Some(expected), Some(actual))));
        assert_eq!((failure.class, failure.phase), (Class::Refused, Phase::Verify));
    }
    let error = SignedFiles::parse(b"{}").expect_err("no statement");
    assert_eq!(error.code(), Code::InvalidSeal);
    assert_eq!(error.failure().message, "not the statement of a signed model");
}

#[test]
fn digests_of_another_kind_are_not_supported() {
    let one = digest(b"one");
    for (place, value, actual) in [
        ("/predicate/serialization/method", "shards", "\"sha256\" of \"shards\""),
        ("/predicate/serialization/hash_type", "blake3", "\"blake3\" of \"files\""),
        ("/predicate/resources/0/algorithm", "blake2b", "\"blake2b\" of \"files\""),
    ] {
        let mut changed = statement(&[("a", &one)]);
        *changed.pointer_mut(place).expect("there") = json!(value);
        let error = parse(&changed).expect_err(place);
        let failure = error.failure();
        assert_eq!(
            (failure.class, failure.code),
            (Class::Unsupported, Code::UnsupportedCapability)
        );
        let told = (failure.expected.as_deref(), failure.actual.as_deref());
        assert_eq!(told, (Some("sha256 of files"), Some(actual)));
    }
}

#[test]
fn files_that_are_not_as_they_were_signed_are_listed() {
    let folder = TempDir::new().expect("a folder");
    let weights = fs::read(file_of(&[("w", "F32", &[3], &F32_ONES)]).path()).expect("readable");
    for name in ["cache", "sub"] {
        fs::create_dir(folder.path().join(name)).expect("made");
    }
    for (name, content) in [
        ("w.safetensors", &*weights),
        ("config.json", b"changed"),
        ("extra.txt", b"extra"),
        (".hidden", b"hidden"),
        (".other", b"other"),
        ("cache/x", b"left out"),
        ("sub/y", b"y"),
        ("model.sig", b"signature"),
    ] {
        fs::write(folder.path().join(name), content).expect("written");
    }
    let right = digest(&weights);
    let (was, gone, hidden, changed) =
        (digest(b"as it was"), digest(b"gone"), digest(b"hidden"), digest(b"changed"));
    let mut signed = statement(&[
        (".hidden", &hidden),
        (".missing", &gone),
        ("config.json", &was),
        ("gone.json", &gone),
        ("w.safetensors", &right),
    ]);
    signed["predicate"]["serialization"]["ignore_paths"] = json!(["cache"]);
    let signed = parse(&signed).expect("a sound statement");
    let made = make(folder.path(), 4096, std::path::Path::new(""), &Progress::default());
    let made = made.expect("a seal of what is there");
    let signature = folder.path().join("model.sig");
    let found = signed.differences(folder.path(), &made, &[&signature, Path::new("nowhere")]);
    let of = |name: &str, wanted: Option<&str>, found: Option<&str>| Difference {
        name: name.to_owned(),
        wanted: wanted.map(str::to_owned),
        found: found.map(str::to_owned),
    };
    let (extra, inner) = (digest(b"extra"), digest(b"y"));
    assert_eq!(
        found.expect("readable"),
        [
            of(".missing", Some(&gone), None),
            of("config.json", Some(&was), Some(&changed)),
            of("extra.txt", None, Some(&extra)),
            of("gone.json", Some(&gone), None),
            of("sub/y", None, Some(&inner)),
        ]
    );
}

#[test]
fn a_file_signed_alone_is_named_by_a_dot() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("w.safetensors");
    let weights = fs::read(file_of(&[("w", "F32", &[3], &F32_ONES)]).path()).expect("readable");
    fs::write(&path, &weights).expect("written");
    let made = make(&path, 4096, Path::new(""), &Progress::default()).expect("a seal");
    let (right, other) = (digest(&weights), digest(b"other"));
    let signed = parse(&statement(&[(".", &right)])).expect("a sound statement");
    assert_eq!(signed.differences(&path, &made, &[]), Ok(Vec::new()));
    let signed = parse(&statement(&[(".", &other)])).expect("a sound statement");
    let (wanted, found) = (Some(other), Some(right));
    let difference = Difference { name: ".".to_owned(), wanted, found };
    assert_eq!(signed.differences(&path, &made, &[]), Ok(vec![difference.clone()]));
    let error = difference.unsigned(&path);
    assert_eq!(error.failure().path.as_deref(), path.to_str());
    let inside = Difference { name: "a/b".to_owned(), wanted: None, ..difference };
    let error = inside.unsigned(folder.path());
    let told = (error.failure().expected.as_deref(), error.failure().message.as_str());
    assert_eq!(told, (Some("none"), "a file that is not signed"));
    assert_eq!(error.failure().path.as_deref(), folder.path().join("a/b").to_str());
}
