//! Checks the marks of policy: a refusal in other words than were asked for has one, and so has the table of
//! tensors of a format that has names, orders and types of its own.

use serde::Serialize;

use super::own::at;
use crate::contract::Code;
use crate::harness::case::Case;
use crate::harness::case::divide::DividedOutcome;
use crate::harness::case::expect::{DeviceOutcome, LoadCheck, LoadOutcome, Refusal};
use crate::harness::case::step::{Load, Step};
use crate::harness::record::{CaseRecord, Check, Mismatch};

/// Every mark that no refusal of the case allows, and every one that is missing.
pub(super) fn differences(found: &CaseRecord, case: &Case) -> Vec<Mismatch> {
    let steps = case.flat_steps();
    let refusals: Vec<&Refusal> = steps.iter().copied().filter_map(refusal).collect();
    let tables: Vec<bool> = steps.iter().filter_map(|step| table_is_policy(step, case)).collect();
    let checks = found.steps.iter().flat_map(|step| &step.checks);
    let mut all = Vec::new();
    for check in checks.filter(|check| !check.held || check.policy) {
        let may = match check.what.starts_with(TABLE) {
            true => tables.clone(),
            false => refusals.iter().map(|refusal| is_policy(check, refusal)).collect(),
        };
        let (any, every) = (may.contains(&true), !may.is_empty() && !may.contains(&false));
        let place = || format!("{}, {}", found.id, check.what);
        if check.policy && (!any || check.held) {
            all.push(at(place(), "no mark of policy", "one"));
        }
        if !check.policy && every {
            let wanted = match check.what.starts_with(TABLE) {
                true => "a mark of policy: this format has no one table",
                false => "a mark of policy: it is a refusal in other words",
            };
            all.push(at(place(), wanted, "none"));
        }
    }
    all
}

/// How the check of a table is named.
const TABLE: &str = "table of ";

/// Whether a step compares a table, and if so, whether the table is policy.
fn table_is_policy(step: &Step, case: &Case) -> Option<bool> {
    let Step::Load(load) = step else { return None };
    let asked = match &load.expect {
        LoadOutcome::Loaded(asked) => asked,
        LoadOutcome::Either(either) => &either.loaded,
        LoadOutcome::Refused(_) | LoadOutcome::OneOf(_) => return None,
    };
    asked.contains(&LoadCheck::Table).then(|| !usual_format(load, case))
}

/// Whether a load is of the format whose tables are compared as the format says.
fn usual_format(load: &Load, case: &Case) -> bool {
    let own = case.models.get(&load.file).map(|model| model.format);
    load.format.or(own).unwrap_or_default().is_usual()
}

/// How a step wants its request to be refused.
fn refusal(step: &Step) -> Option<&Refusal> {
    match step {
        Step::Load(step) => match &step.expect {
            LoadOutcome::Refused(refusal) => Some(refusal),
            LoadOutcome::Either(either) => Some(&either.refused),
            LoadOutcome::Loaded(_) | LoadOutcome::OneOf(_) => None,
        },
        Step::Divide(step) => match &step.expect {
            DividedOutcome::Refused(refusal) => Some(refusal),
            DividedOutcome::Held => None,
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
    fn the_table_of_another_format_is_policy() {
        let of = |format: &str| {
            let load = format!("{{file: main, {format}expect: {{loaded: [table]}}}}");
            let text = format!("{{requirement: A, name: a, tries: a, steps: [{{load: {load}}}]}}");
            let case: Case = serde_yaml::from_str(&text).unwrap();
            table_is_policy(&case.steps[0], &case)
        };
        assert_eq!(of(""), Some(false));
        assert_eq!(of("format: gguf, "), Some(true));
    }

    #[test]
    fn a_divided_load_may_be_refused_in_other_words() {
        let of = |expect: &str| {
            let text = format!(
                "{{requirement: A, name: a, tries: a, steps: [{{divide: {{tp: 3, expect: {expect}}}}}]}}"
            );
            let case: Case = serde_yaml::from_str(&text).unwrap();
            refusal(&case.steps[0]).is_some()
        };
        assert!(of("{refused: {class: refused, code: [invalid_request]}}"));
        assert!(!of("held"));
    }

    #[test]
    fn only_a_refusal_that_was_asked_for_is_policy_in_other_words() {
        let refusal: Refusal =
            serde_yaml::from_str("{class: refused, code: [checksum_mismatch]}").unwrap();
        let of = |expected: &str, found: &str| {
            is_policy(&Check::broken("answer", expected, found, Basis::Observed), &refusal)
        };
        let wanted = "refused/any phase/checksum_mismatch";
        assert!(of(wanted, "refused/open/invalid_header: no"));
        assert!(!of(wanted, "loaded"), "it was not refused");
        assert!(!of(wanted, "internal/open/invalid_header: no"), "another fault's refusal");
        assert!(!of("loaded", "refused/verify/checksum_mismatch: no"), "none was asked for");
        let exact = Refusal { exact: true, ..refusal.clone() };
        let other = Check::broken("answer", wanted, "refused/open/io: no", Basis::Observed);
        assert!(!is_policy(&other, &exact), "the case is about the very code");
    }
}
