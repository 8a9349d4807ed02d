//! Steps that measure the memory of the loader's process, and that fill the GPU's memory.

use crate::gpu;
use crate::harness::case::expect::Bounds;
use crate::harness::case::step::{Ballast, Grown, Mark, Peak};
use crate::harness::evidence::memory::{self, begin_peak, held_by};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::filled::Filled;
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// The name of the mark that a peak is counted from; no case can use it, as names have no spaces.
const PEAK: &str = "highest so far";

/// Records how much memory the process holds.
pub fn mark(case_run: &mut CaseRun<'_>, step: &Mark) -> Result<(), CaseEnd> {
    case_run.begin(format!("measure the process's memory: {}", step.name));
    let held = measure(case_run)?;
    case_run.marks.insert(step.name.clone(), held);
    let left = super::residue::now(case_run)?;
    case_run.residues.insert(step.name.clone(), left);
    Ok(())
}

/// Checks the growth of memory since a mark.
pub fn grown(case_run: &mut CaseRun<'_>, step: &Grown) -> Result<(), CaseEnd> {
    case_run.begin(format!("measure the process's memory against {}", step.since));
    let before = *case_run
        .marks
        .get(&step.since)
        .ok_or_else(|| CaseEnd::Fault(format!("no such mark: {}", step.since)))?;
    let now = measure(case_run)?;
    let of = match &step.plan_of {
        None => case_run.file(&step.payload)?.fixture.payload_bytes(),
        Some(model) => {
            let plan = case_run.model(model)?.loaded.plan;
            plan.ok_or_else(|| CaseEnd::Fault(format!("{model} has no plan")))?.needed_bytes()
        }
    };
    growth(case_run, of, &step.by, &step.since, before, now)
}

fn growth(
    case_run: &mut CaseRun<'_>,
    payload: u64,
    by: &Bounds,
    since: &str,
    before: u64,
    now: u64,
) -> Result<(), CaseEnd> {
    let payload = payload as f64;
    let grown = now as i64 - before as i64;
    let slack = (by.plus_mib << 20) as f64;
    let least = by.least_payload.map(|least| (least * payload) as i64);
    let most = by.most_payload.map(|most| (most * payload + slack) as i64);
    let bound =
        |bound: Option<i64>| bound.map_or_else(|| "any".to_owned(), |bytes| bytes.to_string());
    case_run.check(Check::within(
        format!("growth in bytes since {since}, {before} then"),
        format!("{} to {}", bound(least), bound(most)),
        grown,
        Basis::Observed,
    ))
}

/// Begins to measure the peak of host memory.
pub fn mark_peak(case_run: &mut CaseRun<'_>) -> Result<(), CaseEnd> {
    case_run.begin("begin to measure the process's peak host memory");
    let held = begin_peak(&case_run.family()?).map_err(CaseEnd::Untested)?;
    case_run.marks.insert(PEAK.to_owned(), held);
    case_run.highest = Some(held);
    Ok(())
}

/// Checks the growth of the peak of host memory.
pub fn peak(case_run: &mut CaseRun<'_>, step: &Peak) -> Result<(), CaseEnd> {
    case_run.begin("read the process's peak host memory since then");
    let before = case_run.marks.get(PEAK).copied();
    let before = before.ok_or_else(|| CaseEnd::Fault("the peak was not measured".to_owned()))?;
    let now = memory::peak(&case_run.family()?).map_err(CaseEnd::Untested)?;
    let now = case_run.highest.map_or(now, |highest| highest.max(now));
    let payload = case_run.file(&step.payload)?.fixture.payload_bytes();
    growth(case_run, payload, &step.by, "peak", before, now)
}

/// Fills the memory of the GPU until this much is left.
pub fn ballast(case_run: &mut CaseRun<'_>, step: &Ballast) -> Result<(), CaseEnd> {
    case_run.begin(format!("fill the GPU's memory until {} MiB are left", step.leave_mib));
    let context = case_run.context.gpu().map_err(CaseEnd::Untested)?.clone();
    let leave = (step.leave_mib << 20) as usize;
    let ballast = case_run
        .gathering(|_| gpu::Ballast::fill_until(&context, leave))
        .map_err(|error| CaseEnd::Fault(error.to_string()))?;
    let filled = Filled::by(ballast, leave as u64, &case_run.family()?, case_run.device());
    case_run.ballast = Some(filled.map_err(CaseEnd::Untested)?);
    Ok(())
}

fn measure(case_run: &CaseRun<'_>) -> Result<u64, CaseEnd> {
    held_by(&case_run.family()?, case_run.card(case_run.device())?).map_err(CaseEnd::Untested)
}
