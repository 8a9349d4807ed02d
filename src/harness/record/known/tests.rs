//! An honest list, each kind of rot, and what `verify` notices.

use super::*;
use crate::harness::record::judge::Certificate;
use crate::harness::record::{CaseRecord, Record, Report, Verdict, sample};

fn entry(pattern: &str, check: &str) -> Entry {
    Entry {
        pattern: pattern.to_owned(),
        check: check.to_owned(),
        reason: "the library drops it".to_owned(),
        link: "https://example.org/7".to_owned(),
        owner: "weights team".to_owned(),
        until: "2026-03-01".to_owned(),
    }
}

/// The clean sample, in which two cases fail, with a list.
fn record(entries: Vec<Entry>) -> Record {
    let mut record = sample::clean();
    fail(&mut record, "LOAD-002::every_byte", Verdict::Fail, "bytes of t0: 7 differ");
    fail(&mut record, "ERR-002::endless_pipe", Verdict::Timeout, "no answer within 10 s");
    record.parts[0].known = Some(List::of(entries));
    record
}

fn fail(record: &mut Record, id: &str, verdict: Verdict, reason: &str) {
    let case = record.cases.iter_mut().find(|case| case.id == id).expect("a case");
    *case = sample::because(id, verdict, reason);
}

fn known(record: &Record) -> Known {
    record.judge().known.expect("a list")
}

fn honest() -> Vec<Entry> {
    vec![entry("LOAD-002", "bytes of t0"), entry("ERR-002::endless_*", "timeout")]
}

#[test]
fn an_honest_list_counts_the_failures_and_ends_as_expected() {
    let record = record(honest());
    let judgement = record.judge();
    assert_eq!(judgement.certificate, Certificate::Refuted);
    let known = known(&record);
    assert!(!known.is_stale() && known.unlisted.is_empty(), "{known:?}");
    assert_eq!((known.as_listed(), known.besides), (2, Certificate::Corroborated));
    assert_eq!(known.entry("LOAD-002::every_byte").map(|one| &*one.check), Some("bytes of t0"));
    assert_eq!(Report::of(record).verify(), []);
}

#[test]
fn each_kind_of_rot_is_seen() {
    let state = |index: usize, record: &Record| {
        let known = known(record);
        assert!(known.is_stale(), "{known:?}");
        known.entries[index].state
    };
    let mut passes = honest();
    passes.push(entry("LOAD-001", "anything"));
    assert_eq!(state(2, &record(passes)), State::Passes);
    let mut nothing = honest();
    nothing.push(entry("LOAD-001::no_such_case", "anything"));
    assert_eq!(state(2, &record(nothing)), State::MatchesNothing);
    let mut otherwise = honest();
    otherwise[0].check = "length of t0".to_owned();
    let otherwise = record(otherwise);
    assert_eq!(state(0, &otherwise), State::FailsOtherwise);
    assert_eq!(known(&otherwise).unlisted, ["LOAD-002::every_byte"]);
    let mut expired = honest();
    expired[1].until = "2026-01-01".to_owned();
    assert_eq!(state(1, &record(expired)), State::Expired);
    let mut last_day = honest();
    last_day[1].until = "2026-01-02".to_owned();
    assert!(!known(&record(last_day)).is_stale());
}

#[test]
fn what_is_not_listed_and_what_is_not_tried_are_told_apart() {
    let mut record = record(honest());
    fail(&mut record, "CHK-002::seeded", Verdict::Crash, "the process ended");
    assert_eq!(known(&record).unlisted, ["CHK-002::seeded"]);
    fail(&mut record, "CHK-002::seeded", Verdict::Untested, "no room");
    fail(&mut record, "ERR-002::endless_pipe", Verdict::Untested, "no room");
    let known = known(&record);
    assert_eq!((known.entries[1].state, known.is_stale()), (State::NotTried, false));
    assert_eq!(known.besides, Certificate::Incomplete);
}

#[test]
fn runs_with_different_lists_do_not_end_as_expected() {
    let mut record = record(honest());
    record.parts.push(sample::part("2026-01-03T00:00:00Z"));
    assert!(!known(&record).one_list && known(&record).is_stale());
}

#[test]
fn two_entries_may_share_a_requirement() {
    let mut record =
        record(vec![entry("LOAD-001::whole_file", "short"), entry("LOAD-001", "long")]);
    record.cases.retain(|case: &CaseRecord| case.requirement == "LOAD-001");
    fail(&mut record, "LOAD-001::whole_file", Verdict::Fail, "too short");
    fail(&mut record, "LOAD-001::empty_tensor", Verdict::Fail, "too long");
    let known = known(&record);
    assert_eq!(known.as_listed(), 2, "{known:?}");
}

#[test]
fn an_entry_is_narrow_and_whole() {
    assert_eq!(entry("LOAD-001::whole_*", "gap").fault(), None);
    assert_eq!(entry("LOAD-001::abc*", "gap").fault(), None);
    for (pattern, check, until, key) in [
        ("*", "gap", "2026-03-01", "match"),
        ("LOAD-*", "gap", "2026-03-01", "match"),
        ("LOAD-001::*", "gap", "2026-03-01", "match"),
        ("LOAD-001::a*", "gap", "2026-03-01", "match"),
        ("LOAD-001::", "gap", "2026-03-01", "match"),
        ("", "gap", "2026-03-01", "match"),
        ("LOAD-001", "*", "2026-03-01", "check"),
        ("LOAD-001", "a b", "2026-03-01", "check"),
        ("LOAD-001", "gap\nhole", "2026-03-01", "check"),
        ("LOAD-001", "gap", "2026-02-29", "until"),
        ("LOAD-001", "gap", "tomorrow", "until"),
        ("LOAD-001", "gap", "2026-3-1", "until"),
    ] {
        let found = Entry { until: until.to_owned(), ..entry(pattern, check) }.fault();
        assert_eq!(found.map(|(key, _)| key), Some(key), "{pattern} {check} {until}");
    }
    assert!(entry("A-001::a*z", "gap").matches("A-001::abcz"));
    assert!(!entry("A-001::a*z", "gap").matches("A-001::abc"));
    assert!(!entry("A-001", "gap").matches("A-0012::abc"));
}

#[test]
fn an_edited_list_or_outcome_is_noticed() {
    let report = Report::of(record(honest()));
    let mut later = report.clone();
    later.record.parts[0].known.as_mut().expect("a list").entries[0].until =
        "2027-01-01".to_owned();
    assert!(
        later.verify().iter().any(|one| one.place == "digest of the known failures"),
        "unnoticed"
    );
    let mut kinder = report.clone();
    kinder.judgement.known.as_mut().expect("a list").entries[0].state = State::NotTried;
    assert!(kinder.verify().iter().any(|one| one.place == "known failures"), "unnoticed");
    let mut without = report;
    without.judgement.known = None;
    assert!(!without.verify().is_empty());
}
