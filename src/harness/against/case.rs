//! Compares one case of a record with the case of the suite.

use super::own::at;
use super::scope::Scope;
use super::{capabilities, policy, relations, stages, surplus, walk};
use crate::harness::case::Case;
use crate::harness::record::seed::SEALED;
use crate::harness::record::{CaseRecord, Check, Mismatch, Part, Record, Verdict, excuse};

/// Every difference.
pub(super) fn differences(
    found: &CaseRecord,
    case: &Case,
    record: &Record,
    scope: Scope<'_>,
) -> Vec<Mismatch> {
    let mut all = Vec::new();
    let mut compare = |field: &str, expected: &str, actual: &str| {
        if expected != actual {
            all.push(at(format!("{}, {field}", found.id), expected, actual));
        }
    };
    compare("requirement", &case.requirement, &found.requirement);
    compare("tries", &case.tries, &found.tries);
    let Some(part) = record.parts.get(found.part) else { return all };
    all.extend(repeat(found, part, scope));
    all.extend(capabilities::differences(found, case, part));
    all.extend(ending(found, &record.parts));
    all.extend(policy::differences(found, case));
    all.extend(relations::differences(found));
    all.extend(steps(found, case, part));
    all
}

/// The command that repeats a case names the profile, the device and the seed of its run, if that was told.
fn repeat(found: &CaseRecord, part: &Part, scope: Scope<'_>) -> Option<Mismatch> {
    let (option, device, id) = (scope.option(), &part.device, &found.id);
    let sealed =
        format!("weighbridge certify {option}--device {device} --case {id} --seed 0x{SEALED}");
    let wanted = part.unsealed(&sealed);
    let rest = found.repeat.strip_prefix(&wanted);
    let fits = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    (!fits).then(|| at(format!("{id}, repeat"), wanted, &found.repeat))
}

/// The check that did not hold gives the reason of a failure, and nothing follows it. What was not tried
/// has no steps.
fn ending(found: &CaseRecord, parts: &[Part]) -> Vec<Mismatch> {
    let mut all = Vec::new();
    let ends = |check: &Check| !check.held && !check.policy;
    let excused = excuse::because(found, parts).is_some();
    let reason = found.reason.as_deref().unwrap_or_default();
    let broken = found.first_broken();
    let checks: Vec<_> = found.steps.iter().flat_map(|step| &step.checks).collect();
    match (found.verdict, broken) {
        (Verdict::Fail, Some(check)) => {
            let wanted =
                format!("{}: expected {}, found {}", check.what, check.expected, check.found);
            if !reason.starts_with(&wanted) {
                all.push(at(format!("{}, reason", found.id), wanted, reason));
            }
        }
        (Verdict::Fail, None) => {
            all.push(at(&found.id, "a check that did not hold", "fail, and every check held"));
        }
        (verdict, Some(check)) if ends(check) && !(verdict == Verdict::Untested && excused) => {
            let expected = format!("fail, because of {:?}", check.what);
            all.push(at(&found.id, expected, verdict.name()));
        }
        (Verdict::Unsupported, _) if !found.steps.is_empty() => {
            all.push(at(&found.id, "no steps, as it is unsupported", found.steps.len()));
        }
        _ => {}
    }
    let end = checks.iter().position(|check| ends(check));
    if let Some(end) = end
        && end + 1 < checks.len()
    {
        let expected = format!("nothing behind {:?}, which ended the case", checks[end].what);
        all.push(at(&found.id, expected, format!("{:?}", checks[end + 1].what)));
    }
    all
}

/// The steps and checks that the case must have, as far as it came, and no others.
fn steps(found: &CaseRecord, case: &Case, part: &Part) -> Option<Mismatch> {
    let Ok(device) = part.device.parse() else { return None };
    let ways = stages::of(case, device);
    let mut faults = Vec::new();
    for way in &ways {
        faults.push(walk::fault(found, way).or_else(|| surplus::fault(found, way))?);
    }
    faults.into_iter().next().map(|(expected, actual)| at(&found.id, expected, actual))
}
