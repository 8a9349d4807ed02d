//! Tests what the parts of a plan add up to: whole, missing, twice, foreign, empty, disagreeing.

use crate::harness::record::class::{DECLARED, Table};
use crate::harness::record::judge::Certificate;
use crate::harness::record::parts::*;
use crate::harness::record::{CaseRecord, MergeError, Report, merge, sample};
use crate::harness::report::outcome;
use crate::harness::report::parts::notes;

const CANARY: &str = "LOAD-001::whole_file";

/// Part `shard` of `of` of the clean sample: every case whose number modulo `of` is the part's.
fn part(shard: u64, of: u64, digest: &str) -> Record {
    let whole = sample::clean();
    let ids: Vec<&str> = whole.cases.iter().map(|case| case.id.as_str()).collect();
    let own: Vec<&str> = (0..)
        .zip(ids.iter().copied().filter(|id| *id != CANARY))
        .filter(|(index, _)| index % of + 1 == shard)
        .map(|(_, id)| id)
        .collect();
    let held = |case: &CaseRecord| case.id == CANARY || own.contains(&case.id.as_str());
    let mut run = sample::part(&format!("T{shard}"));
    run.plan = Some(PlanPart {
        digest: digest.to_owned(),
        shard,
        of,
        canaries: vec![CANARY.to_owned()],
        own: Ids::of(own.iter().copied()),
        all: Ids::of(ids.iter().copied()),
        merged: false,
        verdicts: BTreeMap::new(),
    });
    let cases = whole.cases.iter().filter(|case| held(case)).cloned().collect();
    Record { parts: vec![run], cases, ..whole }
}

fn all(of: u64) -> Vec<Record> {
    (1..=of).map(|shard| part(shard, of, "p")).collect()
}

/// The same, with another verdict of one case.
fn decided(mut record: Record, id: &str, verdict: Verdict) -> Record {
    for case in record.cases.iter_mut().filter(|case| case.id == id) {
        *case = sample::because(id, verdict, "it is so");
    }
    record
}

fn again(mut record: Record) -> Record {
    record.parts[0].started.push_str(" again");
    record
}

#[test]
fn all_parts_are_the_whole() -> Result<(), MergeError> {
    let merged = merge(all(3))?;
    assert_eq!(merged.verify(), []);
    assert_eq!(merged.judge(), sample::clean().judge());
    assert_eq!(merged.judge().certificate, Certificate::Corroborated);
    let order = |record: &Record| -> Vec<String> {
        record.cases.iter().map(|case| case.id.clone()).collect()
    };
    assert_eq!(order(&merged), order(&sample::clean()));
    Ok(())
}

#[test]
fn a_part_that_holds_is_no_certificate() {
    let report = Report::of(part(2, 3, "p"));
    assert_eq!(report.verify(), []);
    assert_eq!(report.judgement.certificate, Certificate::PartHolds);
    for text in [outcome::certificate(&report), outcome::headline(&report)] {
        assert!(text.to_lowercase().contains("part 2 of 3 "), "{text}");
        assert!(text.contains("no certificate") && !text.contains("orroborated"), "{text}");
    }
    let id = part(2, 3, "p").cases[1].id.clone();
    for (verdict, wanted) in [
        (Verdict::Untested, Certificate::Incomplete),
        (Verdict::Unsupported, Certificate::Incomplete),
        (Verdict::Fail, Certificate::Refuted),
        (Verdict::Error, Certificate::HarnessError),
    ] {
        let judged = decided(part(2, 3, "p"), &id, verdict).judge().certificate;
        assert_eq!(judged, wanted, "{verdict:?}");
    }
    assert_eq!(part(1, 1, "p").judge().certificate, Certificate::Corroborated, "all in one");
}

#[test]
fn an_untried_case_of_policy_leaves_a_part_open_only_for_a_profile() {
    let id = part(2, 3, "p").cases[1].id.clone();
    let judged = |asked: &str, policy: &[String]| {
        let mut record = decided(part(2, 3, "p"), &id, Verdict::Untested);
        record.subject.profile = asked.to_owned();
        let relies = record.cases.iter().map(|case| case.id.clone()).collect();
        record.classes = Some(Table {
            relies: BTreeMap::from([("load".to_owned(), relies)]),
            policy: policy.to_vec(),
            ..Table::default()
        });
        record.judge().certificate
    };
    let policy = [id.clone()];
    assert_eq!(judged(DECLARED, &policy), Certificate::PartHolds);
    assert_eq!(judged(DECLARED, &[]), Certificate::Incomplete);
    assert_eq!(judged("full", &policy), Certificate::Incomplete);
}

#[test]
fn a_missing_part_is_incomplete_even_if_it_holds_only_warnings() -> Result<(), MergeError> {
    let mut some = all(3);
    some.remove(1);
    for record in &mut some {
        record.requirements.iter_mut().for_each(|row| row.warning = true);
    }
    let report = Report::of(merge(some)?);
    assert_eq!(report.verify(), []);
    assert_eq!(report.judgement.certificate, Certificate::Incomplete);
    assert_eq!(report.judgement.parts.as_ref().map(|parts| parts.missing.clone()), Some(vec![2]));
    assert!(outcome::certificate(&report).contains("part 2 of 3 is missing"));
    // One part alone, merged, is as incomplete.
    let one = merge(vec![part(1, 3, "p")])?.judge();
    assert_eq!(one.certificate, Certificate::Incomplete);
    assert_eq!(one.parts.map(|parts| parts.missing), Some(vec![2, 3]));
    Ok(())
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let error =
        |records| merge(records).map_err(|error| error.to_string()).err().unwrap_or_default();
    let text = error(vec![part(1, 2, "p"), part(2, 2, "q")]);
    assert!(text.contains("record 2") && text.contains("expected p (seed"), "{text}");
    assert!(text.contains("found q (seed"), "{text}");
    let mut other = part(2, 2, "p");
    other.parts[0].seed = "0000000000000001".to_owned();
    assert!(error(vec![part(1, 2, "p"), other]).contains("(seed 0000000000000001)"));
    assert!(error(vec![part(1, 2, "p"), part(2, 3, "p")]).contains("part 2 of 3"));
    assert!(error(vec![part(1, 100, "p"), part(99, 100, "p")]).contains("no case of its own"));
    let mut overlapping = part(2, 2, "p");
    overlapping.cases = part(1, 2, "p").cases;
    assert!(error(vec![part(1, 2, "p"), overlapping]).contains("in two parts"));
    assert!(matches!(merge(vec![part(1, 2, "p"), part(1, 2, "p")]), Err(MergeError::SameRun(_))));
}

#[test]
fn attempts_that_agree_are_accepted_and_others_are_a_finding() -> Result<(), MergeError> {
    let mut records = all(2);
    records.push(again(part(1, 2, "p")));
    records.push(again(again(part(1, 2, "p"))));
    assert_eq!(merge(records.clone())?.judge(), sample::clean().judge());

    let id = part(1, 2, "p").cases[1].id.clone();
    records[2] = decided(records[2].clone(), &id, Verdict::Fail);
    let mut turned = records.clone();
    turned.reverse();
    for records in [records.clone(), turned] {
        let report = Report::of(merge(records)?);
        assert_eq!(report.verify(), []);
        assert_eq!(report.judgement.certificate, Certificate::Refuted);
        let found = report.judgement.parts.as_ref().map(|parts| parts.disagreements.clone());
        let found = found.unwrap_or_default();
        assert_eq!((found.len(), &found[0].case, found[0].seen.len()), (1, &id, 3));
        assert!(notes(&report).iter().any(|note| note.contains("disagree") && note.contains(&id)));
    }
    // What one attempt did not decide, the other may.
    records[2] = decided(records[2].clone(), &id, Verdict::Untested);
    assert_eq!(merge(records)?.judge(), sample::clean().judge());
    Ok(())
}

#[test]
fn a_card_on_which_a_canary_differs_is_named() -> Result<(), MergeError> {
    let mut records = all(3);
    records[1] = decided(records[1].clone(), CANARY, Verdict::Fail);
    records[1].parts[0].device = "cuda:0".to_owned();
    records[1].parts[0].machine.gpu = Some("Example GPU".to_owned());
    let report = Report::of(merge(records.clone())?);
    assert_eq!(report.verify(), []);
    assert_eq!(report.judgement.certificate, Certificate::Refuted);
    let notes = notes(&report);
    assert_eq!(
        notes,
        [format!(
            "canary {CANARY} differs: fail in run 2 (part 2 of 3, cuda:0 Example GPU of Linux 6.1); pass in \
             the other runs"
        )]
    );
    // A canary that was not tried says nothing of its card, so nothing is certified.
    records[1] = decided(records[1].clone(), CANARY, Verdict::Untested);
    let report = Report::of(merge(records)?);
    assert_eq!(report.judgement.certificate, Certificate::Incomplete);
    assert!(outcome::certificate(&report).contains("a canary was not tried in every part"));
    Ok(())
}

#[test]
fn a_record_that_is_not_its_part_is_noticed() {
    let mut record = part(1, 2, "p");
    record.cases.pop();
    assert!(record.verify().iter().any(|one| one.place == "part 1 of 2"));
    let mut record = part(1, 2, "p");
    record.cases.retain(|case| case.id != CANARY);
    assert!(record.verify().iter().any(|one| one.what.contains("canary")));
    let mut record = part(1, 2, "p");
    record.parts[0].plan.iter_mut().for_each(|plan| plan.shard = 3);
    assert!(record.verify().iter().any(|one| one.what.contains("no such part")));
    let mut report = Report::of(part(1, 2, "p"));
    report.judgement.parts = None;
    assert!(report.verify().iter().any(|one| one.place == "parts"));
}
