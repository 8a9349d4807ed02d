//! Every change by hand to a record or its judgement is listed.

use crate::harness::record::judge::{Certificate, Judgement};
use crate::harness::record::{CaseRecord, Health, Record, Report, Verdict, health, sample};

/// The mismatches of the sample after one change to it.
fn after(change: impl FnOnce(&mut Record)) -> Vec<String> {
    let mut record = sample::record();
    change(&mut record);
    record.verify().iter().map(ToString::to_string).collect()
}

fn case<'a>(record: &'a mut Record, id: &str) -> &'a mut CaseRecord {
    let index = record.cases.iter().position(|case| case.id == id);
    &mut record.cases[index.unwrap_or_else(|| panic!("no case {id}"))]
}

#[test]
fn honest_records_and_reports_have_nothing_to_list() {
    assert_eq!(sample::record().verify(), []);
    assert_eq!(sample::clean().verify(), []);
    assert_eq!(Report::of(sample::record()).verify(), []);
}

#[test]
fn a_verdict_needs_what_it_stands_on() {
    let pass = "LOAD-001::whole_file";
    let fail = "LOAD-002::every_byte";
    assert_eq!(
        after(|record| case(record, pass).steps.clear()),
        [format!("{pass}: pass, but nothing was checked")]
    );
    assert_eq!(
        after(|record| {
            let check = &mut case(record, pass).steps[0].checks[1];
            (check.held, check.found) = (false, "another".to_owned());
        }),
        [format!("{pass}: pass, but a check did not hold: tensor table")]
    );
    assert_eq!(
        after(|record| case(record, pass).reason = Some("slow".to_owned())),
        [format!("{pass}: pass, but a reason for another verdict is stated")]
    );
    assert_eq!(
        after(|record| {
            case(record, fail).verdict = Verdict::Pass;
            case(record, fail).reason = None;
        }),
        [format!("{fail}: pass, but a check did not hold: bytes of t0")]
    );
    assert_eq!(
        after(|record| {
            case(record, fail).steps.clear();
            case(record, fail).reason = None;
        }),
        [format!("{fail}: fail, but every check held and no reason is stated")]
    );
    assert_eq!(after(|record| case(record, fail).steps.clear()), [] as [&str; 0]);
    assert_eq!(
        after(|record| case(record, fail).verdict = Verdict::Warning),
        [format!("{fail}: warning, but its requirement is not of warning severity")]
    );
    for id in ["CHK-002::seeded", "CHK-003::large_file", "ERR-001::header_too_long"] {
        let found = after(|record| case(record, id).reason = Some(" ".to_owned()));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("but no reason is stated"), "{found:?}");
    }
}

#[test]
fn every_id_is_there_once() {
    let id = "LOAD-001::whole_file";
    let twice = after(|record| record.cases.push(record.cases[0].clone()));
    assert!(twice.contains(&format!("{id}: case is recorded twice")), "{twice:?}");
    let stranger = after(|record| case(record, id).requirement = "LOAD-999".to_owned());
    assert!(stranger[0].contains("not in the spec: LOAD-999"), "{stranger:?}");
    let unlisted = after(|record| record.requirements[0].cases.truncate(0));
    assert!(unlisted[0].contains("does not list it: LOAD-001"), "{unlisted:?}");
    let outside = after(|record| record.requirements[0].in_profile = false);
    assert!(outside[0].contains("outside the profile: LOAD-001"), "{outside:?}");
    let rows = after(|record| record.requirements.push(record.requirements[8].clone()));
    assert_eq!(rows, ["ERR-003: requirement is listed twice"]);
    assert!(!after(|record| record.parts.clear()).is_empty());
    let twice = after(|record| record.parts.push(record.parts[0].clone()));
    assert_eq!(twice, ["parts: the run of 2026-01-02T03:04:05Z is there twice"]);
    assert!(!after(|record| case(record, id).part = 1).is_empty());
    assert!(!after(|record| case(record, id).loader_us = 1_000_000).is_empty());
    assert!(!after(|record| record.format = "weighbridge.record/9".to_owned()).is_empty());
}

#[test]
fn a_touched_judgement_is_listed() {
    let touch = |change: fn(&mut Judgement)| -> Vec<String> {
        let mut report = Report::of(sample::record());
        change(&mut report.judgement);
        report.verify().iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        touch(|judgement| judgement.certificate = Certificate::Corroborated),
        [r#"certificate: derived "refuted", but stored is "corroborated""#]
    );
    assert_eq!(touch(|judgement| judgement.points += 1).len(), 1);
    assert_eq!(touch(|judgement| judgement.points_declared += 1).len(), 1);
    assert_eq!(touch(|judgement| judgement.denominator.outside_profile -= 1).len(), 1);
    assert_eq!(touch(|judgement| judgement.sections[0].passed += 1).len(), 1);
    assert_eq!(
        touch(|judgement| judgement.requirements[1].verdict = Verdict::Pass),
        [r#"LOAD-002: derived "fail", but stored is "pass""#]
    );
    assert_eq!(touch(|judgement| judgement.requirements.truncate(10)).len(), 2);
    assert_eq!(touch(|judgement| judgement.requirements.swap(0, 1)).len(), 1);
}

#[test]
fn who_is_not_to_blame_is_not_blamed() {
    let fail = "LOAD-002::every_byte";
    for verdict in [Verdict::Fail, Verdict::Crash, Verdict::Timeout, Verdict::Error] {
        let found = after(|record| {
            let part = case(record, fail).part;
            let sick = vec![health::tests::sick()];
            record.parts[part].health = Some(Health { before: sick, ..Health::default() });
            case(record, fail).verdict = verdict;
        });
        let blamed = |line: &String| line.starts_with(fail) && line.ends_with("is quarantined");
        assert!(found.iter().any(blamed), "{verdict:?}: {found:?}");
    }
}
