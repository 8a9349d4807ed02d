//! Edits of cases: which there are, and what became of them.

use weighbridge::harness::record::{CaseRecord, Record, Verdict};

use super::edit::How::Record as Rec;
use super::edit::{Edit, noticed, unnoticed};
use super::runs::Base::{Earned, Refuted, Stopped};

/// Every edit of this kind.
pub fn edits() -> Vec<Edit> {
    [of_list(), of_verdict(), of_words()].concat()
}

fn of_list() -> Vec<Edit> {
    vec![
        noticed("failed case dropped", Refuted, Rec(|it| drop_all(it, Verdict::refutes))),
        noticed(
            "passed case dropped",
            Earned,
            Rec(|it| {
                it.cases.remove(3);
            }),
        ),
        unnoticed(
            "failed cases dropped, and the selection said to come from a file",
            Refuted,
            Rec(|it| {
                drop_all(it, Verdict::refutes);
                it.parts[0].selection = Some("--section V --untested-from earlier.json".into());
            }),
            "the file is not in the report; the certificate is incomplete at best",
        ),
        noticed("case repeated", Earned, Rec(|it| it.cases.push(it.cases[0].clone()))),
        noticed(
            "case made up",
            Earned,
            Rec(|it| {
                let mut made = it.cases[0].clone();
                made.id = format!("{}::made_up", made.requirement);
                it.cases.push(made);
            }),
        ),
        noticed(
            "case moved to another requirement",
            Earned,
            Rec(|it| {
                let other = it.requirements.last().expect("a row").id.clone();
                it.cases[0].requirement = other;
            }),
        ),
        noticed("cases in another order", Earned, Rec(|it| it.cases.reverse())),
        noticed(
            "cases with each other's steps",
            Earned,
            Rec(|it| {
                let last = it.cases.len() - 1;
                let steps = it.cases[last].steps.clone();
                it.cases[last].steps = std::mem::replace(&mut it.cases[0].steps, steps);
            }),
        ),
        noticed("case of a run that is not there", Earned, Rec(|it| it.cases[0].part = 1)),
    ]
}

fn of_verdict() -> Vec<Edit> {
    vec![
        noticed(
            "failure made a pass",
            Refuted,
            Rec(|it| {
                let case = of(it, Verdict::Fail);
                (case.verdict, case.reason) = (Verdict::Pass, None);
            }),
        ),
        noticed(
            "failure and its check made a pass",
            Refuted,
            Rec(|it| {
                let case = of(it, Verdict::Fail);
                (case.verdict, case.reason) = (Verdict::Pass, None);
                case.steps
                    .iter_mut()
                    .flat_map(|step| &mut step.checks)
                    .for_each(|it| it.held = true);
            }),
        ),
        noticed(
            "failure made a pass, without its steps",
            Refuted,
            Rec(|it| {
                let case = of(it, Verdict::Fail);
                (case.verdict, case.reason) = (Verdict::Pass, None);
                case.steps.clear();
            }),
        ),
        noticed(
            "failure made a pass, without its last check",
            Refuted,
            Rec(|it| {
                let case = of(it, Verdict::Fail);
                (case.verdict, case.reason) = (Verdict::Pass, None);
                case.steps.last_mut().expect("a step").checks.pop();
            }),
        ),
        unnoticed(
            "failure made a pass by the steps of another case",
            Refuted,
            Rec(|it| {
                let steps = of(it, Verdict::Pass).steps.clone();
                let case = of(it, Verdict::Fail);
                (case.verdict, case.reason, case.steps) = (Verdict::Pass, None, steps);
            }),
            "the report does not hold the bytes that were compared",
        ),
        noticed(
            "failure made a warning",
            Refuted,
            Rec(|it| of(it, Verdict::Fail).verdict = Verdict::Warning),
        ),
        noticed(
            "failure made unsupported",
            Refuted,
            Rec(|it| {
                let case = of(it, Verdict::Fail);
                (case.verdict, case.reason) =
                    (Verdict::Unsupported, Some("dtype.bf16: not yet".into()));
                case.steps.clear();
            }),
        ),
        noticed(
            "failure made untested",
            Refuted,
            Rec(|it| of(it, Verdict::Fail).verdict = Verdict::Untested),
        ),
        unnoticed(
            "failure made untested, without its steps",
            Refuted,
            Rec(|it| {
                let case = of(it, Verdict::Fail);
                (case.verdict, case.reason) = (Verdict::Untested, Some("no room".into()));
                case.steps.clear();
            }),
            "why a case could not be tried is the judge's word; the certificate is incomplete at best",
        ),
        noticed(
            "failure made an error of the harness",
            Refuted,
            Rec(|it| {
                of(it, Verdict::Fail).verdict = Verdict::Error;
            }),
        ),
        noticed(
            "failure made a timeout",
            Refuted,
            Rec(|it| of(it, Verdict::Fail).verdict = Verdict::Timeout),
        ),
        noticed(
            "pass made a failure",
            Earned,
            Rec(|it| {
                let case = of(it, Verdict::Pass);
                (case.verdict, case.reason) = (Verdict::Fail, Some("it was slow".into()));
            }),
        ),
        noticed(
            "unsupported made a pass",
            Refuted,
            Rec(|it| {
                let steps = of(it, Verdict::Pass).steps.clone();
                let case = of(it, Verdict::Unsupported);
                (case.verdict, case.reason, case.steps) = (Verdict::Pass, None, steps);
            }),
        ),
        noticed(
            "unsupported made a pass, without steps",
            Refuted,
            Rec(|it| {
                let case = of(it, Verdict::Unsupported);
                (case.verdict, case.reason) = (Verdict::Pass, None);
            }),
        ),
        noticed(
            "pass made unsupported",
            Earned,
            Rec(|it| {
                let case = of(it, Verdict::Pass);
                (case.verdict, case.reason) = (Verdict::Unsupported, Some("read: not yet".into()));
                case.steps.clear();
            }),
        ),
        noticed(
            "untested made a pass, without steps",
            Stopped,
            Rec(|it| {
                let case = of(it, Verdict::Untested);
                (case.verdict, case.reason) = (Verdict::Pass, None);
            }),
        ),
        noticed(
            "untested made a pass by the steps of another case",
            Stopped,
            Rec(|it| {
                let steps = of(it, Verdict::Fail).steps[..1].to_vec();
                let case = of(it, Verdict::Untested);
                (case.verdict, case.reason, case.steps) = (Verdict::Pass, None, steps);
            }),
        ),
        noticed(
            "untested made unsupported",
            Stopped,
            Rec(|it| of(it, Verdict::Untested).verdict = Verdict::Unsupported),
        ),
    ]
}

fn of_words() -> Vec<Edit> {
    const NOT_DERIVED: &str = "nothing else says what it was";
    vec![
        noticed(
            "reason of an untested case removed",
            Stopped,
            Rec(|it| of(it, Verdict::Untested).reason = None),
        ),
        unnoticed(
            "reason of an untested case in other words",
            Stopped,
            Rec(|it| {
                of(it, Verdict::Untested).reason = Some("no room".into());
            }),
            "why a case could not be tried is the judge's word",
        ),
        noticed(
            "reason of an unsupported case",
            Refuted,
            Rec(|it| {
                of(it, Verdict::Unsupported).reason = Some("stream: not yet".into());
            }),
        ),
        noticed(
            "reason of a failure",
            Refuted,
            Rec(|it| {
                of(it, Verdict::Fail).reason = Some("the machine was busy".into());
            }),
        ),
        noticed(
            "reason of a failure removed",
            Refuted,
            Rec(|it| of(it, Verdict::Fail).reason = None),
        ),
        noticed(
            "reason added to a pass",
            Earned,
            Rec(|it| {
                of(it, Verdict::Pass).reason = Some("barely".into());
            }),
        ),
        noticed(
            "what a case tries",
            Earned,
            Rec(|it| it.cases[0].tries = "Something easier.".into()),
        ),
        noticed(
            "command that repeats a case",
            Earned,
            Rec(|it| {
                it.cases[0].repeat = it.cases[1].repeat.clone();
            }),
        ),
        noticed(
            "parts of a case's time above the whole",
            Earned,
            Rec(|it| {
                it.cases[0].loader_us = it.cases[0].elapsed_us + 1;
            }),
        ),
        unnoticed("time of a case", Earned, Rec(|it| it.cases[0].elapsed_us += 1), NOT_DERIVED),
        unnoticed(
            "size of a case's files",
            Earned,
            Rec(|it| it.cases[0].file_bytes += 1),
            NOT_DERIVED,
        ),
        unnoticed(
            "stderr of a failure",
            Refuted,
            Rec(|it| {
                of(it, Verdict::Fail).stderr = Some("nothing to see\n".into());
            }),
            NOT_DERIVED,
        ),
    ]
}

fn of(record: &mut Record, verdict: Verdict) -> &mut CaseRecord {
    let mut cases = record.cases.iter_mut();
    cases.find(|case| case.verdict == verdict).unwrap_or_else(|| panic!("no {}", verdict.name()))
}

fn drop_all(record: &mut Record, which: fn(Verdict) -> bool) {
    record.cases.retain(|case| !which(case.verdict));
}
