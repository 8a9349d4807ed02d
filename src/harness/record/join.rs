//! Joins runs that are parts of a plan: they must be parts of one plan, and where two of them ran the
//! same case, each verdict is kept.

use super::plan_part::PlanPart;
use super::{CaseRecord, Part};

/// Why the parts of a plan do not go together. Records are numbered from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The records belong to different plans.
    #[error(
        "record {record} is a part of another plan: expected {expected}, found {found}\n  remedy: run \
         every part from one file of `weighbridge certify --plan-only`, with --plan and --shard"
    )]
    OtherPlan {
        /// Number of the record.
        record: usize,
        /// Plan and seed of the first part.
        expected: String,
        /// Plan and seed of this part.
        found: String,
    },
    /// The plan was divided in two ways.
    #[error(
        "record {record} is {found}, but an earlier record is {expected}: one division of the plan is \
         expected\n  remedy: run every part with the same number of parts in --shard"
    )]
    OtherDivision {
        /// Number of the record.
        record: usize,
        /// Name of the first part.
        expected: String,
        /// Name of this part.
        found: String,
    },
    /// The part has no case of its own.
    #[error(
        "record {record} is empty: {part} has no case of its own\n  remedy: divide the plan into fewer \
         parts"
    )]
    Empty {
        /// Number of the record.
        record: usize,
        /// Name of the part.
        part: String,
    },
    /// Two parts hold the same case, which is no canary.
    #[error("case {case} is in two parts of the plan: {left} and {right}")]
    Overlap {
        /// The case's id.
        case: String,
        /// Name of the one part.
        left: String,
        /// Name of the other.
        right: String,
    },
}

/// Whether a part may join those before it. A run without a plan may join any.
///
/// # Errors
/// [`JoinError`].
pub fn admit(before: &[Part], part: &Part, record: usize) -> Result<(), JoinError> {
    let Some(plan) = &part.plan else { return Ok(()) };
    if plan.own.count == 0 {
        return Err(JoinError::Empty { record, part: plan.name() });
    }
    let first = before.iter().find_map(|other| Some((other, other.plan.as_ref()?)));
    let Some((other, first)) = first else { return Ok(()) };
    if first.digest != plan.digest || other.seed != part.seed {
        let name = |plan: &PlanPart, part: &Part| format!("{} (seed {})", plan.digest, part.seed);
        let (expected, found) = (name(first, other), name(plan, part));
        return Err(JoinError::OtherPlan { record, expected, found });
    }
    if first.of != plan.of {
        return Err(JoinError::OtherDivision {
            record,
            expected: first.name(),
            found: plan.name(),
        });
    }
    Ok(())
}

/// Whether two entries are about one run, whatever other runs they were compared with.
pub fn same_run(left: &Part, right: &Part) -> bool {
    bare(left) == bare(right)
}

fn bare(part: &Part) -> Part {
    let mut part = part.clone();
    if let Some(plan) = &mut part.plan {
        plan.merged = false;
        plan.verdicts.clear();
    }
    part
}

/// Notes the verdict of a canary for its run. Every run has one, and the merged record keeps one case.
pub fn note_canary(parts: &mut [Part], case: &CaseRecord) {
    let plan = parts.get_mut(case.part).and_then(|part| part.plan.as_mut());
    if let Some(plan) = plan.filter(|plan| plan.is_canary(&case.id)) {
        plan.verdicts.insert(case.id.clone(), case.verdict);
    }
}

/// Notes the verdicts of two runs of one case. Returns whether both are attempts of one plan that agree.
///
/// # Errors
/// [`JoinError::Overlap`].
pub fn note_both(
    parts: &mut [Part],
    earlier: &CaseRecord,
    later: &CaseRecord,
) -> Result<bool, JoinError> {
    let plan = |case: &CaseRecord| parts.get(case.part).and_then(|part| part.plan.as_ref());
    let (Some(left), Some(right)) = (plan(earlier), plan(later)) else { return Ok(false) };
    if left.shard != right.shard && !left.is_canary(&later.id) {
        let (left, right) = (left.name(), right.name());
        return Err(JoinError::Overlap { case: later.id.clone(), left, right });
    }
    for case in [earlier, later] {
        if let Some(plan) = parts.get_mut(case.part).and_then(|part| part.plan.as_mut()) {
            plan.verdicts.insert(case.id.clone(), case.verdict);
        }
    }
    Ok(earlier.verdict == later.verdict)
}
