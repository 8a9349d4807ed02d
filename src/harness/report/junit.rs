//! JUnit XML for continuous integration: one test suite for each section, one test case for each
//! case.
//!
//! JUnit has no warnings, no points and no field for a requirement. The requirement is a property
//! of the test case; warnings, unsupported and untested cases are skipped tests with a reason. A
//! case that was not scheduled and a requirement without a case are skipped tests too, so that
//! every requirement of the profile is shown. JUnit is for display; the certificate is in
//! `report.json`.

use std::collections::BTreeMap;
use std::time::Duration;

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
    let mut text = in_xml(&xml.to_string()?);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
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
    let mut us = 0_u64;
    let rows =
        record.requirements.iter().filter(|row| row.in_profile && row.section == section.section);
    for row in rows {
        if row.cases.is_empty() {
            suite.add_test_case(skipped(row, &row.id, "untested: no case yet"));
        }
        for id in &row.cases {
            match cases.get(id.as_str()) {
                Some(case) => {
                    us = us.saturating_add(case.elapsed_us);
                    let mut test = test(record, row, case);
                    let known = causes::known::note(report.judgement.known.as_ref(), [id.as_str()]);
                    test.properties.extend(known.map(|note| Property::new("known", note)));
                    suite.add_test_case(test);
                }
                None => {
                    suite.add_test_case(skipped(row, id, "untested: not selected"));
                }
            }
        }
    }
    suite.set_time(Duration::from_micros(us));
    suite
}

fn test(record: &Record, row: &RequirementRow, case: &CaseRecord) -> TestCase {
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
    describe(&mut test, row);
    test.set_time(Duration::from_micros(case.elapsed_us));
    test.set_assertions(case.steps.iter().map(|step| step.checks.len()).sum());
    test.add_property(Property::new("repeat", case.repeat.as_str()));
    if let Some(part) = record.parts.get(case.part) {
        test.add_property(Property::new("run", format!("{} on {}", part.started, part.device)));
    }
    if let Some(stderr) = &case.stderr {
        test.set_system_err(stderr.as_str());
    }
    test
}

fn skipped(row: &RequirementRow, name: &str, reason: &str) -> TestCase {
    let mut status = TestCaseStatus::skipped();
    status.set_message(reason).set_type(Verdict::Untested.name());
    let mut test = TestCase::new(name, status);
    describe(&mut test, row);
    test
}

fn describe(test: &mut TestCase, row: &RequirementRow) {
    test.set_classname(row.section.as_str());
    test.add_property(Property::new("requirement", row.id.as_str()));
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
}
