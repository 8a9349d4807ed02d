//! What a case must record: for each of its steps, how the record of it begins, and which checks it has at
//! least if it is carried out to its end.

use std::collections::BTreeSet;

use super::stage::Stage;
use super::stages_of::ways;
use crate::contract::Device;
use crate::harness::case::Case;
use crate::harness::case::step::Step;

/// So many ways through one case are followed at most.
const MOST: usize = 64;

/// Every way through a case; more than one where the loader may serve or refuse. Empty where there are too
/// many.
pub(super) fn of(case: &Case, device: Device) -> Vec<Vec<Stage>> {
    let mut all = vec![Vec::new()];
    for step in unrolled(&case.steps) {
        let mut next = Vec::new();
        for so_far in all {
            let refused: BTreeSet<&str> =
                so_far.iter().filter_map(|stage: &Stage| stage.refuses.as_deref()).collect();
            if model_of(step).is_some_and(|model| refused.contains(model)) {
                next.push(so_far);
                continue;
            }
            for stage in ways(step, device) {
                next.push(so_far.iter().cloned().chain([stage]).collect());
            }
        }
        if next.len() > MOST {
            return Vec::new();
        }
        all = next;
    }
    all
}

/// The steps, with repetitions in full.
fn unrolled(steps: &[Step]) -> Vec<&Step> {
    let mut all = Vec::new();
    for step in steps {
        match step {
            Step::Repeat(repeat) => {
                for _ in 0..repeat.times {
                    all.extend(unrolled(&repeat.steps));
                }
            }
            other => all.push(other),
        }
    }
    all
}

/// The model that a step is about, for those steps that a refusal leaves out.
fn model_of(step: &Step) -> Option<&str> {
    Some(match step {
        Step::Compare(step) => &step.model,
        Step::Unload(step) => &step.model,
        Step::Forward(step) => &step.model,
        Step::Generate(step) => &step.model,
        Step::Sample(step) => &step.model,
        Step::Relate(step) => &step.model,
        Step::RejectInput(step) => &step.model,
        _ => return None,
    })
}
