//! The slices that the adapters of other loaders cut are those of the judge's plan, and they refuse what it refuses.
//! The adapters know them from the configuration alone, without any library.

use std::collections::BTreeMap;
use std::process::Command;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use weighbridge::harness::model::recipe::Architecture;
use weighbridge::harness::plan::{Document, Grid, Headers, judge};

use crate::random::divisible;
use crate::{found, grid, headers, recipe};

fn job(headers: &Headers, grid: &Grid) -> Value {
    let shapes: BTreeMap<_, _> =
        headers.tensors.iter().map(|one| (one.name.clone(), one.shape.clone())).collect();
    let ranks: Vec<u64> = (0..grid.world()).collect();
    let parallel =
        json!({"tp": grid.tp(), "pp": grid.pp(), "replicas": grid.replicas(), "ranks": ranks});
    json!({"config": headers.config, "shapes": shapes, "parallel": parallel})
}

/// What the adapters claim of each model and grid.
fn claims(cases: &[(Headers, Grid)]) -> Vec<Document> {
    let folder = tempfile::tempdir().expect("a folder");
    let (asked, told) = (folder.path().join("jobs.json"), folder.path().join("claims.json"));
    let jobs: Vec<Value> = cases.iter().map(|(headers, grid)| job(headers, grid)).collect();
    std::fs::write(&asked, serde_json::to_vec(&jobs).expect("JSON")).expect("jobs");
    let run = Command::new("python3")
        .args(["tests/plan/adapter_slices.py".as_ref(), asked.as_os_str(), told.as_os_str()])
        .env("PYTHONPATH", "adapters/python:adapters/torch")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3 is there");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&std::fs::read(&told).expect("claims")).expect("a list of claims")
}

#[test]
fn they_are_those_of_the_plan() {
    let mut runner = TestRunner::deterministic();
    let mut one = || divisible().new_tree(&mut runner).expect("a model and a grid").current();
    let cases: Vec<(Headers, Grid)> = (0..100).map(|_| one()).collect();
    for ((headers, grid), claim) in cases.iter().zip(claims(&cases)) {
        let findings = found(headers, grid, &claim);
        assert!(findings.is_empty(), "{}, {grid:?}: {findings:?}", headers.config);
    }
}

#[test]
fn what_does_not_divide_is_refused_with_its_numbers() {
    let llama = |tp, pp| (headers(&recipe(Architecture::Llama, |_| ())), grid(tp, pp));
    let gpt2 = |tp, pp| (headers(&recipe(Architecture::Gpt2, |_| ())), grid(tp, pp));
    let cases = [llama(7, 1), llama(1, 99), gpt2(7, 1)];
    for ((headers, grid), claim) in cases.iter().zip(claims(&cases)) {
        let judgement = judge(headers, grid, 1, &claim).unwrap_or_else(|no| panic!("{no}"));
        let said = claim.refused.unwrap_or_default();
        assert!(judgement.refused && judgement.findings.is_empty(), "{grid:?}: {said}");
        assert!(said.starts_with("unsupported_capability"), "{said}");
    }
}
