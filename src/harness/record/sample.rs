//! A sample record with a requirement for each possible verdict.
//!
//! It is compiled into the unit tests here and, by path, into `tests/report.rs`. It uses only names
//! that both find in the parent module.

use std::collections::BTreeMap;

use super::{
    Basis, CaseRecord, Check, FORMAT, Machine, Part, Record, RequirementRow, StepRecord, Subject,
    Verdict,
};

/// A host run: eleven requirements in three sections, and one requirement outside the profile.
pub fn record() -> Record {
    let requirements = vec![
        row("LOAD-001", "load", 6, &["whole_file", "empty_tensor"]),
        row("LOAD-002", "load", 5, &["every_byte"]),
        row("LOAD-003", "load", 2, &["half_floats"]),
        RequirementRow { warning: true, ..row("CHK-001", "digest", 3, &["names_the_file"]) },
        row("CHK-002", "digest", 4, &["seeded"]),
        row("CHK-003", "digest", 4, &["large_file"]),
        row("ERR-001", "errors", 5, &["header_too_long"]),
        row("ERR-002", "errors", 2, &["endless_pipe"]),
        row("ERR-003", "errors", 1, &[]),
        row("ERR-004", "errors", 1, &["names_the_kind"]),
        row("ERR-005", "errors", 1, &["harness_stumbles"]),
        RequirementRow { in_profile: false, ..row("GPU-001", "memory", 8, &["ipc"]) },
    ];
    let cases = vec![
        passed("LOAD-001::whole_file", 1_200),
        passed("LOAD-001::empty_tensor", 800),
        CaseRecord {
            reason: Some("a check did not hold: bytes of t0".to_owned()),
            steps: vec![
                step("load a.safetensors", vec![held("answer")]),
                StepRecord {
                    claim: Some(serde_json::json!({ "tensor": "t0", "sha256": "00ff" })),
                    ..step(
                        "compare every byte",
                        vec![held("length of t0"), broken("bytes of t0", "all equal", "7 differ")],
                    )
                },
            ],
            stderr: Some("reading a.safetensors\nwarning: short read\n".to_owned()),
            ..decided("LOAD-002::every_byte", Verdict::Fail, 5_000)
        },
        CaseRecord {
            steps: vec![step(
                "load h.safetensors",
                vec![Check { basis: Basis::Declared, ..held("dtype of t0") }],
            )],
            ..passed("LOAD-003::half_floats", 700)
        },
        CaseRecord {
            reason: Some("a check did not hold: file name | in the text".to_owned()),
            steps: vec![step("load", vec![broken("text", "names <a.safetensors>", "bad file")])],
            ..decided("CHK-001::names_the_file", Verdict::Fail, 900)
        },
        because("CHK-002::seeded", Verdict::Unsupported, "declared unsupported: digest.seeded"),
        because("CHK-003::large_file", Verdict::Untested, "needs 8 GiB of host memory; here: 4"),
        CaseRecord {
            stderr: Some("memory allocation of 1152921504606846976 bytes failed\n".to_owned()),
            ..because("ERR-001::header_too_long", Verdict::Crash, "the process ended: signal 6")
        },
        because("ERR-002::endless_pipe", Verdict::Timeout, "no answer within 10 s"),
        because("ERR-005::harness_stumbles", Verdict::Error, "fixture could not be written"),
    ];
    Record {
        format: FORMAT.to_owned(),
        subject: subject(),
        parts: vec![part("2026-01-02T03:04:05Z")],
        requirements,
        cases,
        classes: None,
    }
}

/// The same run, but every requirement of the profile passes.
pub fn clean() -> Record {
    let mut record = record();
    record.requirements.retain(|row| !row.cases.is_empty());
    record.cases = record
        .requirements
        .iter()
        .filter(|row| row.in_profile)
        .flat_map(|row| row.cases.iter().map(|id| passed(id, 1_000)))
        .collect();
    record
}

/// The sample's subject.
pub fn subject() -> Subject {
    Subject {
        loader: "example".to_owned(),
        loader_version: "1.2.3".to_owned(),
        suite: "0.1.0".to_owned(),
        commit: "0123456789abcdef".to_owned(),
        binary: "b1".repeat(32),
        spec: "5e".repeat(32),
        cases: "ca".repeat(32),
        fixtures: "f1".repeat(32),
        profile: "host".to_owned(),
    }
}

/// One run on an invented machine.
pub fn part(started: &str) -> Part {
    Part {
        started: started.to_owned(),
        seconds: 12.5,
        seed: "00000000deadbeef".to_owned(),
        commitment: None,
        seed_given: false,
        device: "cpu".to_owned(),
        selection: None,
        machine: Machine {
            system: "Linux 6.1".to_owned(),
            processor: "Example CPU".to_owned(),
            cores: 8,
            memory_bytes: 16 << 30,
            gpu: None,
            gpu_uuid: None,
            driver: None,
            gpu_error: Some("no CUDA driver: libcuda.so.1 not found".to_owned()),
        },
        synthetic: vec!["weights are seeded random numbers".to_owned()],
        capabilities: BTreeMap::from([
            ("digest".to_owned(), "yes".to_owned()),
            ("digest.seeded".to_owned(), "not written yet".to_owned()),
        ]),
        command: vec!["./example-loader".to_owned(), "serve".to_owned()],
        environment: BTreeMap::from([("EXAMPLE_LOG".to_owned(), "warn".to_owned())]),
        processes: 3,
        jobs: 2,
        waited_us: 1_500,
        measured: BTreeMap::from([("host copy GB/s".to_owned(), 11.25)]),
        plan: None,
        health: None,
        known: None,
        isolation: None,
        program: Vec::new(),
        unjournalled: 0,
        waiting: None,
        journal: None,
    }
}

/// A requirement in the profile.
pub fn row(id: &str, section: &str, points: u64, names: &[&str]) -> RequirementRow {
    RequirementRow {
        id: id.to_owned(),
        section: section.to_owned(),
        points,
        warning: false,
        in_profile: true,
        sentence: format!("What {id} asks for holds."),
        cases: names.iter().map(|name| format!("{id}::{name}")).collect(),
    }
}

/// A case that passed.
pub fn passed(id: &str, elapsed_us: u64) -> CaseRecord {
    CaseRecord {
        steps: vec![step("load a.safetensors", vec![held("answer"), held("tensor table")])],
        ..decided(id, Verdict::Pass, elapsed_us)
    }
}

/// A case without a check.
pub fn because(id: &str, verdict: Verdict, reason: &str) -> CaseRecord {
    CaseRecord { reason: Some(reason.to_owned()), ..decided(id, verdict, 0) }
}

fn decided(id: &str, verdict: Verdict, elapsed_us: u64) -> CaseRecord {
    let requirement = id.split("::").next().unwrap_or_default();
    CaseRecord {
        id: id.to_owned(),
        requirement: requirement.to_owned(),
        tries: format!("Tries {requirement}."),
        verdict,
        reason: None,
        steps: Vec::new(),
        elapsed_us,
        loader_us: elapsed_us / 2,
        evidence_us: elapsed_us / 4,
        fixture_us: elapsed_us / 8,
        file_bytes: 4_096,
        repeat: format!("weighbridge certify --exact {id} --seed 00000000deadbeef"),
        stderr: None,
        part: 0,
    }
}

fn step(does: &str, checks: Vec<Check>) -> StepRecord {
    StepRecord { does: does.to_owned(), claim: None, checks, elapsed_us: 250 }
}

fn held(what: &str) -> Check {
    Check::equal(what, "as written", "as written", Basis::Observed)
}

fn broken(what: &str, expected: &str, found: &str) -> Check {
    Check::broken(what, expected, found, Basis::Observed)
}
