//! Classes from end to end: the loader that `init python` writes earns `weights-host`, and with one fault
//! it is refuted; what is asked for decides the exit code.

mod program;

use std::path::{Path, PathBuf};

use program::{Ran, weighbridge};
use serde_json::Value;

/// A skeleton in a fresh folder.
fn skeleton() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let into = folder.path().join("mine");
    let written = weighbridge(&["init", "python", &into.display().to_string()]);
    assert!(written.code == Some(0), "{}", written.err);
    (folder, into)
}

/// Certifies the skeleton with these further words; what it printed, and its report.
fn certify(mine: &Path, words: &[&str]) -> (Ran, Value) {
    let (manifest, out) = (mine.join("manifest.yaml"), mine.join("report"));
    let (manifest, prefix) = (manifest.display().to_string(), out.display().to_string());
    let mut all = vec!["certify", "--loader", &manifest, "--out", &prefix, "--no-progress"];
    all.extend(words);
    let ran = weighbridge(&all);
    let report = std::fs::read(mine.join("report.json")).unwrap_or_default();
    (ran, serde_json::from_slice(&report).unwrap_or_default())
}

fn outcome<'a>(report: &'a Value, class: &str) -> &'a Value {
    let all = report["judgement"]["classes"].as_array().expect("classes");
    all.iter().find(|one| one["name"] == class).expect("the class")
}

#[test]
fn the_skeleton_earns_a_class_and_says_which_it_does_not_claim() {
    let (_folder, mine) = skeleton();
    let (ran, report) = certify(&mine, &["--class", "weights-host"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let last = ran.out.lines().rfind(|line| line.contains("weights-host 1.0, corroborated"));
    assert!(last.is_some_and(|line| line.contains("policy: ")), "{}", ran.out);
    let earned = outcome(&report, "weights-host");
    assert_eq!((&earned["outcome"], &earned["short"]), (&"earned".into(), &Value::Array(vec![])));
    assert_eq!(outcome(&report, "encoder")["outcome"], "not_claimed");
    let path = mine.join("report.json").display().to_string();
    assert_eq!(weighbridge(&["verify", &path]).code, Some(0));
    // The same report with another table is not about this suite.
    let text = std::fs::read_to_string(&path).expect("the report");
    std::fs::write(&path, text.replacen("\"version\": \"1.0\"", "\"version\": \"1.1\"", 1))
        .expect("writable");
    let verified = weighbridge(&["verify", &path]);
    assert_eq!(verified.code, Some(1));
    assert!(verified.out.contains("class weights-host: expected"), "{}", verified.out);
}

#[test]
fn one_fault_in_bf16_is_refuted_by_what_is_declared() {
    let (_folder, mine) = skeleton();
    let loader = mine.join("loader.py");
    let text = std::fs::read_to_string(&loader).expect("the loader");
    let sound = "data[tensor.begin:tensor.end])";
    let faulty = "data[tensor.begin:tensor.end][::-1] if tensor.dtype == 'BF16' else \
                  data[tensor.begin:tensor.end])";
    assert!(text.contains(sound), "{text}");
    std::fs::write(&loader, text.replace(sound, faulty)).expect("writable");
    let (ran, report) = certify(&mine, &["--section", "dtype"]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    let missed = outcome(&report, "weights-host");
    assert_eq!(missed["outcome"], "missed");
    let short = missed["short"].as_array().expect("ids");
    assert!(short.contains(&"F-DTYPE-048".into()) && !short.contains(&"F-DTYPE-046".into()));
    assert!(ran.out.contains("short: F-DTYPE-048"), "{}", ran.out);
}

#[test]
fn a_class_that_is_not_claimed_selects_nothing() {
    let (_folder, mine) = skeleton();
    let (ran, _) = certify(&mine, &["--class", "decoder", "--device", "cpu"]);
    assert_eq!(ran.code, Some(4), "{}", ran.err);
    for part in ["class decoder is not claimed", "logits", "list --classes"] {
        assert!(ran.err.contains(part), "{part} not in: {}", ran.err);
    }
    let (ran, _) = certify(&mine, &["--class", "weights-host", "--device", "cuda:0"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("leave out --device"), "{}", ran.err);
    let (ran, _) = certify(&mine, &["--class", "weights"]);
    assert!(ran.err.contains("unknown class: weights (there are: weights-host"), "{}", ran.err);
}
