//! Sizes of the models in the self-tests of decoders.

use weighbridge::contract::DType;
use weighbridge::harness::model::{Architecture, Recipe};

/// Sizes whose rows begin at multiples of 16 bytes, with several loads a thread, in a context of
/// `positions`.
pub fn widen(recipe: &mut Recipe, seed: u64, positions: usize) {
    let sizes = &mut recipe.sizes;
    let sized = [16, 32, 64, 128][seed as usize / 2 % 4];
    sizes.head_size = sized;
    sizes.hidden = match recipe.architecture {
        Architecture::Phi3 | Architecture::Gpt2 => sizes.heads * sized,
        _ => 64 * (3 + seed as usize % 5),
    };
    if recipe.architecture == Architecture::Gpt2 {
        sizes.key_heads = sizes.heads;
    }
    sizes.inner = 128 * (5 + seed as usize % 7);
    sizes.positions = positions;
    recipe.dtype = [DType::BF16, DType::F16, DType::F32][seed as usize % 3];
}
