//! The ways through steps, held against records of whole runs on a GPU. Their suites were older, so a case that
//! was changed since is not followed; each kind of step must be followed in some case.

use std::collections::{BTreeMap, BTreeSet};

use crate::contract::Device;
use crate::harness::against::{stages, surplus, walk};
use crate::harness::case::Case;
use crate::harness::case::read::CaseSet;
use crate::harness::case::step::Step;
use crate::harness::record::{Basis, CaseRecord, Check, Record, Verdict};

/// Kinds of steps that are newer than those runs, or record another text since. `tests/verify_edits` has them, from
/// runs on the host.
const NEWER: [&str; 10] = [
    "CompareBeside",
    "Divide",
    "Leave",
    "Left",
    "LoadBeside",
    "SameProgram",
    "Sample",
    "StoredGolden",
    "Synchronize",
    "WithinBudget",
];

/// Kinds whose first check cannot be taken away unnoticed. Others have none, or repeat it.
const CHECKED: [&str; 24] = [
    "Agree",
    "BitIdentical",
    "Cli",
    "Command",
    "Compare",
    "Device",
    "Drift",
    "Flips",
    "Forward",
    "Generate",
    "Grown",
    "Load",
    "MalformedRequest",
    "Multiply",
    "Name",
    "Peak",
    "Poke",
    "RejectInput",
    "Sources",
    "Stat",
    "Stream",
    "Tamper",
    "Unload",
    "Validate",
];

/// Further kinds that have just their own checks. `WholeSet` records more steps than one.
const CLOSED: [&str; 10] = [
    "Ballast",
    "Mark",
    "MarkPeak",
    "Real",
    "Relate",
    "Release",
    "Remove",
    "Throughput",
    "UseAfterUnload",
    "Write",
];

/// What a step is called in the code.
fn kind(step: &Step) -> String {
    let text = format!("{step:?}");
    text.chars().take_while(|letter| letter.is_alphanumeric()).collect()
}

/// The kinds of a case's steps, repetitions unrolled.
fn kinds(steps: &[Step]) -> Vec<String> {
    steps
        .iter()
        .flat_map(|step| match step {
            Step::Repeat(repeat) => (0..repeat.times).flat_map(|_| kinds(&repeat.steps)).collect(),
            other => vec![kind(other)],
        })
        .collect()
}

/// Passed cases of whole runs, each with the case of today's suite and the run's device.
fn passed() -> Vec<(CaseRecord, Case, Device)> {
    let suite = CaseSet::embedded(&crate::mutants::names()).unwrap();
    let own: BTreeMap<String, &Case> = suite.cases().iter().map(|case| (case.id(), case)).collect();
    let mut all = Vec::new();
    for name in ["full-h100-cuda1", "reference-h200"] {
        let path = format!("{}/reports/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let record = Record::read(path.as_ref()).unwrap();
        for found in record.cases.iter().filter(|case| case.verdict == Verdict::Pass) {
            if let Some(case) = own.get(&found.id) {
                let device = record.parts[found.part].device.parse().unwrap();
                all.push((found.clone(), (*case).clone(), device));
            }
        }
    }
    all
}

/// What is wrong with a record along every way through its case.
fn fault(found: &CaseRecord, case: &Case, device: Device) -> Option<(String, String)> {
    let ways = stages::of(case, device);
    let told = |way: &Vec<_>| walk::fault(found, way).or_else(|| surplus::fault(found, way));
    ways.iter().map(told).min_by_key(Option::is_some).flatten()
}

/// The kinds of steps in which a change of a sound record is noticed. `change` gets a record and the place of a step.
fn noticed(change: impl Fn(&mut CaseRecord, usize) -> bool) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (found, case, device) in passed() {
        let kinds = kinds(&case.steps);
        // A step with several records would shift the places.
        if kinds.len() != found.steps.len() || fault(&found, &case, device).is_some() {
            continue;
        }
        for (at, kind) in kinds.iter().enumerate() {
            if all.contains(kind) {
                continue;
            }
            let mut other = found.clone();
            if change(&mut other, at) && fault(&other, &case, device).is_some() {
                all.insert(kind.clone());
            }
        }
    }
    all
}

/// Those of some kinds that are not among others.
fn without(kinds: &[&'static str], others: &BTreeSet<String>) -> Vec<&'static str> {
    kinds.iter().copied().filter(|kind| !others.contains(*kind)).collect()
}

#[test]
fn every_kind_of_step_is_as_a_run_records_it() {
    let mut followed: BTreeSet<String> = NEWER.map(str::to_owned).into();
    for (found, case, device) in passed() {
        if fault(&found, &case, device).is_none() {
            followed.extend(kinds(&case.steps));
        }
    }
    let suite = CaseSet::embedded(&crate::mutants::names()).unwrap();
    let known: BTreeSet<String> =
        suite.cases().iter().flat_map(|case| kinds(&case.steps)).collect();
    let missing: Vec<_> = known.difference(&followed).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_check_that_was_taken_away_is_missed() {
    let missed = noticed(|case, at| {
        let checks = &mut case.steps[at].checks;
        let has_one = !checks.is_empty();
        checks.drain(..usize::from(has_one));
        has_one
    });
    assert_eq!(without(&CHECKED, &missed), Vec::<&str>::new());
}

#[test]
fn a_check_of_another_name_is_too_much() {
    let too_much = noticed(|case, at| {
        case.steps[at].checks.push(Check::equal("elegance", "much", "much", Basis::Observed));
        true
    });
    assert_eq!(without(&CHECKED, &too_much), Vec::<&str>::new());
    assert_eq!(without(&CLOSED, &too_much), Vec::<&str>::new());
}
