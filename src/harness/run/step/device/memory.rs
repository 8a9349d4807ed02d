//! The memory of the loader's process, and of the card.

use crate::gpu;
use crate::harness::case::expect::Bounds;
use crate::harness::case::step::{Ballast, Grown, Mark, Peak};
use crate::harness::evidence::memory::{self, begin_peak, held_by};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Stop};

/// The name of the mark that a peak is counted from; no case can use it, as names have no spaces.
const PEAK: &str = "highest so far";

/// Remembers how much the process holds.
pub fn mark(attempt: &mut Attempt<'_>, step: &Mark) -> Result<(), Stop> {
    attempt.begin(format!("measure the process's memory: {}", step.name));
    let held = measure(attempt)?;
    attempt.marks.insert(step.name.clone(), held);
    Ok(())
}

/// Compares with a mark.
pub fn grown(attempt: &mut Attempt<'_>, step: &Grown) -> Result<(), Stop> {
    attempt.begin(format!("measure the process's memory against {}", step.since));
    let before = *attempt
        .marks
        .get(&step.since)
        .ok_or_else(|| Stop::Fault(format!("no such mark: {}", step.since)))?;
    let now = measure(attempt)?;
    let of = match &step.plan_of {
        None => attempt.file(&step.payload)?.fixture.payload_bytes(),
        Some(model) => {
            let plan = attempt.model(model)?.loaded.plan;
            plan.ok_or_else(|| Stop::Fault(format!("{model} has no plan")))?.needed_bytes()
        }
    };
    growth(attempt, of, &step.by, &step.since, before, now)
}

fn growth(
    attempt: &mut Attempt<'_>,
    payload: u64,
    by: &Bounds,
    since: &str,
    before: u64,
    now: u64,
) -> Result<(), Stop> {
    let payload = payload as f64;
    let grown = now as i64 - before as i64;
    let slack = (by.plus_mib << 20) as f64;
    let least = by.least_payload.map(|least| (least * payload) as i64);
    let most = by.most_payload.map(|most| (most * payload + slack) as i64);
    let held = least.is_none_or(|least| grown >= least) && most.is_none_or(|most| grown <= most);
    let bound =
        |bound: Option<i64>| bound.map_or_else(|| "any".to_owned(), |bytes| bytes.to_string());
    attempt.check(Check::of(
        format!("growth in bytes since {since}, {before} then"),
        format!("{} to {}", bound(least), bound(most)),
        grown,
        held,
        Basis::Observed,
    ))
}

/// Begins to watch the highest host memory.
pub fn mark_peak(attempt: &mut Attempt<'_>) -> Result<(), Stop> {
    attempt.begin("begin to watch the process's highest host memory");
    let held = begin_peak(attempt.pid()?).map_err(Stop::Untested)?;
    attempt.marks.insert(PEAK.to_owned(), held);
    Ok(())
}

/// Bounds it.
pub fn peak(attempt: &mut Attempt<'_>, step: &Peak) -> Result<(), Stop> {
    attempt.begin("look at the process's highest host memory since");
    let before = attempt.marks.get(PEAK).copied();
    let before = before.ok_or_else(|| Stop::Fault("the peak was not watched".to_owned()))?;
    let now = memory::peak(attempt.pid()?).map_err(Stop::Untested)?;
    let payload = attempt.file(&step.payload)?.fixture.payload_bytes();
    growth(attempt, payload, &step.by, "peak", before, now)
}

/// Fills the card until so much is left.
pub fn ballast(attempt: &mut Attempt<'_>, step: &Ballast) -> Result<(), Stop> {
    attempt.begin(format!("fill the card until {} MiB are left", step.leave_mib));
    let context = attempt.lab.context().map_err(Stop::Untested)?.clone();
    let leave = (step.leave_mib << 20) as usize;
    let ballast = attempt
        .gathering(|_| gpu::Ballast::fill_until(&context, leave))
        .map_err(|error| Stop::Fault(error.to_string()))?;
    attempt.ballast = Some((ballast, leave as u64));
    Ok(())
}

fn measure(attempt: &Attempt<'_>) -> Result<u64, Stop> {
    held_by(attempt.pid()?, attempt.device()).map_err(Stop::Untested)
}
