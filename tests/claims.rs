//! No claim goes untried: every capability has cases that need nothing beyond it and what it cannot exist
//! without, and a loader that lies about it is refuted by one of those.

mod program;

use std::collections::{BTreeMap, BTreeSet};

use program::weighbridge;
use weighbridge::contract::Device;
use weighbridge::contract::capability::{Capability, name};
use weighbridge::harness::case::alone::alone;
use weighbridge::harness::case::read::CaseSet;
use weighbridge::mutants;

/// A liar about each capability.
const LIARS: [(&str, &str); 46] = [
    ("device.cpu", "host-as-gpu"),
    ("device.cuda", "silent-cpu"),
    ("dtype.f32", "subnormals-flushed"),
    ("dtype.f16", "f16-rounded"),
    ("dtype.bf16", "unsupported-lies"),
    ("dtype.i64", "i64-narrowed"),
    ("widen", "widen-truncates"),
    ("digest", "fake-checksum"),
    ("gates", "skipped-gate"),
    ("metadata", "metadata-empty"),
    ("read", "read-back-short"),
    ("export", "fake-pointer"),
    ("stat", "stat-made-up"),
    ("preflight", "preflight-ignored"),
    ("synchronize", "synchronized-anyway"),
    ("stream", "stream-torn"),
    ("multiply", "product-short"),
    ("sharded", "sharded-first-only"),
    ("format.safetensors", "truncated-valid"),
    ("format.gguf", "gguf-dims-swapped"),
    ("format.apr", "apr-misrouted"),
    ("sealed", "seal-unchecked"),
    ("embedding", "sine-output"),
    ("text", "text-cut-short"),
    ("trace", "trace-of-zeros"),
    ("validate", "replayed-golden"),
    ("logits", "head-transposed"),
    ("generate", "no-eos"),
    ("chat", "template-skipped"),
    ("plan", "plan-made-up"),
    ("streaming", "streamed-layer-skipped"),
    ("unused", "unused-unsaid"),
    ("times", "times-made-up"),
    ("parallel", "slice-zero-everywhere"),
    ("parallel.run", "sum-of-first-rank"),
    ("model.bert", "types-ignored"),
    ("model.roberta", "positions-from-zero"),
    ("model.nomic_bert", "nomic-gate-swapped"),
    ("model.qwen2", "bias-dropped"),
    ("model.qwen3", "head-norms-dropped"),
    ("model.llama", "rope-scaling-ignored"),
    ("model.mistral", "mistral-window-ignored"),
    ("model.phi3", "qkv-thirds"),
    ("model.gpt2", "gpt2-positions-dropped"),
    ("model.projection", "projection-short"),
    ("model.head_dim", "head-size-ignored"),
];

fn cases() -> CaseSet {
    CaseSet::embedded(&mutants::names()).expect("sound cases")
}

/// Requirements with the number of their cases that a capability brings alone.
fn brought(set: &CaseSet, capability: Capability, device: Device) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in alone(set.cases(), capability, device) {
        *counts.entry(&case.requirement).or_default() += 1;
    }
    let words: Vec<String> = counts.iter().map(|(id, count)| format!("{id} {count}")).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

#[test]
fn what_each_capability_brings_alone() {
    let set = cases();
    let rows: BTreeMap<String, BTreeMap<&str, String>> = Capability::ALL
        .into_iter()
        .map(|one| {
            let of = |device| brought(&set, one, device);
            let row = [("host", of(Device::Cpu)), ("gpu", of(Device::Cuda(0)))];
            (name(one), row.into_iter().collect())
        })
        .collect();
    for (name, row) in &rows {
        assert!(row.values().any(|words| words != "nothing"), "{name} is tried by no case alone");
    }
    insta::assert_json_snapshot!(rows);
}

#[test]
fn a_lie_about_each_capability_is_claimed_by_a_case_of_it_alone() {
    let set = cases();
    let liars: BTreeMap<&str, &str> = LIARS.into_iter().collect();
    let known: BTreeSet<String> = Capability::ALL.into_iter().map(name).collect();
    assert!(known.iter().map(String::as_str).eq(liars.keys().copied()), "one liar for each");
    let mut open = Vec::new();
    for one in Capability::ALL {
        let (name, liar) = (name(one), liars[name(one).as_str()]);
        assert!(mutants::by_name(liar).is_some(), "no such mutant: {liar}");
        let devices = [Device::Cpu, Device::Cuda(0)];
        let mut alone = devices.into_iter().flat_map(|device| alone(set.cases(), one, device));
        if !alone.any(|case| case.kills.contains(liar)) {
            open.push(format!("{name}: {liar}"));
        }
    }
    assert!(open.is_empty(), "claimed by no case of the capability alone: {open:?}");
}

#[test]
fn a_loader_that_has_no_cuda_at_all_may_say_just_that() {
    let folder = tempfile::tempdir().expect("a folder");
    let mine = folder.path().join("mine");
    let path = |name: &str| mine.join(name).display().to_string();
    assert_eq!(weighbridge(&["init", "python", &path("")]).code, Some(0));
    let (manifest, out) = (path("manifest.yaml"), path("report"));
    let case = "UT-WARM-004::load_without_a_device";
    let words = ["certify", "--loader", &manifest, "--out", &out, "--no-progress", "--case", case];
    let ran = weighbridge(&words);
    let report = std::fs::read(path("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    let all = report["cases"].as_array().or(report["record"]["cases"].as_array()).expect("cases");
    let tried = all.iter().find(|one| one["id"] == case).expect("the case");
    assert_eq!(tried["verdict"], "pass", "{}", ran.err);
    let answer = &tried["steps"][0]["checks"][0];
    assert_eq!(answer["basis"], "observed", "{answer}");
    assert!(answer["found"].as_str().is_some_and(|text| text.contains("unsupported")), "{answer}");
}
