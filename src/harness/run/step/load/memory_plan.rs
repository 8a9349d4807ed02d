//! What a load tells of the memory that its model will take, of tensors that it has no use for, and of
//! its own time, each against what the harness works out itself.

use std::time::Duration;

use super::claims::{PAGE, kept};
use crate::contract::plan::{LoadStep, MemoryPlan, Residency};
use crate::contract::reply::Loaded;
use crate::harness::case::expect::{LoadCheck, LoadOutcome};
use crate::harness::case::step::Load;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Stop};
use crate::harness::run::step::forward::known;

/// What the harness knows of a decoder's weights, in bytes as they are held.
#[derive(Clone, Copy, Debug, Default)]
struct Weights {
    /// Those that the architecture uses.
    used: u64,
    /// Of these, those of no layer.
    outside: u64,
    /// Those of the largest layer.
    layer: u64,
    /// Those that it does not use.
    stray: u64,
}

/// Checks a plan by formulas over the model that the harness made.
pub fn planned(attempt: &mut Attempt<'_>, step: &Load, loaded: &Loaded) -> Result<(), Stop> {
    let Some(plan) = loaded.plan else {
        return attempt.check(Check::of("plan", "a plan", "none", false, Basis::Declared));
    };
    let own = weights(attempt, step)?;
    attempt.check(Check::equal(
        "bytes of weights",
        own.used,
        plan.weights_bytes,
        Basis::Observed,
    ))?;
    let (longest, values) = {
        let model = known(attempt, &step.file)?;
        let sizes = &model.recipe.sizes;
        let values = 2 * sizes.layers * sizes.key_heads() * sizes.head_size();
        (model.longest() as u64, values as u64)
    };
    let held = (1..=longest).contains(&plan.tokens);
    let wanted = format!("1 to {longest}");
    attempt.check(Check::of("tokens planned for", wanted, plan.tokens, held, Basis::Declared))?;
    let cache = values * plan.tokens * plan.cache_dtype.bits() / 8;
    attempt.check(Check::equal(
        format!("bytes of keys and values in {}", plan.cache_dtype),
        cache,
        plan.cache_bytes,
        Basis::Observed,
    ))?;
    let (least, most) = match plan.mode {
        Residency::Whole => (own.used, own.used + own.stray),
        // Room for two layers lets one come while the other is used.
        Residency::Streamed => (own.outside + own.layer, own.outside + 2 * own.layer),
    };
    let most = most + most / 50 + PAGE;
    attempt.check(Check::of(
        format!("bytes of weights on the device, {:?}", plan.mode),
        format!("{least} to {most}"),
        plan.device_bytes,
        (least..=most).contains(&plan.device_bytes),
        Basis::Declared,
    ))?;
    let what = "bytes held, and planned to be";
    attempt.check(Check::equal(what, plan.device_bytes, loaded.held_bytes, Basis::Declared))
}

/// Checks the mode that a plan names.
pub fn mode(loaded: &Loaded, wanted: Residency) -> Check {
    let words =
        |mode: Option<Residency>| mode.map_or("none".to_owned(), |mode| format!("{mode:?}"));
    let found = words(loaded.plan.map(|plan: MemoryPlan| plan.mode));
    Check::equal("mode", words(Some(wanted)), found, Basis::Declared)
}

/// Checks the names of unused tensors.
pub fn unused(attempt: &Attempt<'_>, step: &Load, loaded: &Loaded) -> Result<Check, Stop> {
    let mut own = known(attempt, &step.file)?.stray.clone();
    own.sort();
    let found = loaded.unused.clone().map(|mut names| {
        names.sort();
        format!("{names:?}")
    });
    let found = found.unwrap_or_else(|| "nothing said".to_owned());
    Ok(Check::equal("unused tensors", format!("{own:?}"), found, Basis::Observed))
}

/// Checks a load's own times: they add up to the harness's, and none passes its share.
pub fn times(
    attempt: &mut Attempt<'_>,
    step: &Load,
    loaded: &Loaded,
    took: Duration,
) -> Result<(), Stop> {
    let asked = match &step.expect {
        LoadOutcome::Loaded(checks) => checks.contains(&LoadCheck::Times),
        _ => false,
    };
    if asked {
        let sum = loaded.times.as_ref().map(|times| times.sum_us());
        attempt.check(agrees("the sum of the loader's own times", sum, took))?;
    }
    for (share, most) in &step.shares_ms {
        let found = loaded.times.as_ref().and_then(|times| {
            times.each().into_iter().find(|(each, _)| each == share).map(|(_, time)| time)
        });
        let held = found.is_some_and(|time| time <= most * 1000);
        let name = name(*share);
        attempt.check(Check::of(
            format!("time of {name}"),
            format!("at most {most} ms"),
            found.map_or("nothing said".to_owned(), |time| format!("{:.1} ms", time as f64 / 1e3)),
            held,
            Basis::Declared,
        ))?;
    }
    Ok(())
}

/// A time that a loader tells, against the harness's own: never longer, and shorter by no more than a
/// request and its answer take on their way.
pub fn agrees(what: &str, told_us: Option<u64>, took: Duration) -> Check {
    let took = took.as_micros() as u64;
    let least = took.saturating_sub(1_000 + took / 10);
    let milliseconds = |time: u64| format!("{:.1} ms", time as f64 / 1e3);
    Check::of(
        what,
        format!("{} to {}", milliseconds(least), milliseconds(took)),
        told_us.map_or("nothing said".to_owned(), milliseconds),
        told_us.is_some_and(|told| (least..=took).contains(&told)),
        Basis::Observed,
    )
}

fn name(step: LoadStep) -> String {
    serde_json::to_string(&step).unwrap_or_default().replace('"', "")
}

fn weights(attempt: &Attempt<'_>, step: &Load) -> Result<Weights, Stop> {
    let model = known(attempt, &step.file)?;
    let mut found = Weights::default();
    let mut layers = vec![0; model.recipe.sizes.layers];
    for tensor in &model.model.tensors {
        let elements: usize = tensor.shape.iter().product();
        let bytes = elements as u64 * kept(tensor.dtype, step.keep).bits() / 8;
        if model.stray.contains(&tensor.name) {
            found.stray += bytes;
            continue;
        }
        found.used += bytes;
        let number = tensor.name.split('.').find_map(|part| part.parse::<usize>().ok());
        match number.and_then(|number| layers.get_mut(number)) {
            Some(layer) => *layer += bytes,
            None => found.outside += bytes,
        }
    }
    found.layer = layers.into_iter().max().unwrap_or(0);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_held_against_the_clock() {
        let held = |told, took| agrees("time", told, Duration::from_micros(took)).held;
        assert!(held(Some(18_300), 18_700) && held(Some(2_200), 2_300));
        assert!(!held(Some(18_701), 18_700), "longer than it took");
        assert!(
            !held(Some(0), 2_300) && !held(Some(15_000), 18_700),
            "time that nobody accounts for"
        );
        assert!(!held(None, 100));
    }
}
