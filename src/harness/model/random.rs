//! Random recipes for one run: an architecture with small random sizes. Sizes that the architecture
//! does not tie together usually differ, so that a transposed or exchanged tensor does not fit by
//! chance.

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::recipe::{Architecture, Decoder, HeadKind, Projected, Recipe, Scaling, Sizes};
use crate::contract::DType;
use crate::contract::inference::Pooling;

/// A random recipe from a seed. `None` picks a head that suits the architecture; a projection alone
/// always has [`Pooling::None`].
pub fn recipe(architecture: Architecture, output: Option<HeadKind>, seed: u64) -> Recipe {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let key_heads = random.random_range(1..=3usize);
    let grouped = architecture.groups_queries();
    let group = if grouped { random.random_range(2..=3) } else { 1 };
    let head_size = 2 * random.random_range(3..=9usize);
    let heads = (key_heads * group).max(2);
    let hidden = match architecture {
        // Qwen3's heads have a size of their own by definition.
        Architecture::Qwen3 => 2 * random.random_range(10..=30) + 1,
        Architecture::Projection => random.random_range(20..=90),
        _ => heads * head_size,
    };
    let padding = match architecture {
        Architecture::Roberta => random.random_range(0..=3),
        _ => 0,
    };
    let pooled = HeadKind::Embedding;
    let output = match architecture {
        Architecture::Projection => pooled(Pooling::None),
        _ => output.unwrap_or_else(|| {
            let suits: &[HeadKind] = match architecture {
                Architecture::Bert => {
                    &[pooled(Pooling::Mean), pooled(Pooling::Cls), HeadKind::TokenStates]
                }
                Architecture::Qwen2 => &[pooled(Pooling::LastToken), pooled(Pooling::Mean)],
                _ if architecture.is_decoder() => &[HeadKind::Logits],
                _ => &[pooled(Pooling::Mean), pooled(Pooling::Cls)],
            };
            suits.choose(&mut random).copied().unwrap_or(pooled(Pooling::Mean))
        }),
    };
    let vocabulary = random.random_range(61..=260);
    let logits = output == HeadKind::Logits;
    let always = [pooled(Pooling::None), HeadKind::TokenStates].contains(&output);
    let projected = !logits && (always || random.random());
    let width = if logits || output.is_splade() { vocabulary } else { hidden };
    let dimension = if projected { random.random_range(9..=41) } else { width };
    let sizes = Sizes {
        hidden,
        dimension,
        vocabulary,
        layers: random.random_range(1..=3),
        heads,
        key_heads: if grouped { key_heads } else { heads },
        head_size: if grouped { head_size } else { hidden / heads },
        inner: hidden + random.random_range(5..=60),
        positions: random.random_range(44..=90),
        types: random.random_range(2..=4),
        padding,
        // Far from every default value.
        rotary_base: f64::from(random.random_range(50..=900u32)),
        epsilon: f64::from(random.random_range(1..=99u32)) * 1e-3,
    };
    let sizes = match architecture {
        Architecture::Projection => {
            Sizes { hidden, dimension, positions: 0, epsilon: 0.0, ..blank() }
        }
        Architecture::Gpt2 => Sizes { types: 0, rotary_base: 0.0, ..sizes },
        _ if grouped => Sizes { types: 0, ..sizes },
        Architecture::NomicBert => sizes,
        _ => Sizes { rotary_base: 0.0, ..sizes },
    };
    Recipe {
        architecture,
        dtype: *[DType::F32, DType::F16, DType::BF16].choose(&mut random).unwrap_or(&DType::F32),
        sizes,
        output,
        projection: projected
            .then(|| Projected { name: "projection".to_owned(), bias: random.random() }),
        normalize: !logits && random.random(),
        shards: random.random_range(1..=3),
        decoder: decoder(architecture, &mut random),
        seed: format!("random {seed:016x}"),
    }
}

/// Gives the heads of a model a size other than hidden / heads, for architectures whose configuration has
/// `head_dim`. The state becomes wider.
pub fn own_head(recipe: &mut Recipe) {
    let sizes = &mut recipe.sizes;
    let wider = match recipe.architecture {
        // Other readers of Llama's configuration require a multiple of `heads`.
        Architecture::Llama => sizes.heads * (sizes.head_size() + 2),
        _ => sizes.heads * (sizes.head_size() + 2) + 1,
    };
    // The inner size stays another one.
    sizes.inner += wider.saturating_sub(sizes.hidden);
    if recipe.projection.is_none() && recipe.output != HeadKind::Logits {
        sizes.dimension = wider;
    }
    sizes.hidden = wider;
}

/// Random settings of decoders, for the architectures that have them.
fn decoder(architecture: Architecture, random: &mut Xoshiro256PlusPlus) -> Decoder {
    let windowed = matches!(architecture, Architecture::Mistral | Architecture::Phi3);
    Decoder {
        untied: architecture.is_decoder() && random.random(),
        biased: matches!(architecture, Architecture::Llama | Architecture::Qwen3)
            && random.random(),
        // Shorter than most inputs.
        window: windowed.then(|| random.random_range(3..=12)),
        wanders: false,
        // With the small rotary bases used here, there are low, medium and high frequencies.
        scaling: (architecture == Architecture::Llama).then(|| Scaling {
            factor: f64::from(random.random_range(2..=9u32)),
            low_freq_factor: 1.0,
            high_freq_factor: f64::from(random.random_range(2..=4u32)),
            original_max_position_embeddings: random.random_range(20..=60),
        }),
    }
}

fn blank() -> Sizes {
    Sizes {
        hidden: 0,
        dimension: 0,
        vocabulary: 0,
        layers: 0,
        heads: 0,
        key_heads: 0,
        head_size: 0,
        inner: 0,
        positions: 0,
        types: 0,
        padding: 0,
        rotary_base: 0.0,
        epsilon: 0.0,
    }
}
