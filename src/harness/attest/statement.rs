//! The statements about a report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::harness::record::class::Standing;
use crate::harness::record::judge::Certificate;
use crate::harness::record::{Record, Report, Table, Verdict};

/// `_type` of a statement.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// Test results. Source: in-toto's predicate "Test Result", version 0.1.
pub const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";
/// A short summary of what was verified. Source: in-toto's predicate "Simple Verification Result", version 0.1.
pub const VERIFICATION: &str = "https://in-toto.io/attestation/svr/v0.1";
/// This project's own: everything that the other two cannot say.
pub const CERTIFICATE: &str = "https://github.com/weighbridge/weighbridge/certificate/v1";
/// Who verified.
const VERIFIER: &str = "https://github.com/weighbridge/weighbridge";

/// An in-toto statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Always that of in-toto, version 1.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The files of the loader's program.
    pub subject: Vec<Subject>,
    /// What kind of statement it is.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What is said.
    pub predicate: Value,
}

/// A file that a statement is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: BTreeMap<String, String>,
}

impl Subject {
    /// Its SHA-256 in hex digits; `none` without one.
    pub fn sha256(&self) -> &str {
        self.digest.get("sha256").map_or("none", String::as_str)
    }
}

/// The report that the statements are about, as a file.
#[derive(Clone, Copy, Debug)]
pub struct ReportFile<'r> {
    /// The report.
    pub report: &'r Report,
    /// SHA-256 of the file, in hex digits.
    pub sha256: &'r str,
}

/// Every statement about a report, at the time that the signer says. Without the digest of a program there
/// is nothing to make a statement about, and the list is empty.
pub fn statements(file: &ReportFile<'_>, time: &str) -> Vec<Statement> {
    let subject = subject(&file.report.record);
    if subject.is_empty() {
        return Vec::new();
    }
    let statement = |predicate_type: &str, predicate: Value| Statement {
        kind: STATEMENT.to_owned(),
        subject: subject.clone(),
        predicate_type: predicate_type.to_owned(),
        predicate,
    };
    vec![
        statement(TEST_RESULT, test_result(file)),
        statement(VERIFICATION, verification(file.report, time)),
        statement(CERTIFICATE, certificate(file, time)),
    ]
}

/// The files of the loader's program, each once.
fn subject(record: &Record) -> Vec<Subject> {
    let files = record.parts.iter().flat_map(|part| &part.program);
    let is_digest =
        |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let files: BTreeMap<(&str, &str), ()> = files
        .filter(|file| is_digest(&file.sha256))
        .map(|file| ((file.name.as_str(), file.sha256.as_str()), ()))
        .collect();
    let one = |(name, sha256): &(&str, &str)| Subject {
        name: (*name).to_owned(),
        digest: BTreeMap::from([("sha256".to_owned(), (*sha256).to_owned())]),
    };
    files.keys().map(one).collect()
}

/// The names of the requirements by their verdicts. What was not tried is in no list, so a report that is not
/// corroborated never says `PASSED`.
fn test_result(file: &ReportFile<'_>) -> Value {
    let report = file.report;
    let named = |wanted: fn(Verdict) -> bool| -> Vec<&str> {
        let all = report.judgement.requirements.iter().filter(|one| wanted(one.verdict));
        all.map(|one| one.id.as_str()).collect()
    };
    let subject = &report.record.subject;
    let source = |name: &str, sha256: &str| json!({"name": name, "digest": {"sha256": sha256}});
    json!({
        "result": if report.judgement.certificate == Certificate::Corroborated { "PASSED" } else { "FAILED" },
        "configuration": [
            source("report", file.sha256),
            source("weighbridge", &subject.binary),
            source("spec", &subject.spec),
            source("conformance", &subject.cases),
            source("fixtures", &subject.fixtures),
        ],
        "passedTests": named(|verdict| verdict == Verdict::Pass),
        "warnedTests": named(|verdict| verdict == Verdict::Warning),
        "failedTests": named(|verdict| verdict.refutes() || verdict == Verdict::Error),
    })
}

/// The classes that are earned, and the profile where it is corroborated.
fn verification(report: &Report, time: &str) -> Value {
    let mut properties: Vec<String> = report
        .judgement
        .classes
        .iter()
        .filter(|class| class.outcome == Standing::Earned)
        .map(|class| property("CLASS", &format!("{}_{}", class.name, class.version)))
        .collect();
    let whole = report.judgement.certificate == Certificate::Corroborated;
    let profile = &report.record.subject.profile;
    let is_class = |table: &Table| table.class(profile).is_some();
    if whole && !report.record.classes.as_ref().is_some_and(is_class) {
        properties.push(property("PROFILE", profile));
    }
    json!({
        "verifier": {"id": format!("{VERIFIER}/{}", report.record.subject.suite)},
        "timeCreated": time,
        "properties": properties,
    })
}

/// `WEIGHBRIDGE_CLASS_WEIGHTS_GPU_1_0`.
fn property(kind: &str, name: &str) -> String {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' }
    };
    format!("WEIGHBRIDGE_{kind}_{}", name.chars().map(plain).collect::<String>())
}

fn certificate(file: &ReportFile<'_>, time: &str) -> Value {
    let (record, judgement) = (&file.report.record, &file.report.judgement);
    let runs: Vec<Value> = record
        .parts
        .iter()
        .map(|part| {
            json!({
                "started": part.started,
                "device": part.device,
                "gpu": part.machine.gpu,
                "gpu_uuid": part.machine.gpu_uuid,
                "driver": part.machine.driver,
                "selection": part.selection,
                "isolation": part.isolation,
                "known": part.known.is_some(),
                "synthetic": part.synthetic,
            })
        })
        .collect();
    json!({
        "report": {"sha256": file.sha256, "format": file.report.format},
        "time": time,
        "subject": record.subject,
        "certificate": judgement.certificate,
        "classes": judgement.classes,
        "points": {
            "passed": judgement.points,
            "in_profile": judgement.points_in_profile,
            "declared": judgement.points_declared,
        },
        "denominator": judgement.denominator,
        "runs": runs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::{ProgramFile, sample};

    fn made(record: Record) -> Vec<Statement> {
        let report = Report::of(record);
        statements(
            &ReportFile { report: &report, sha256: &"ab".repeat(32) },
            "2026-01-02T03:04:05Z",
        )
    }

    fn with_program(mut record: Record) -> Record {
        let file = |name: &str, sha256: &str| ProgramFile {
            name: name.to_owned(),
            sha256: sha256.to_owned(),
        };
        record.parts[0].program = vec![
            file("loader.py", &"cd".repeat(32)),
            file("lib.so", "cannot be read: no such file"),
        ];
        record
    }

    #[test]
    fn only_a_corroborated_report_passed_and_every_verdict_is_counted() {
        let refuted = made(with_program(sample::record()));
        assert_eq!(refuted[0].predicate["result"], "FAILED");
        assert_eq!(refuted[0].predicate["warnedTests"][0], "CHK-001");
        let failed = refuted[0].predicate["failedTests"].as_array().map(Vec::len);
        assert_eq!(failed, Some(4), "{}", refuted[0].predicate);
        assert_eq!(refuted[1].predicate["properties"], json!([]));
        let clean = made(with_program(sample::clean()));
        assert_eq!(clean[0].predicate["result"], "PASSED");
        assert_eq!(clean[1].predicate["properties"], json!(["WEIGHBRIDGE_PROFILE_HOST"]));
        assert_eq!(clean[2].predicate["report"]["sha256"], "ab".repeat(32));
        assert_eq!(property("CLASS", "weights-gpu_1.0"), "WEIGHBRIDGE_CLASS_WEIGHTS_GPU_1_0");
    }

    #[test]
    fn the_subject_is_the_program_and_without_one_there_is_no_statement() {
        let subject = &made(with_program(sample::clean()))[0].subject;
        assert_eq!(subject.len(), 1, "{subject:?}");
        assert_eq!(
            (subject[0].name.as_str(), subject[0].digest["sha256"].len()),
            ("loader.py", 64)
        );
        assert!(made(sample::clean()).is_empty());
    }
}
