//! JUnit XML for continuous integration: one test suite for each section, one test case for each
//! case.
//!
//! What is written has only elements and attributes that the schema of Jenkins' xUnit plugin (junit-10.xsd)
//! knows, so that strict readers take it.
//!
//! JUnit has no warnings, no points and no field for a requirement. A case's id begins with its
//! requirement; the command that repeats it is in `system-out`; warnings, unsupported and untested cases are skipped tests with a reason. A
//! case that was not scheduled and a requirement without a case are skipped tests too, so that
//! every requirement of the profile is shown. JUnit is for display; the certificate is in
//! `report.json`.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::DateTime;
use quick_junit::{NonSuccessKind, Property, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::failure::first_failure;
use super::titles::{Titles, title};
use super::{causes, outcome, parts};
use crate::harness::record::judge::SectionScore;
use crate::harness::record::{CaseRecord, Record, Report, RequirementRow, Verdict};

/// The report as JUnit XML.
///
/// # Errors
///
/// [`SerializeError`] if the XML writer fails.
pub fn junit(report: &Report, titles: &Titles) -> Result<String, SerializeError> {
    let record = &report.record;
    let subject = &record.subject;
    let mut xml = quick_junit::Report::new(format!(
        "weighbridge {}: {} {}",
        subject.profile, subject.loader, subject.loader_version
    ));
    let seconds: f64 = record.parts.iter().map(|part| part.seconds).sum();
    xml.set_time(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    for section in &report.judgement.sections {
        xml.add_test_suite(suite(report, section, titles));
    }
    let mut text = in_xml(&without_skipped(&xml.to_string()?));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// The text without the sum of skipped tests over all suites, which the schema does not know.
fn without_skipped(text: &str) -> String {
    let Some(begin) = text.find("<testsuites ") else { return text.to_owned() };
    let end = text[begin..].find('>').map_or(text.len(), |end| begin + end);
    let Some(at) = text[begin..end].find(" skipped=\"").map(|at| begin + at) else {
        return text.to_owned();
    };
    let value = at + " skipped=\"".len();
    let after = text[value..].find('"').map_or(text.len(), |close| value + close + 1);
    [&text[..at], &text[after..]].concat()
}

/// The text with every character that XML 1.0 forbids replaced. A loader's strings may have any, and one of
/// them makes the whole file unreadable.
fn in_xml(text: &str) -> String {
    let allowed = |c: char| match c {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        c => c >= ' ',
    };
    text.chars().map(|c| if allowed(c) { c } else { '\u{fffd}' }).collect()
}

fn suite(report: &Report, section: &SectionScore, titles: &Titles) -> TestSuite {
    let record = &report.record;
    let cases: BTreeMap<&str, &CaseRecord> =
        record.cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let mut suite = TestSuite::new(title(titles, &section.section));
    suite.add_property(Property::new("certificate", outcome::certificate(report)));
    suite.add_property(Property::new(
        "points",
        format!("{} of {}", section.points_passed, section.points),
    ));
    for note in parts::notes(report) {
        suite.add_property(Property::new("parts", note));
    }
    if let Some(part) = record.parts.first() {
        if let Ok(began) = DateTime::parse_from_rfc3339(&part.started) {
            suite.set_timestamp(began);
        }
        // The machine's network name is nobody's business.
        suite.extra.insert("hostname".into(), outcome::machine(part).into());
    }
    let of_section = title(titles, &section.section);
    let mut us = 0_u64;
    let rows =
        record.requirements.iter().filter(|row| row.in_profile && row.section == section.section);
    for row in rows {
        if row.cases.is_empty() {
            suite.add_test_case(skipped(of_section, &row.id, "untested: no case yet"));
        }
        for id in &row.cases {
            match cases.get(id.as_str()) {
                Some(case) => {
                    us = us.saturating_add(case.elapsed_us);
                    let known = causes::known::note(report.judgement.known.as_ref(), [id.as_str()]);
                    suite.add_test_case(test(record, row, (of_section, case), known));
                }
                None => {
                    suite.add_test_case(skipped(of_section, id, "untested: not selected"));
                }
            }
        }
    }
    suite.set_time(Duration::from_micros(us));
    suite
}

fn test(
    record: &Record,
    row: &RequirementRow,
    (section, case): (&str, &CaseRecord),
    known: Option<String>,
) -> TestCase {
    let reason = case.reason.as_deref().unwrap_or_default();
    let verdict = outcome::effective(row, case);
    let message = format!("{}: {reason}", verdict.name());
    let mut status = match verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Warning | Verdict::Unsupported | Verdict::Untested => TestCaseStatus::skipped(),
        Verdict::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Timeout | Verdict::Crash | Verdict::Error => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
    };
    if verdict != Verdict::Pass {
        status.set_message(message).set_type(verdict.name());
    }
    if case.verdict.refutes() || case.verdict == Verdict::Error {
        status.set_description(first_failure(case));
    }
    let mut test = TestCase::new(case.id.as_str(), status);
    test.set_classname(section);
    test.set_time(Duration::from_micros(case.elapsed_us));
    let mut out = format!("again: {}", case.repeat);
    if let Some(part) = record.parts.get(case.part) {
        out.push_str(&format!("\nrun: {} on {}", part.started, part.device));
    }
    out.extend(known.map(|note| format!("\n{note}")));
    test.set_system_out(out);
    if let Some(stderr) = &case.stderr {
        test.set_system_err(stderr.as_str());
    }
    test
}

fn skipped(section: &str, name: &str, reason: &str) -> TestCase {
    let mut status = TestCaseStatus::skipped();
    status.set_message(reason).set_type(Verdict::Untested.name());
    let mut test = TestCase::new(name, status);
    test.set_classname(section);
    test
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::sample;

    /// Every character that XML 1.0 forbids, and some that it allows, in what a loader says.
    #[test]
    fn no_string_of_a_loader_breaks_the_file() {
        let odd: String = (0..0x20_u32)
            .chain([0x7f, 0x85, 0xfffd, 0xfffe, 0xffff, 0x1_fffe, 0x10_ffff])
            .filter_map(char::from_u32)
            .collect();
        let mut record = sample::record();
        for case in &mut record.cases {
            case.reason = case.reason.take().map(|reason| format!("{reason} {odd}"));
            case.stderr = Some(odd.clone());
        }
        record.subject.loader_version.push_str(&odd);
        let text = junit(&Report::of(record), &Titles::new()).unwrap();
        let forbidden = |c: &char| matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
        assert_eq!(text.chars().find(forbidden), None);
        assert!(text.contains('\u{fffd}') && text.contains('\u{10ffff}'));
    }

    /// The attributes and children of each element that junit-10.xsd of Jenkins' xUnit plugin knows.
    const KNOWN: [(&str, &[&str]); 9] = [
        ("testsuites", &["name", "time", "tests", "failures", "errors"]),
        (
            "testsuite",
            &["name", "tests", "failures", "errors", "time", "skipped", "timestamp", "hostname"],
        ),
        ("testcase", &["name", "time", "classname"]),
        ("properties", &[]),
        ("property", &["name", "value"]),
        ("failure", &["type", "message"]),
        ("error", &["type", "message"]),
        ("skipped", &["type", "message"]),
        ("system-out", &[]),
    ];

    #[test]
    fn only_what_the_schema_knows_is_written() {
        let text = junit(&Report::of(sample::record()), &Titles::new()).unwrap();
        let mut seen = 0;
        for tag in text.split('<').skip(1).filter(|tag| !tag.starts_with(['/', '?'])) {
            let inside = &tag[..tag.find('>').expect("a tag ends")];
            let (element, attributes) = inside.split_once(' ').unwrap_or((inside, ""));
            let element = element.trim_end_matches('/');
            if element == "system-err" {
                continue;
            }
            let (_, known) =
                KNOWN.iter().find(|(name, _)| *name == element).unwrap_or_else(|| panic!("{tag}"));
            for name in attributes.split("=\"").filter_map(|part| part.rsplit(['"', ' ']).next()) {
                let name = name.trim_end_matches('/');
                assert!(name.is_empty() || known.contains(&name), "{name} in {inside}");
            }
            seen += 1;
        }
        assert!(seen > 30, "{text}");
        // A case has no properties: the schema allows them in suites alone.
        let cases = text.split("<testcase").skip(1);
        assert!(
            cases
                .map(|case| case.split("</testcase>").next())
                .all(|case| { case.is_some_and(|case| !case.contains("<properties>")) })
        );
        assert!(text.contains("timestamp=\"") && text.contains("hostname=\"Example CPU (cpu)\""));
        assert!(text.contains("classname=\"load\""), "a section without title is its key");
    }
}
