//! Looks for what no case records: a step that is not the case's, a check that its step does not make, and one that
//! it makes only once.

use super::stage::{Name, Stage};
use crate::harness::record::{CaseRecord, Check};

/// How the check that ends a case may be called in any step: an answer was of another kind than asked for, or
/// what came with it cannot be read.
const ENDINGS: &[&str] = &[
    "answer",
    "answer to ",
    "after the end of the sequence",
    "bit ",
    "device memory",
    "export",
    "exported block",
    "file",
    "file read back",
    "file written",
    "number of tokens",
    "output",
    "placement",
    "plan",
    "product",
    "reason to stop",
    "size of the file written",
    "text of the tokens",
    "the loader's own time",
    "tokens",
    "tokens given to ",
];

/// The first step or check too much, along one way through the case: what was expected, and what was found.
pub(super) fn fault(case: &CaseRecord, way: &[Stage]) -> Option<(String, String)> {
    let mut at = None;
    let mut seen: Vec<&Check> = Vec::new();
    let last = case.steps.iter().flat_map(|step| &step.checks).next_back();
    for step in &case.steps {
        let next = at.map_or(0, |at| at + 1);
        let begins = |stage: &Stage| step.does.starts_with(&stage.begins);
        if way.get(next).is_some_and(begins) {
            at = Some(next);
            seen.clear();
        }
        let goes_on = |stage: &Stage| {
            begins(stage) || stage.more.iter().any(|more| step.does.starts_with(more))
        };
        let stage = at.and_then(|at| way.get(at)).filter(|stage| goes_on(stage));
        let Some(stage) = stage else {
            return Some((
                "no other step than those of the case".to_owned(),
                format!("{:?}", step.does),
            ));
        };
        for check in &step.checks {
            let ends = last.is_some_and(|last| std::ptr::eq(last, check)) && !check.held;
            if let Some(expected) = too_much(stage, check, &seen, ends) {
                return Some((
                    format!("{expected} in step {:?}", stage.begins),
                    format!("{:?}", check.what),
                ));
            }
            seen.push(check);
        }
    }
    None
}

/// Why a check may not be there, behind those that were seen in the same stage.
fn too_much(stage: &Stage, check: &Check, seen: &[&Check], ends: bool) -> Option<String> {
    let fits = |name: &&Name| name.fits(&check.what);
    if stage.also.iter().any(|name| fits(&name)) {
        return None;
    }
    if ends && ENDINGS.iter().any(|begin| check.what.starts_with(begin)) {
        return None;
    }
    let Some(own) = stage.checks.iter().find(fits) else {
        return Some("no such check".to_owned());
    };
    let most = stage.checks.iter().filter(fits).count();
    let before = seen.iter().filter(|other| own.fits(&other.what)).count();
    (before >= most).then(|| format!("at most {most} of {}", own.words()))
}

#[cfg(test)]
mod tests {
    use super::super::stage::stage;
    use super::*;
    use crate::harness::record::{Basis, StepRecord, Verdict, sample};

    fn told(records: &[(&str, &[(&str, bool)])], way: &[Stage]) -> Option<(String, String)> {
        let of = |(what, held): &(&str, bool)| match held {
            true => Check::equal(*what, "", "", Basis::Observed),
            false => Check::broken(*what, "", "x", Basis::Observed),
        };
        let step = |(does, checks): &(&str, &[(&str, bool)])| StepRecord {
            does: (*does).to_owned(),
            claim: None,
            checks: checks.iter().map(of).collect(),
            elapsed_us: 0,
        };
        let mut case = sample::because("A-001::x", Verdict::Pass, "");
        case.steps = records.iter().map(step).collect();
        fault(&case, way)
    }

    #[test]
    fn only_what_a_case_records_is_there() {
        let way = [
            stage("load", ["device", "named", "named"].map(Name::is).to_vec())
                .also([Name::begins("shape of ")]),
            stage("make", vec![Name::is("models")]).more(&["load and run"]),
        ];
        let sound: [(&str, &[(&str, bool)]); 3] = [
            ("load a", &[("device", true), ("named", true), ("shape of b", true), ("named", true)]),
            ("make all", &[]),
            ("load and run one", &[("models", true)]),
        ];
        assert_eq!(told(&sound, &way), None);
        let with = |checks: &[(&str, bool)]| told(&[("load a", checks)], &way).map(|(why, _)| why);
        assert!(with(&[("device", true), ("device", true)]).unwrap().starts_with("at most 1"));
        assert!(with(&[("elegance", true)]).unwrap().starts_with("no such check"));
        assert!(with(&[("answer", true)]).unwrap().starts_with("no such check"));
        assert_eq!(with(&[("device", true), ("answer", false)]), None, "it ended the case");
        assert!(with(&[("answer", false), ("device", true)]).is_some());
        assert!(with(&[("elegance", false)]).is_some());
        assert!(told(&[("look", &[]), sound[0]], &way).is_some());
        assert!(told(&[sound[0], ("look", &[])], &way).is_some());
    }
}
