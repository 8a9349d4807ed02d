//! Checks a load's memory plan and its list of unused tensors against the harness's own figures.

use crate::contract::plan::{MemoryPlan, Residency};
use crate::contract::reply::Loaded;
use crate::harness::case::step::Load;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::words::wire;
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::expected::{kept, most_held};

/// What the harness knows of a decoder's weights, in bytes as they are held.
#[derive(Clone, Copy, Debug, Default)]
struct Weights {
    /// Those that the architecture uses.
    used: u64,
    /// Of these, those outside the layers.
    outside: u64,
    /// Those of the largest layer.
    layer: u64,
    /// Those that it does not use.
    stray: u64,
}

/// Checks a plan by formulas over the model that the harness made.
pub fn planned(case_run: &mut CaseRun<'_>, step: &Load, loaded: &Loaded) -> Result<(), CaseEnd> {
    let Some(plan) = loaded.plan else {
        return case_run.check(Check::broken("plan", "a plan", "none", Basis::Declared));
    };
    let own = weights(case_run, step)?;
    case_run.check(Check::equal(
        "bytes of weights",
        own.used,
        plan.weights_bytes,
        Basis::Observed,
    ))?;
    let (longest, values) = {
        let model = case_run.placed_model(&step.file)?;
        let sizes = &model.recipe.sizes;
        let values = 2 * sizes.layers * sizes.key_heads() * sizes.head_size();
        (model.longest() as u64, values as u64)
    };
    let wanted = format!("1 to {longest}");
    case_run.check(Check::within("tokens planned for", wanted, plan.tokens, Basis::Declared))?;
    let cache = values * plan.tokens * plan.cache_dtype.bits() / 8;
    case_run.check(Check::equal(
        format!("bytes of keys and values in {}", plan.cache_dtype),
        cache,
        plan.cache_bytes,
        Basis::Observed,
    ))?;
    let (least, most) = match plan.mode {
        Residency::Whole => (own.used, own.used + own.stray),
        // Memory for two layers lets the device receive one layer while it uses the other.
        Residency::Streamed => (own.outside + own.layer, own.outside + 2 * own.layer),
    };
    let most = most_held(most);
    case_run.check(Check::within(
        format!("bytes of weights on the device, {}", wire(plan.mode)),
        format!("{least} to {most}"),
        plan.device_bytes,
        Basis::Declared,
    ))?;
    let what = "bytes held, and bytes planned";
    case_run.check(Check::equal(what, plan.device_bytes, loaded.held_bytes, Basis::Declared))
}

/// Checks the mode that a plan names.
pub fn mode(loaded: &Loaded, wanted: Residency) -> Check {
    let words = |mode: Option<Residency>| mode.map_or("none".to_owned(), wire);
    let found = words(loaded.plan.map(|plan: MemoryPlan| plan.mode));
    Check::equal("mode", words(Some(wanted)), found, Basis::Declared)
}

/// Checks the names of unused tensors.
pub fn unused(case_run: &CaseRun<'_>, step: &Load, loaded: &Loaded) -> Result<Check, CaseEnd> {
    let mut own = case_run.placed_model(&step.file)?.stray.clone();
    own.sort();
    let found = loaded.unused.clone().map(|mut names| {
        names.sort();
        format!("{names:?}")
    });
    let found = found.unwrap_or_else(|| "not reported".to_owned());
    Ok(Check::equal("unused tensors", format!("{own:?}"), found, Basis::Observed))
}

fn weights(case_run: &CaseRun<'_>, step: &Load) -> Result<Weights, CaseEnd> {
    let model = case_run.placed_model(&step.file)?;
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
