//! Compares the verdict of a case with what its run says of the loader and of the device: a case is
//! unsupported only for a capability that is not declared, and decided only with all of them declared.

use super::own::at;
use crate::contract::{Device, capability};
use crate::harness::case::Case;
use crate::harness::model::Architecture;
use crate::harness::record::{CaseRecord, Mismatch, NO_OBJECT, OVER, Part, Verdict};
use crate::harness::run::suite_run::obstacle::{lacked_cards, obstacle_everywhere};

/// Every difference.
pub(super) fn differences(found: &CaseRecord, case: &Case, part: &Part) -> Vec<Mismatch> {
    let device: Device = match part.device.parse() {
        Ok(device) => device,
        Err(why) => return vec![at("device", "cpu or cuda:N", why)],
    };
    let reason = found.reason.as_deref().unwrap_or_default();
    if found.verdict == Verdict::Untested && device.is_gpu() && lacked_cards(case, reason) {
        return Vec::new();
    }
    if found.has_no_object() && !may_lack_its_object(found, case) {
        return vec![at(&found.id, "no such reason: the case has an object", reason)];
    }
    if matches!(found.verdict, Verdict::Pass | Verdict::Warning) && was_over(found) {
        let expected = format!("untested {NO_OBJECT}a load was {OVER}");
        return vec![at(&found.id, expected, found.verdict.name())];
    }
    if let Some(why) = obstacle_everywhere(case, device) {
        let same = found.verdict == Verdict::Untested && reason.starts_with(&why);
        let actual = format!("{} {reason}", found.verdict.name());
        return if same {
            Vec::new()
        } else {
            vec![at(&found.id, format!("untested {why}"), actual)]
        };
    }
    let lacks: Vec<Option<String>> =
        checkpoints(part).map(|checkpoint| undeclared(case, checkpoint, part, device)).collect();
    let decided = matches!(found.verdict, Verdict::Pass | Verdict::Warning | Verdict::Fail);
    let mut all = Vec::new();
    if found.verdict == Verdict::Unsupported {
        let fits = |why: &Option<String>| why.as_ref().is_some_and(|why| reason.starts_with(why));
        if !lacks.iter().any(fits) {
            let expected = match lacks.iter().flatten().next() {
                Some(why) => format!("unsupported {why}"),
                None => "no unsupported case: its run declares all that it relies on".to_owned(),
            };
            all.push(at(&found.id, expected, format!("unsupported {reason}")));
        }
    } else if (decided || !found.steps.is_empty())
        && let [Some(why), others @ ..] = lacks.as_slice()
        && others.iter().all(Option::is_some)
    {
        let expected = format!("unsupported {why}");
        all.push(at(&found.id, expected, found.verdict.name()));
    }
    all
}

/// Whether the case looks for something that may not be there, and has looked: behind a load that is held, or at one
/// that could not be stopped.
fn may_lack_its_object(found: &CaseRecord, case: &Case) -> bool {
    let last = found.steps.last().and_then(|step| step.checks.last());
    let is_held = last.is_some_and(|check| check.what == "what the ranks say they hold");
    case.loses_a_rank() && is_held || was_over(found)
}

/// Whether a load of a second process could not be stopped in the middle.
fn was_over(found: &CaseRecord) -> bool {
    let mut checks = found.steps.iter().flat_map(|step| &step.checks);
    checks.any(|check| {
        let more = check.found.strip_prefix(&check.expected);
        check.what == "the load of the second process"
            && more.and_then(|more| more.strip_prefix(": ")) == Some(OVER)
    })
}

/// The words about a run's own checkpoint, in what it says of its files.
const CHECKPOINT: &str = "every file but the checkpoint";

/// What the run's own checkpoint may be: nothing, where the run had none.
fn checkpoints(part: &Part) -> impl Iterator<Item = Option<Architecture>> {
    let has = part.synthetic.iter().any(|line| line.starts_with(CHECKPOINT));
    let all = if has { Architecture::ALL.as_slice() } else { &[] };
    std::iter::once(None).chain(all.iter().copied().map(Some))
}

/// The first capability that the case relies on and its run does not declare, in a run's own words.
fn undeclared(
    case: &Case,
    checkpoint: Option<Architecture>,
    part: &Part,
    device: Device,
) -> Option<String> {
    let relies = case.relies(checkpoint).on(device);
    relies.into_iter().map(capability::name).find_map(|name| {
        let reason = match part.capabilities.get(&name).map(String::as_str) {
            Some("yes") => return None,
            Some("no") => "no reason given",
            Some(word) => word.strip_prefix("no: ").unwrap_or(word),
            None => "not claimed",
        };
        Some(format!("{name}: {reason}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::{Basis, Check, StepRecord, sample};

    #[test]
    fn only_a_case_that_has_looked_may_lack_its_object() {
        let case = |lose: &str| -> Case {
            let text = format!(
                "{{requirement: A, name: a, tries: a, steps: [{{divide: {{tp: 2, {lose}expect: held}}}}]}}"
            );
            serde_yaml::from_str(&text).unwrap()
        };
        let found = |checks: &[&str]| {
            let held = |what: &&str| Check::equal(*what, "1", "1", Basis::Observed);
            let mut found = sample::because("A::a", Verdict::Untested, "nothing to try: it");
            found.steps = vec![StepRecord {
                does: "divide".to_owned(),
                claim: None,
                checks: checks.iter().map(held).collect(),
                elapsed_us: 0,
            }];
            found
        };
        let looked = found(&["device", "what the ranks say they hold"]);
        assert!(may_lack_its_object(&looked, &case("lose: ended, ")));
        assert!(!may_lack_its_object(&looked, &case("")));
        assert!(!may_lack_its_object(&found(&["device"]), &case("lose: ended, ")));
        assert!(!may_lack_its_object(&found(&[]), &case("lose: ended, ")));
    }

    #[test]
    fn a_load_that_could_not_be_stopped_was_no_try() {
        let text = "{requirement: A, name: a, tries: a, steps: [{load_beside: {}}]}";
        let case: Case = serde_yaml::from_str(text).unwrap();
        let mut part = Part { device: "cpu".to_owned(), ..sample::part("2026-01-01T00:00:00Z") };
        let relies = case.relies(None).on(Device::Cpu).into_iter().map(capability::name);
        part.capabilities = relies.map(|name| (name, "yes".to_owned())).collect();
        let of = |how: &str, verdict: Verdict| {
            let wanted = "stopped in the middle, or over before it could be stopped";
            let how = Ok(how.to_owned());
            let what = "the load of the second process";
            let check = Check::judged(what, wanted, how, Basis::Observed);
            let reason = format!("{NO_OBJECT}it was {OVER}");
            let mut found = sample::because("A::a", verdict, &reason);
            let step = |does: &str, checks| StepRecord {
                does: does.to_owned(),
                claim: None,
                checks,
                elapsed_us: 0,
            };
            found.steps = vec![step("load", vec![check]), step("compare", Vec::new())];
            differences(&found, &case, &part)
        };
        assert!(of(OVER, Verdict::Untested).is_empty());
        assert_eq!(of("stopped in the middle", Verdict::Untested).len(), 1);
        assert_eq!(of(OVER, Verdict::Pass).len(), 1);
        assert!(of("stopped in the middle", Verdict::Pass).is_empty());
        assert!(of(OVER, Verdict::Fail).is_empty(), "what is wrong is wrong without a stop too");
    }
}
