//! Six small decoders, one of each architecture. `fixtures/decoders` holds their logits, computed
//! by the transformers library. Within each model all sizes differ where the architecture allows
//! it, every optional bias is present, and configuration fields do not have their default values.

use super::recipe::{Architecture, Decoder, HeadKind, Recipe, Scaling, Sizes};
use crate::contract::DType;

/// Number of tokens of the golden input, which is more than each model's sliding window.
pub const TOKENS: usize = 22;

/// The recipes.
pub fn all() -> Vec<Recipe> {
    use Architecture::{Gpt2, Llama, Mistral, Phi3, Qwen2, Qwen3};
    let untied = Decoder { untied: true, ..Decoder::default() };
    let scaling = Scaling {
        factor: 4.0,
        low_freq_factor: 1.0,
        high_freq_factor: 3.0,
        original_max_position_embeddings: 24,
    };
    vec![
        recipe(Qwen2, (42, 131, 70), (6, 2, 10), Decoder::default()),
        recipe(Qwen3, (44, 127, 73), (4, 2, 14), Decoder { biased: true, ..untied.clone() }),
        recipe(
            Llama,
            (54, 109, 67),
            (6, 3, 8),
            Decoder { biased: true, scaling: Some(scaling), ..untied.clone() },
        ),
        recipe(Mistral, (50, 113, 71), (4, 1, 12), Decoder { window: Some(5), ..untied.clone() }),
        recipe(Phi3, (48, 119, 75), (4, 2, 12), Decoder { window: Some(7), ..untied }),
        recipe(Gpt2, (40, 107, 90), (5, 5, 8), Decoder::default()),
    ]
}

/// The ids of the golden input.
pub fn ids(recipe: &Recipe) -> Vec<i64> {
    (0..TOKENS).map(|at| ((at * 37 + 5) % recipe.sizes.vocabulary) as i64).collect()
}

fn recipe(
    architecture: Architecture,
    (hidden, vocabulary, inner): (usize, usize, usize),
    (heads, key_heads, head_size): (usize, usize, usize),
    decoder: Decoder,
) -> Recipe {
    Recipe {
        architecture,
        dtype: DType::F32,
        sizes: Sizes {
            hidden,
            dimension: vocabulary,
            vocabulary,
            layers: 3,
            heads,
            key_heads,
            head_size,
            inner,
            positions: 48,
            types: 0,
            padding: 0,
            rotary_base: if architecture == Architecture::Gpt2 { 0.0 } else { 300.0 },
            epsilon: 2e-4,
        },
        output: HeadKind::Logits,
        projection: None,
        normalize: false,
        shards: 1,
        decoder,
        seed: format!("weighbridge decoder {}", architecture.model_type()),
    }
}

/// A model with the sizes of Qwen2.5-1.5B's published configuration (except `layers`), and weights
/// from a seed.
pub fn full_size(dtype: DType, layers: usize) -> Recipe {
    Recipe {
        architecture: Architecture::Qwen2,
        dtype,
        sizes: Sizes {
            hidden: 1536,
            dimension: 151_936,
            vocabulary: 151_936,
            layers,
            heads: 12,
            key_heads: 2,
            head_size: 128,
            inner: 8960,
            positions: 32_768,
            types: 0,
            padding: 0,
            rotary_base: 1_000_000.0,
            epsilon: 1e-6,
        },
        output: HeadKind::Logits,
        projection: None,
        normalize: false,
        shards: 1,
        decoder: Decoder { wanders: true, ..Decoder::default() },
        seed: "weighbridge full size".to_owned(),
    }
}
