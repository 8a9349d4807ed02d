//! Edits of the steps and checks of a case.

use weighbridge::harness::record::{Basis, CaseRecord, Check, Record, Verdict};

use super::edit::How::Record as Rec;
use super::edit::{Edit, noticed, unnoticed};
use super::runs::Base::{Earned, Refuted};

/// Every edit of this kind.
pub fn edits() -> Vec<Edit> {
    [of_list(), of_values()].concat()
}

fn of_list() -> Vec<Edit> {
    vec![
        noticed(
            "necessary check removed from a pass",
            Earned,
            Rec(|it| {
                let step = loaded(it).steps.iter_mut().find(|step| !step.checks.is_empty());
                step.expect("a step").checks.remove(0);
            }),
        ),
        noticed(
            "step removed from a pass",
            Earned,
            Rec(|it| {
                loaded(it).steps.pop();
            }),
        ),
        noticed(
            "first step removed from a pass",
            Earned,
            Rec(|it| {
                loaded(it).steps.remove(0);
            }),
        ),
        noticed("steps in another order", Earned, Rec(|it| loaded(it).steps.reverse())),
        noticed("check renamed", Earned, Rec(|it| bytes(it).what = "some bytes".into())),
        noticed("step renamed", Earned, Rec(|it| loaded(it).steps[0].does = "look at it".into())),
        noticed(
            "check added that holds",
            Earned,
            Rec(|it| {
                let more = Check::equal("elegance", "much", "much", Basis::Observed);
                loaded(it).steps[0].checks.push(more);
            }),
        ),
        noticed(
            "check of another step added",
            Earned,
            Rec(|it| {
                let more = check(it, "byte for byte").clone();
                loaded(it).steps[0].checks.push(more);
            }),
        ),
        noticed(
            "step added with checks that hold",
            Earned,
            Rec(|it| {
                let mut more = loaded(it).steps[0].clone();
                more.does = "look at it again".into();
                loaded(it).steps.push(more);
            }),
        ),
        noticed(
            "step repeated",
            Earned,
            Rec(|it| {
                let more = loaded(it).steps[0].clone();
                loaded(it).steps.insert(0, more);
            }),
        ),
        noticed(
            "check repeated",
            Earned,
            Rec(|it| {
                let check = loaded(it).steps[0].checks[0].clone();
                loaded(it).steps[0].checks.insert(0, check);
            }),
        ),
        noticed(
            "broken check removed from a failure",
            Refuted,
            Rec(|it| {
                failed(it).steps.last_mut().expect("a step").checks.pop();
            }),
        ),
        noticed(
            "held check removed from before the broken one",
            Refuted,
            Rec(|it| {
                failed(it).steps[0].checks.remove(0);
            }),
        ),
        noticed(
            "first step removed from a failure",
            Refuted,
            Rec(|it| {
                failed(it).steps.remove(0);
            }),
        ),
        noticed(
            "check behind the broken one",
            Refuted,
            Rec(|it| {
                let more = Check::equal("elegance", "much", "much", Basis::Observed);
                failed(it).steps.last_mut().expect("a step").checks.push(more);
            }),
        ),
    ]
}

fn of_values() -> Vec<Edit> {
    vec![
        noticed("broken check made to hold", Refuted, Rec(|it| broken(it).held = true)),
        noticed("check of a pass made not to hold", Earned, Rec(|it| bytes(it).held = false)),
        noticed(
            "value found, where equality was asked for",
            Earned,
            Rec(|it| {
                check(it, "SHA-256 of the file written").found = "0".repeat(64);
            }),
        ),
        noticed(
            "value expected, where equality was asked for",
            Earned,
            Rec(|it| {
                check(it, "SHA-256 of the file written").expected = "0".repeat(64);
            }),
        ),
        noticed(
            "number of bytes that differ, as all equal",
            Refuted,
            Rec(|it| {
                broken(it).found = "equal: 64 bytes".into();
            }),
        ),
        noticed(
            "value found, outside of its bounds",
            Earned,
            Rec(|it| {
                check(it, "bytes held for the model").found = "1".into();
            }),
        ),
        unnoticed(
            "value found, within its bounds",
            Earned,
            Rec(|it| {
                let check = check(it, "bytes held for the model");
                check.found = check.expected.rsplit(' ').next().unwrap_or_default().into();
            }),
            "the loader's answer is not in the report a second time",
        ),
        unnoticed(
            "value expected and found, alike",
            Earned,
            Rec(|it| {
                let check = check(it, "SHA-256 of the file written");
                (check.expected, check.found) = ("0".repeat(64), "0".repeat(64));
            }),
            "what a seed gave is not in the report",
        ),
        unnoticed(
            "failure rewritten into a pass, texts and all",
            Refuted,
            Rec(rewrite),
            "the report does not hold the bytes that were compared",
        ),
        noticed("mark of policy on a broken check", Refuted, Rec(|it| broken(it).policy = true)),
        noticed("mark of policy on a check that held", Earned, Rec(|it| bytes(it).policy = true)),
        unnoticed("who found a value", Earned, Rec(|it| bytes(it).basis = Basis::Declared), TOLD),
        unnoticed(
            "the loader's claim",
            Earned,
            Rec(|it| {
                loaded(it).steps[0].claim = Some(serde_json::json!({ "handle": 1 }));
            }),
            TOLD,
        ),
        unnoticed(
            "the wrong element",
            Refuted,
            Rec(|it| {
                broken(it).values.as_mut().expect("values").element += 1;
            }),
            TOLD,
        ),
        unnoticed("time of a step", Earned, Rec(|it| loaded(it).steps[0].elapsed_us += 1), TOLD),
    ]
}

/// Makes a failure a pass, texts and all.
pub fn rewrite(record: &mut Record) {
    let case = failed(record);
    (case.verdict, case.reason, case.stderr) = (Verdict::Pass, None, None);
    for check in case.steps.iter_mut().flat_map(|step| &mut step.checks) {
        if !check.held {
            let (what, equal) = (check.what.clone(), Ok("128 bytes".to_owned()));
            *check = Check::judged(what, "equal", equal, Basis::Observed);
        }
    }
}

const TOLD: &str = "nothing else says what it was";

/// A passed case that loads and compares every byte.
pub fn loaded(record: &mut Record) -> &mut CaseRecord {
    let whole = |case: &&mut CaseRecord| {
        let has = |what: &str| {
            let mut checks = case.steps.iter().flat_map(|step| &step.checks);
            checks.any(|check| check.what.contains(what))
        };
        case.verdict == Verdict::Pass
            && case.steps.len() > 1
            && has("byte for byte")
            && has("bytes held for the model")
    };
    record.cases.iter_mut().find(whole).expect("such a case")
}

pub fn check<'a>(record: &'a mut Record, what: &str) -> &'a mut Check {
    let mut checks = loaded(record).steps.iter_mut().flat_map(|step| &mut step.checks);
    checks.find(|check| check.what.contains(what)).unwrap_or_else(|| panic!("no {what}"))
}

fn bytes(record: &mut Record) -> &mut Check {
    check(record, "byte for byte")
}

pub fn failed(record: &mut Record) -> &mut CaseRecord {
    let is = |case: &&mut CaseRecord| {
        let broken = case.first_broken();
        case.verdict == Verdict::Fail && broken.is_some_and(|it| it.what.contains("byte for byte"))
    };
    record.cases.iter_mut().find(is).expect("a failure by bytes")
}

pub fn broken(record: &mut Record) -> &mut Check {
    let mut checks = failed(record).steps.iter_mut().flat_map(|step| &mut step.checks);
    checks.find(|check| !check.held).expect("a broken check")
}
