//! Tests what an error shows, and what it cuts.

use crate::loader::error::*;
use crate::loader::remedies::header::OVERLAP;
use crate::loader::remedies::index_and_seal::DIGEST_DIFFERS;

/// Holds a refusal to its code and to what was expected and found.
pub(crate) fn check(error: &LoadError, wanted: (Code, &str, &str), of: &str) {
    let failure = error.failure();
    let found = (
        failure.code,
        failure.expected.as_deref().unwrap_or_default(),
        failure.actual.as_deref().unwrap_or_default(),
    );
    assert_eq!(found, wanted, "{of}: {error}");
}

#[test]
fn shows_number_name_and_remedy() {
    let error = LoadError::refused(Phase::Verify, DIGEST_DIFFERS, "digest differs")
        .expected("aa", "bb")
        .path(Path::new("/m/x"));
    let text = error.to_string();
    assert_eq!(
        text,
        "[EMB-E004] WEIGHT_CHECKSUM_MISMATCH: digest differs\n  file: /m/x\n  expected: aa\n  \
         actual: bb\n  remedy: Download the file again, or correct the expected SHA-256."
    );
    let failure = Failure::from(error);
    assert_eq!(failure.path.as_deref(), Some("/m/x"));
    assert!(failure.message.starts_with("[EMB-E004]") && failure.message.contains("/m/x"));
}

#[test]
fn quotes_hostile_names() {
    assert_eq!(quote("a\u{202e}\n"), "\"a\\u{202e}\\n\"");
    assert!(quote(&"é".repeat(500)).len() < 300);
    let error = LoadError::header(OVERLAP, "x").tensor("é".repeat(LONGEST_NAME));
    assert_eq!(error.failure().tensor.as_ref().map(String::len), Some(LONGEST_NAME));
}

#[test]
fn each_number_has_one_name_and_each_name_one_number() {
    use std::collections::{BTreeMap, BTreeSet};
    let mut names: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
    for row in crate::loader::remedies::all() {
        let (number, name) = emb(row.code);
        names.entry(number).or_default().insert(name);
    }
    assert!(names.values().all(|of_number| of_number.len() == 1), "{names:?}");
    let all: BTreeSet<&str> = names.values().flatten().copied().collect();
    assert_eq!(all.len(), names.len(), "a name under two numbers: {names:?}");
    assert_eq!(names.keys().copied().collect::<Vec<_>>(), (1..=35).collect::<Vec<_>>());
    // Those of TECH-EMB-002.
    assert_eq!(emb(Code::CudaUnavailable), (1, "CUDA_UNAVAILABLE"));
    assert_eq!(emb(Code::ChecksumMismatch), (4, "WEIGHT_CHECKSUM_MISMATCH"));
    assert_eq!(emb(Code::Density), (7, "CORRUPTED_WEIGHT"));
}

#[test]
fn what_came_out_of_a_file_is_cut_for_a_message() {
    let long = "é".repeat(LONGEST_PART);
    let error = LoadError::header(OVERLAP, "x").expected("short", &long);
    let actual = error.failure().actual.clone().expect("what was found");
    assert_eq!((actual.len(), actual.ends_with("é...")), (LONGEST_PART + 3, true));
    assert_eq!(error.failure().expected.as_deref(), Some("short"));
    assert_eq!(shape_text(&[2, 3]), "[2, 3]");
    assert_eq!(shape_text(&[1; 11]), "[1, 1, 1, 1, 1, 1, 1, 1] and 3 more");
    assert_eq!(json_text(&serde_json::json!({"a": [1]})), "{\"a\":[1]}");
    let cut = json_text(&serde_json::json!("é".repeat(500)));
    assert_eq!(cut, format!("\"{}...", "é".repeat(QUOTED_NAME - 1)));
    assert_eq!(wire_name(&Code::TooShort), "too_short");
    assert_eq!(wire_name(&[1, 2]), "[1,2]");
    let text_as_key = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert_eq!(wire_name(&text_as_key), "key must be a string");
}

#[test]
fn an_error_tells_what_its_kind_calls_for() {
    let error = LoadError::internal("x").poisoned();
    let failure = error.failure();
    assert_eq!((failure.device, failure.effects), (DeviceState::Poisoned, Effects::Unknown));
    let error = LoadError::no_kernel("heads of 2,000 values");
    assert_eq!((error.class(), error.phase(), error.code()), {
        (Class::Unsupported, Phase::Request, Code::UnsupportedCapability)
    });
    assert_eq!(error.failure().message, "no GPU kernel yet for heads of 2,000 values");
    let error = LoadError::out_of_device_memory("cuda:1", 100, 7);
    let failure = error.failure();
    assert_eq!((failure.requested_bytes, failure.available_bytes), (Some(100), Some(7)));
    assert_eq!(failure.message, "not enough memory on cuda:1: 100 bytes asked for");
    let counted = |rules, tensors| {
        LoadError::internal("x").breaches(rules, tensors).failure().message.clone()
    };
    assert_eq!(counted(1, 1), "x (1 rule broken in 1 tensor)");
    assert_eq!(counted(2, 3), "x (2 rules broken in 3 tensors)");
    let first = LoadError::internal("x").path(Path::new("first")).path(Path::new("second"));
    assert_eq!(first.failure().path.as_deref(), Some("first"));
}
