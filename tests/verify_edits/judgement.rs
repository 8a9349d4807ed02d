//! Edits of the stored judgement, which follows from the record.

use weighbridge::harness::record::class::{ClassOutcome, Standing};
use weighbridge::harness::record::judge::{Certificate, Judgement};
use weighbridge::harness::record::{Report, Verdict, known};

use super::edit::How::Report as Rep;
use super::edit::{Edit, noticed};
use super::runs::Base::{Earned, Parts, Refuted};

/// Every edit of this kind.
pub fn edits() -> Vec<Edit> {
    [of_sums(), of_outcomes()].concat()
}

fn of_sums() -> Vec<Edit> {
    vec![
        noticed(
            "refuted made corroborated",
            Refuted,
            Rep(|it| {
                it.judgement.certificate = Certificate::Corroborated;
            }),
        ),
        noticed(
            "incomplete made corroborated",
            Parts,
            Rep(|it| {
                it.judgement.certificate = Certificate::Corroborated;
            }),
        ),
        noticed(
            "refuted made a harness error",
            Refuted,
            Rep(|it| {
                it.judgement.certificate = Certificate::HarnessError;
            }),
        ),
        noticed("points that were scored", Earned, Rep(|it| it.judgement.points += 1)),
        noticed("points of the profile", Earned, Rep(|it| it.judgement.points_in_profile -= 1)),
        noticed("points of the spec", Earned, Rep(|it| it.judgement.points_declared += 1)),
        noticed(
            "count of declared requirements",
            Earned,
            Rep(|it| {
                it.judgement.denominator.declared -= 1;
            }),
        ),
        noticed(
            "counts by verdict",
            Refuted,
            Rep(|it| {
                let failed = it.judgement.denominator.by_verdict.remove(&Verdict::Fail);
                *it.judgement.denominator.by_verdict.entry(Verdict::Pass).or_default() +=
                    failed.expect("failures");
            }),
        ),
        noticed("counts of cases", Earned, Rep(|it| it.judgement.denominator.cases_scheduled += 1)),
        noticed("row of a section", Earned, Rep(|it| it.judgement.sections[0].passed += 1)),
        noticed("section removed", Earned, Rep(|it| drop(it.judgement.sections.pop()))),
    ]
}

fn of_outcomes() -> Vec<Edit> {
    vec![
        noticed(
            "verdict of a requirement",
            Refuted,
            Rep(|it| {
                let failed = it.judgement.requirements.iter_mut().find(|row| row.verdict.refutes());
                failed.expect("a failure").verdict = Verdict::Pass;
            }),
        ),
        noticed(
            "why a requirement has its verdict",
            Refuted,
            Rep(|it| {
                it.judgement.requirements[0].because = "it is so".into();
            }),
        ),
        noticed(
            "verdict of a requirement removed",
            Refuted,
            Rep(|it| {
                it.judgement.requirements.retain(|row| !row.verdict.refutes());
            }),
        ),
        noticed(
            "verdicts of requirements in another order",
            Earned,
            Rep(|it| {
                it.judgement.requirements.reverse();
            }),
        ),
        noticed(
            "class not earned made earned",
            Refuted,
            Rep(|it| {
                let other = |class: &&mut ClassOutcome| class.outcome != Standing::Earned;
                let class = it.judgement.classes.iter_mut().find(other);
                class.expect("a class").outcome = Standing::Earned;
            }),
        ),
        noticed(
            "requirements that a class is short of",
            Refuted,
            Rep(|it| {
                let short = |class: &&mut ClassOutcome| !class.short.is_empty();
                let class = it.judgement.classes.iter_mut().find(short);
                class.expect("a class").short.clear();
            }),
        ),
        noticed(
            "features of a class",
            Earned,
            Rep(|it| {
                let class =
                    it.judgement.classes.iter_mut().find(|class| !class.features.is_empty());
                class.expect("features").features.clear();
            }),
        ),
        noticed(
            "requirements that a class holds",
            Earned,
            Rep(|it| {
                it.judgement.classes[0].held += 1;
            }),
        ),
        noticed("outcome of a class removed", Earned, Rep(|it| drop(it.judgement.classes.pop()))),
        noticed(
            "known failure's state",
            Refuted,
            Rep(|it| {
                known(it).entries[0].state = known::State::NotTried;
            }),
        ),
        noticed("unlisted failures", Refuted, Rep(|it| known(it).unlisted.clear())),
        noticed(
            "certificate besides the listed failures",
            Refuted,
            Rep(|it| {
                known(it).besides = Certificate::Corroborated;
            }),
        ),
        noticed(
            "comparison with the known failures removed",
            Refuted,
            Rep(|it| it.judgement.known = None),
        ),
        noticed(
            "judgement of another run",
            Refuted,
            Rep(|it| {
                let mut other = it.record.clone();
                other.cases.retain(|case| case.verdict == Verdict::Pass);
                let made: Judgement = other.judge();
                it.judgement = made;
            }),
        ),
    ]
}

fn known(report: &mut Report) -> &mut known::Known {
    report.judgement.known.as_mut().expect("a list")
}
