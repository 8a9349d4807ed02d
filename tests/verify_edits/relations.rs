//! Edits of what decides a check: its relation, the two texts and whether it held, alone and two at a time.

use weighbridge::harness::record::{CaseRecord, Check, Record, Relation, Verdict};

use super::checks::{broken, check, failed};
use super::edit::How::Record as Rec;
use super::edit::{Edit, noticed, unnoticed};
use super::runs::Base::{Earned, Refuted};

/// Every edit of this kind.
pub fn edits() -> Vec<Edit> {
    [of_relation(), of_pairs(), of_bounds()].concat()
}

const DIGEST: &str = "SHA-256 of the file written";
const HELD: &str = "bytes held for the model";

fn of_relation() -> Vec<Edit> {
    vec![
        noticed(
            "relation equals made judged",
            Earned,
            Rec(|it| check(it, DIGEST).relation = Some(Relation::Judged)),
        ),
        noticed(
            "relation equals made one of several",
            Earned,
            Rec(|it| check(it, DIGEST).relation = Some(Relation::OneOf)),
        ),
        noticed(
            "relation of a number made equals",
            Earned,
            Rec(|it| check(it, HELD).relation = Some(Relation::Equals)),
        ),
        noticed(
            "relation of a broken check made another that does not hold",
            Refuted,
            Rec(|it| broken(it).relation = Some(Relation::Mentions)),
        ),
        noticed(
            "relations removed, as in an earlier report",
            Earned,
            Rec(|it| {
                it.format = "weighbridge.record/1".into();
                all(it).for_each(|check| check.relation = None);
            }),
        ),
        noticed(
            "record said to be of the earlier format",
            Earned,
            Rec(|it| it.format = "weighbridge.record/1".into()),
        ),
    ]
}

/// A failure whose broken check is edited in two fields, and made a pass where it then holds.
fn of_pairs() -> Vec<Edit> {
    vec![
        noticed(
            "broken check: relation and held",
            Refuted,
            Rec(|it| {
                passing(it, |check| {
                    (check.relation, check.held) = (Some(Relation::Equals), true);
                });
            }),
        ),
        noticed(
            "broken check: found and held",
            Refuted,
            Rec(|it| {
                passing(it, |check| {
                    (check.found, check.held) = ("equal: 64 bytes".into(), true);
                });
            }),
        ),
        noticed(
            "broken check: expected and held",
            Refuted,
            Rec(|it| {
                passing(it, |check| (check.expected, check.held) = ("equal".into(), true));
            }),
        ),
        noticed(
            "broken check: expected as was found, and held",
            Refuted,
            Rec(|it| {
                passing(it, |check| (check.expected, check.held) = (check.found.clone(), true));
            }),
        ),
        noticed(
            "broken check: expected and found",
            Refuted,
            Rec(|it| {
                let check = broken(it);
                (check.expected, check.found) = ("equal".into(), "equal: 64 bytes".into());
            }),
        ),
        noticed(
            "broken check: relation and found",
            Refuted,
            Rec(|it| {
                let check = broken(it);
                (check.relation, check.found) = (Some(Relation::Equals), check.expected.clone());
            }),
        ),
        noticed(
            "broken check: relation and expected",
            Refuted,
            Rec(|it| {
                let check = broken(it);
                (check.relation, check.expected) = (Some(Relation::Equals), check.found.clone());
            }),
        ),
        noticed(
            "check of a pass: relation and expected",
            Earned,
            Rec(|it| {
                let check = check(it, HELD);
                (check.relation, check.expected) = (Some(Relation::Judged), check.found.clone());
            }),
        ),
        noticed(
            "check of a pass: relation and found",
            Earned,
            Rec(|it| {
                let check = check(it, HELD);
                (check.relation, check.found) = (Some(Relation::Judged), check.expected.clone());
            }),
        ),
        noticed(
            "check of a pass: found and held",
            Earned,
            Rec(|it| {
                let check = check(it, HELD);
                (check.found, check.held) = ("1".into(), false);
            }),
        ),
    ]
}

fn of_bounds() -> Vec<Edit> {
    vec![
        noticed(
            "bound turned round",
            Earned,
            Rec(|it| {
                let turn = |check: &&mut Check| check.expected.starts_with("at most ");
                let check = all(it).find(turn).expect("a bound");
                check.expected = "at least 0".into();
            }),
        ),
        noticed(
            "bounds made none",
            Earned,
            Rec(|it| check(it, HELD).expected = "any to any".into()),
        ),
        noticed(
            "number with its unit made a word",
            Earned,
            Rec(|it| check(it, HELD).found = "enough".into()),
        ),
        unnoticed(
            "bounds made wider",
            Earned,
            Rec(|it| check(it, HELD).expected = "0 to 99999999999".into()),
            "what a seed gave is not in the report",
        ),
    ]
}

fn all(record: &mut Record) -> impl Iterator<Item = &mut Check> {
    let steps = record.cases.iter_mut().flat_map(|case| &mut case.steps);
    steps.flat_map(|step| &mut step.checks)
}

/// Edits the broken check of a failure, and makes the case a pass.
fn passing(record: &mut Record, change: fn(&mut Check)) {
    let case: &mut CaseRecord = failed(record);
    (case.verdict, case.reason, case.stderr) = (Verdict::Pass, None, None);
    let mut checks = case.steps.iter_mut().flat_map(|step| &mut step.checks);
    change(checks.find(|check| !check.held).expect("a broken check"));
}
