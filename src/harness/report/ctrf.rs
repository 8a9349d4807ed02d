//! The report in the Common Test Report Format, for tools that read it. Source: CTRF's schema, version 0.0.
//!
//! A case is a test, and its section a suite. The format has no warnings, no points and no word for *untested*:
//! `rawStatus` has the verdict as it is, and everything that was not tried is `skipped`. The certificate is in
//! `report.json`.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::{Map, Value, json};

use super::failure::first_failure;
use super::outcome;
use super::text::plain;
use super::titles::{Titles, title};
use crate::harness::record::{CaseRecord, Part, Report, RequirementRow, Verdict};

/// Version of the format that is written.
const VERSION: &str = "0.0.0";

/// The report as a CTRF document.
pub fn ctrf(report: &Report, titles: &Titles) -> Value {
    let record = &report.record;
    let cases: BTreeMap<&str, &CaseRecord> =
        record.cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let rows = || record.requirements.iter().filter(|row| row.in_profile);
    let tests: Vec<Value> = rows()
        .flat_map(|row| {
            let section = title(titles, &row.section);
            let one = |id: &String| match cases.get(id.as_str()) {
                Some(case) => tried(row, section, case),
                None => open(row, section, id, "not selected"),
            };
            let none = row.cases.is_empty().then(|| open(row, section, &row.id, "no case yet"));
            row.cases.iter().map(one).chain(none).collect::<Vec<_>>()
        })
        .collect();
    let number = |status: &str| tests.iter().filter(|test| test["status"] == status).count();
    let (start, stop) = span(&record.parts);
    let subject = &record.subject;
    json!({
        "reportFormat": "CTRF",
        "specVersion": VERSION,
        "generatedBy": format!("weighbridge {}", subject.suite),
        "results": {
            "tool": {"name": "weighbridge", "version": subject.suite},
            "summary": {
                "tests": tests.len(),
                "passed": number("passed"),
                "failed": number("failed"),
                "skipped": number("skipped"),
                "pending": 0,
                "other": number("other"),
                "suites": report.judgement.sections.len(),
                "start": start,
                "stop": stop,
                "extra": {"certificate": outcome::certificate(report)},
            },
            "environment": environment(report),
            "tests": tests,
        },
    })
}

/// CTRF's word for a verdict.
const fn status(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "passed",
        Verdict::Fail | Verdict::Crash | Verdict::Timeout => "failed",
        Verdict::Unsupported | Verdict::Untested => "skipped",
        Verdict::Warning | Verdict::Error => "other",
    }
}

fn tried(row: &RequirementRow, section: &str, case: &CaseRecord) -> Value {
    let verdict = outcome::effective(row, case);
    let mut test = test(row, section, &case.id, verdict);
    test.insert("duration".to_owned(), json!(case.elapsed_us / 1000));
    if verdict != Verdict::Pass {
        test.insert("message".to_owned(), json!(plain(&outcome::evidence(case))));
        test.insert("extra".to_owned(), json!({"repeat": plain(&case.repeat)}));
    }
    if case.verdict.refutes() || case.verdict == Verdict::Error {
        test.insert("trace".to_owned(), json!(first_failure(case)));
    }
    Value::Object(test)
}

fn open(row: &RequirementRow, section: &str, id: &str, why: &str) -> Value {
    let mut test = test(row, section, id, Verdict::Untested);
    test.insert("message".to_owned(), json!(why));
    Value::Object(test)
}

fn test(row: &RequirementRow, section: &str, id: &str, verdict: Verdict) -> Map<String, Value> {
    let value = json!({
        "name": id,
        "status": status(verdict),
        "duration": 0,
        "rawStatus": verdict.name(),
        "suite": [section],
        "labels": {"requirement": row.id, "points": row.points},
    });
    value.as_object().cloned().unwrap_or_default()
}

fn environment(report: &Report) -> Value {
    let subject = &report.record.subject;
    let runs: Vec<Value> = (report.record.parts.iter())
        .map(|part| json!({"device": part.device, "gpu": part.machine.gpu, "seed": part.seed}))
        .collect();
    json!({
        "appName": plain(&subject.loader),
        "appVersion": plain(&subject.loader_version),
        "commit": subject.commit,
        "extra": {"profile": subject.profile, "runs": runs},
    })
}

/// Begin of the first run and end of the last, in milliseconds since 1970.
fn span(parts: &[Part]) -> (i64, i64) {
    let begun = |part: &Part| {
        DateTime::parse_from_rfc3339(&part.started).map_or(0, |time| time.timestamp_millis())
    };
    let ended = |part: &Part| begun(part).saturating_add((part.seconds * 1e3) as i64);
    let start = parts.iter().map(begun).min().unwrap_or(0);
    (start, parts.iter().map(ended).max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::sample;

    #[test]
    fn every_case_is_one_test_and_the_sums_fit() {
        let report = Report::of(sample::record());
        let value = ctrf(&report, &Titles::new());
        let (summary, tests) = (&value["results"]["summary"], &value["results"]["tests"]);
        let number = |name: &str| summary[name].as_u64().unwrap_or_default();
        let tests = tests.as_array().expect("tests");
        assert_eq!(number("tests"), tests.len() as u64);
        let parts = ["passed", "failed", "skipped", "other"].map(number).iter().sum::<u64>();
        assert_eq!(parts, number("tests"));
        assert_eq!((number("failed"), number("other")), (3, 2), "{summary}");
        assert!(summary["stop"].as_i64() > summary["start"].as_i64());
        let failed = tests.iter().find(|test| test["name"] == "LOAD-002::every_byte").expect("it");
        assert!(
            failed["message"].as_str().is_some_and(|text| text.contains("7 differ")),
            "{failed}"
        );
        assert_eq!(failed["rawStatus"], "fail");
    }
}
