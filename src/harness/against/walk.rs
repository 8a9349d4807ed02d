//! Follows the record of a case along one way through the case: every step that was begun must be there, and
//! every check up to where the case ended.

use super::stage::{Name, Stage};
use crate::harness::record::{CaseRecord, Check, Verdict};

/// What is missing from the record: what was expected, and what was found. `None` if nothing is.
pub(super) fn fault(case: &CaseRecord, way: &[Stage]) -> Option<(String, String)> {
    if case.steps.is_empty() {
        let through = case.verdict == Verdict::Pass && !way.is_empty();
        return through.then(|| ("the case's steps".to_owned(), "none".to_owned()));
    }
    let ended_early = ended_early(case);
    let begun = match begun(case, way) {
        Ok(begun) => begun,
        Err(fault) => return Some(fault),
    };
    for (at, (stage, checks)) in way.iter().zip(&begun).enumerate() {
        let is_last = at + 1 == begun.len();
        if let Some(name) = missing(stage, checks, is_last && ended_early) {
            let expected = format!("check {} in step {:?}", name.words(), stage.begins);
            return Some((expected, "no such check".to_owned()));
        }
    }
    match way.get(begun.len()) {
        Some(stage) if !ended_early => {
            Some((format!("a step {:?}", stage.begins), "no such step".to_owned()))
        }
        _ => None,
    }
}

/// Whether the case may have ended before its last step.
fn ended_early(case: &CaseRecord) -> bool {
    let ends = |check: &Check| !check.held && !check.policy;
    match case.verdict {
        Verdict::Pass | Verdict::Warning => false,
        Verdict::Fail => case.steps.iter().flat_map(|step| &step.checks).any(ends),
        _ => true,
    }
}

/// The checks of each stage that was begun. A step may have more records than one; those before the first
/// stage belong to none.
fn begun<'a>(case: &'a CaseRecord, way: &[Stage]) -> Result<Vec<Vec<&'a Check>>, (String, String)> {
    let mut begun: Vec<Vec<&Check>> = Vec::new();
    for step in &case.steps {
        let is_next = |stage: &Stage| step.does.starts_with(&stage.begins);
        if way.get(begun.len()).is_some_and(is_next) {
            begun.push(Vec::new());
        } else if let Some(lacks) = way.get(begun.len())
            && !begun.len().checked_sub(1).is_some_and(|at| is_next(&way[at]))
            && way.iter().skip(begun.len()).any(|stage| is_next(stage) && !stage.begins.is_empty())
        {
            return Err((format!("a step {:?}", lacks.begins), format!("{:?}", step.does)));
        }
        if let Some(last) = begun.last_mut() {
            last.extend(&step.checks);
        }
    }
    Ok(begun)
}

/// The first necessary check that is not there. Of the stage in which the case ended, only those before its
/// last check are necessary.
fn missing<'a>(stage: &'a Stage, checks: &[&Check], ended_here: bool) -> Option<&'a Name> {
    let mut wanted = stage.checks.iter().peekable();
    let mut last_is_wanted = false;
    for check in checks {
        last_is_wanted = wanted.next_if(|name| name.fits(&check.what)).is_some();
    }
    let lacks = *wanted.peek()?;
    if !ended_here {
        return Some(lacks);
    }
    // Where a step repeats its checks, the name of the last one comes again, and nothing before it is missing.
    let last = checks.last().filter(|_| !last_is_wanted)?;
    // What was compared last, without what comes before it.
    wanted.skip(1).any(|name| name.fits(&last.what)).then_some(lacks)
}

#[cfg(test)]
mod tests {
    use super::super::stage::stage;
    use super::*;
    use crate::harness::record::Basis;

    #[test]
    fn a_case_may_end_in_any_round_of_a_step() {
        let names = ["where it ran", "tokens", "reason to stop"].map(Name::is);
        let checks = [names.clone(), names].concat();
        let stage = stage("generate", checks);
        let lacks = |said: &[&str]| {
            let check = |what: &&str| Check::equal(*what, "", "", Basis::Observed);
            let checks: Vec<Check> = said.iter().map(check).collect();
            missing(&stage, &checks.iter().collect::<Vec<_>>(), true).is_some()
        };
        assert!(!lacks(&["where it ran", "tokens"]));
        assert!(!lacks(&["where it ran", "tokens", "reason to stop", "where it ran"]));
        assert!(lacks(&["tokens"]), "the first check was removed");
        assert!(lacks(&["where it ran", "tokens", "where it ran", "tokens"]), "so was the third");
    }
}
