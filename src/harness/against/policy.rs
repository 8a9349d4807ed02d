//! Checks the marks of policy: only a refusal in other words than were asked for has one.

use serde::Serialize;

use super::own::at;
use crate::contract::Code;
use crate::harness::case::Case;
use crate::harness::case::expect::{DeviceOutcome, LoadOutcome, Refusal};
use crate::harness::case::step::Step;
use crate::harness::record::{CaseRecord, Check, Mismatch};

/// Every mark that no refusal of the case allows, and every one that is missing.
pub(super) fn differences(found: &CaseRecord, case: &Case) -> Vec<Mismatch> {
    let refusals: Vec<&Refusal> = case.flat_steps().into_iter().filter_map(refusal).collect();
    let checks = found.steps.iter().flat_map(|step| &step.checks);
    let mut all = Vec::new();
    for check in checks.filter(|check| !check.held || check.policy) {
        let may: Vec<bool> = refusals.iter().map(|refusal| is_policy(check, refusal)).collect();
        let (any, every) = (may.contains(&true), !may.is_empty() && !may.contains(&false));
        let place = || format!("{}, {}", found.id, check.what);
        if check.policy && (!any || check.held) {
            all.push(at(place(), "no mark of policy", "one"));
        }
        if !check.policy && every {
            all.push(at(place(), "a mark of policy: it is a refusal in other words", "none"));
        }
    }
    all
}

/// How a step wants its request to be refused.
fn refusal(step: &Step) -> Option<&Refusal> {
    match step {
        Step::Load(step) => match &step.expect {
            LoadOutcome::Refused(refusal) => Some(refusal),
            LoadOutcome::Either(either) => Some(&either.refused),
            LoadOutcome::Loaded(_) | LoadOutcome::OneOf(_) => None,
        },
        Step::Device(step) => match &step.expect {
            DeviceOutcome::Refused(refusal) => Some(refusal),
            DeviceOutcome::Facts(_) => None,
        },
        Step::UseAfterUnload(step) => Some(&step.refused),
        Step::MalformedRequest(step) => Some(&step.refused),
        Step::RejectInput(step) => Some(&step.refused),
        Step::Synchronize(step) => step.refused.as_ref(),
        Step::Validate(step) => step.refused.as_ref(),
        Step::Generate(step) => step.refused.as_ref(),
        _ => None,
    }
}

/// Whether a check that does not hold is policy for this refusal, by its own text `class/phase/code: words`.
fn is_policy(check: &Check, refusal: &Refusal) -> bool {
    match check.what.as_str() {
        "tensor named" | "missing from the error" => true,
        "answer" => {
            let mut words = check.found.splitn(3, '/');
            let (class, _phase, rest) = (words.next(), words.next(), words.next());
            let code = rest.and_then(|rest| rest.split(':').next()).unwrap_or_default();
            let asked = |wanted: &Code| wanted.name() == code;
            let about_code = refusal.exact && !refusal.code.iter().any(asked);
            // An answer that was not to be a refusal at all was expected in other words.
            let wanted = wire(refusal.class);
            let of_refusal = check.expected.starts_with(&format!("{wanted}/"));
            of_refusal && class == Some(wanted.as_str()) && !about_code
        }
        _ => false,
    }
}

fn wire(value: impl Serialize) -> String {
    crate::harness::run::case_run::words::wire(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::Basis;

    #[test]
    fn only_a_refusal_that_was_asked_for_is_policy_in_other_words() {
        let refusal: Refusal =
            serde_yaml::from_str("{class: refused, code: [checksum_mismatch]}").unwrap();
        let of = |expected: &str, found: &str| {
            is_policy(&Check::of("answer", expected, found, false, Basis::Observed), &refusal)
        };
        let wanted = "refused/any phase/checksum_mismatch";
        assert!(of(wanted, "refused/open/invalid_header: no"));
        assert!(!of(wanted, "loaded"), "it was not refused");
        assert!(!of(wanted, "internal/open/invalid_header: no"), "another fault's refusal");
        assert!(!of("loaded", "refused/verify/checksum_mismatch: no"), "none was asked for");
        let exact = Refusal { exact: true, ..refusal.clone() };
        let other = Check::of("answer", wanted, "refused/open/io: no", false, Basis::Observed);
        assert!(!is_policy(&other, &exact), "the case is about the very code");
    }
}
