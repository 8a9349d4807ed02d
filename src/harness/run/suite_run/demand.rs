//! What a case needs while it runs: memory of the device and of the host, from its recipes.

use crate::contract::Device;
use crate::harness::case::Case;
use crate::harness::case::model::ModelSource;
use crate::harness::case::recipe::Recipe as FileRecipe;
use crate::harness::case::step::Step;
use crate::harness::model::registry::{self, Scale};
use crate::harness::model::{Recipe, tensors};
use crate::harness::run::case_run::model::{full_size, recipe};
use crate::harness::run::case_run::room::Demand;

/// Device memory of a loader process without a model: the CUDA context and the kernels.
const PROCESS: u64 = 640 << 20;

/// Copies of a case's data on the device: two loads of one model, and what a forward pass holds.
const ON_DEVICE: u64 = 3;

/// Copies of a case's data in host memory: the judge's bytes, its widened weights (twice as large for
/// half precision), the file in the page cache, and the loader's buffers.
const ON_HOST: u64 = 5;

/// The memory that a case needs on a device: an upper bound from the sizes of its files and models.
/// `given` is the size of the run's own checkpoint, if that is a decoder.
pub fn demand(case: &Case, device: Device, given: Option<u64>) -> Demand {
    let files = case.files.values().map(file_bytes);
    let first = |source: &ModelSource| {
        source.same_as.as_ref().and_then(|first| case.models.get(first)).cloned()
    };
    let models = case.models.values().map(|source| {
        let given = given.filter(|_| first(source).as_ref().unwrap_or(source).gives_way());
        given.unwrap_or_else(|| model_bytes(source))
    });
    let sets = case.flat_steps().into_iter().map(|step| match step {
        Step::WholeSet(set) => set_bytes(set.scale),
        _ => 0,
    });
    let payload = files.chain(models).chain(sets).fold(0, u64::saturating_add);
    let on_device = PROCESS.saturating_add(payload.saturating_mul(ON_DEVICE));
    Demand {
        device_bytes: if device.is_gpu() { on_device } else { 0 },
        host_bytes: payload.saturating_mul(ON_HOST),
    }
}

/// The size of a file's data, in bytes.
pub(super) fn file_bytes(recipe: &FileRecipe) -> u64 {
    let tensors = recipe.tensors.iter().map(|tensor| {
        let elements =
            tensor.shape.iter().fold(1, |product: u64, dim| product.saturating_mul(*dim));
        let each = elements.saturating_mul(tensor.dtype.bits()) / 8;
        each.saturating_mul(tensor.count.unwrap_or(1))
    });
    tensors.fold(recipe.data, u64::saturating_add)
}

/// The size of a model's weights, in bytes.
pub(super) fn model_bytes(source: &ModelSource) -> u64 {
    match source.full_size {
        true => recipe_bytes(&full_size(source.sizes())),
        // A model that the registry does not have fails when it is made, with its own message.
        false => recipe(source, 0).map_or(0, |recipe| recipe_bytes(&recipe)),
    }
}

/// The size of the weights of all models of the registry, in bytes.
pub(super) fn set_bytes(scale: Scale) -> u64 {
    let entries = registry::models().unwrap_or_default();
    let recipes = entries.iter().filter_map(|entry| entry.recipe(scale).ok());
    recipes.map(|recipe| recipe_bytes(&recipe)).sum()
}

fn recipe_bytes(recipe: &Recipe) -> u64 {
    let elements: u64 = tensors::of(recipe).iter().map(|spec| spec.elements() as u64).sum();
    elements * recipe.dtype.bits() / 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::case::read::CaseSet;

    fn of(id: &str) -> Demand {
        let set = CaseSet::embedded(&crate::mutants::names()).unwrap();
        let case = set.cases().iter().find(|case| case.id() == id).unwrap();
        demand(case, Device::Cuda(0), None)
    }

    #[test]
    fn a_case_needs_a_multiple_of_its_data() {
        let gib = of("F-MEM-022::one_gibibyte");
        assert_eq!(gib.device_bytes, PROCESS + (3 << 30));
        assert_eq!(gib.host_bytes, 5 << 30);
        let full = of("F-LOAD-056::full_size");
        assert!((9_200_000_000..10_200_000_000).contains(&full.device_bytes), "{full:?}");
        let set = of("IT-WARM-002::thirteen_full_models");
        assert!(set.device_bytes > 20 << 30, "{set:?}");
        let small = of("F-PARSE-036::readme_smallest");
        assert!(small.device_bytes < PROCESS + (1 << 20), "{small:?}");
    }
}
