//! Changes to a model's weights whose effect on the output is known mathematically.

pub mod buffers;

use super::recipe::{Architecture, HeadKind};
use super::{Model, Recipe, Tensor};

/// Names of the tensors of the last norm, whose output is the token states.
pub fn last_norm(recipe: &Recipe) -> Vec<String> {
    use Architecture::{Llama, Mistral, Phi3, Qwen2, Qwen3};
    let last = recipe.sizes.layers.saturating_sub(1);
    let logits = recipe.output == HeadKind::Logits;
    let name = match recipe.architecture {
        Qwen2 | Qwen3 | Llama | Mistral | Phi3 => {
            let prefix = if logits { "model." } else { "" };
            return vec![format!("{prefix}norm.weight")];
        }
        Architecture::Gpt2 => format!("{}ln_f", if logits { "transformer." } else { "" }),
        Architecture::NomicBert => format!("encoder.layers.{last}.norm2"),
        _ => format!("{}encoder.layer.{last}.output.LayerNorm", prefix(recipe)),
    };
    vec![format!("{name}.weight"), format!("{name}.bias")]
}

/// Prefix of the body's tensors: masked language models have one.
fn prefix(recipe: &Recipe) -> &'static str {
    if recipe.output.is_splade() { "bert." } else { "" }
}

/// Multiplies the last norm's tensors by a factor, which multiplies every token state by it.
pub fn scale_last_norm(model: &mut Model, recipe: &Recipe, factor: f32) {
    for name in last_norm(recipe) {
        if let Some(tensor) = model.tensor_mut(&name) {
            let values: Vec<f32> = tensor.values().iter().map(|value| value * factor).collect();
            tensor.set_values(&values);
        }
    }
}

/// Multiplies the tables of words, positions and token types by a factor.
pub fn scale_words(model: &mut Model, factor: f32) {
    let tables = [
        "word_embeddings.weight",
        "embed_tokens.weight",
        "wte.weight",
        "wpe.weight",
        "position_embeddings.weight",
        "token_type_embeddings.weight",
    ];
    let is_table = |name: &str| tables.iter().any(|ending| name.ends_with(ending));
    for tensor in model.tensors.iter_mut().filter(|tensor| is_table(&tensor.name)) {
        let values: Vec<f32> = tensor.values().iter().map(|value| value * factor).collect();
        tensor.set_values(&values);
    }
}

/// Adds a constant vector to all keys of each layer, by their biases. A query's scores move by one
/// amount, so that the weights of attention stay. The numbers are alternately `by` and `-by`.
///
/// # Errors
/// For an architecture without such biases, or with positions that turn keys.
pub fn move_keys(model: &mut Model, recipe: &Recipe, by: f32) -> Result<(), String> {
    let hidden = recipe.sizes.hidden;
    for layer in 0..recipe.sizes.layers {
        let (name, first) = match recipe.architecture {
            Architecture::Bert | Architecture::Roberta => {
                let prefix = prefix(recipe);
                (format!("{prefix}encoder.layer.{layer}.attention.self.key.bias"), 0)
            }
            Architecture::Gpt2 => {
                let prefix = if recipe.output == HeadKind::Logits { "transformer." } else { "" };
                (format!("{prefix}h.{layer}.attn.c_attn.bias"), hidden)
            }
            other => return Err(format!("the keys of {} cannot be moved", other.model_type())),
        };
        let tensor = model.tensor_mut(&name).ok_or_else(|| format!("no tensor {name}"))?;
        let mut values = tensor.values();
        for (at, value) in values[first..first + hidden].iter_mut().enumerate() {
            *value += if at % 2 == 0 { by } else { -by };
        }
        tensor.set_values(&values);
    }
    Ok(())
}

/// The table of word embeddings.
pub fn words(model: &Model) -> Option<&Tensor> {
    let endings = ["word_embeddings.weight", "embed_tokens.weight", "wte.weight"];
    let is_table = |name: &str| endings.iter().any(|ending| name.ends_with(ending));
    model.tensors.iter().find(|tensor| is_table(&tensor.name))
}

/// Moves row `i` of the word embeddings to row `to[i]`. The output is unchanged if the input's ids
/// are mapped in the same way.
pub fn permute_vocabulary(model: &mut Model, to: &[usize]) {
    for name in [
        "embeddings.word_embeddings.weight",
        "bert.embeddings.word_embeddings.weight",
        "embed_tokens.weight",
    ] {
        if let Some(tensor) = model.tensor_mut(name) {
            let width = tensor.bytes.len() / to.len();
            let old = tensor.bytes.clone();
            for (from, to) in to.iter().enumerate() {
                tensor.bytes[to * width..][..width].copy_from_slice(&old[from * width..][..width]);
            }
        }
    }
}

/// Exchanges two query heads of a layer: the rows of the query projection, the rows of the key and
/// value projections unless heads share them, and the columns of the output projection. The model's
/// output does not change, except by rounding. If heads share keys, both must share the same ones.
pub fn exchange_heads(model: &mut Model, recipe: &Recipe, layer: usize, (a, b): (usize, usize)) {
    let size = recipe.sizes.head_size();
    let hidden = recipe.sizes.heads * size;
    let shared = recipe.sizes.key_heads() != recipe.sizes.heads;
    let at = |name: &str| match recipe.architecture {
        Architecture::Qwen2 => format!("layers.{layer}.self_attn.{name}"),
        Architecture::NomicBert => format!("encoder.layers.{layer}.attn.{name}"),
        _ => format!("{}encoder.layer.{layer}.attention.{name}", prefix(recipe)),
    };
    let (parts, join): (&[(&str, usize)], &str) = match recipe.architecture {
        Architecture::Qwen2 if shared => (&[("q_proj", 0)], "o_proj"),
        Architecture::Qwen2 => (&[("q_proj", 0), ("k_proj", 0), ("v_proj", 0)], "o_proj"),
        Architecture::NomicBert => (&[("Wqkv", 0), ("Wqkv", 1), ("Wqkv", 2)], "out_proj"),
        _ => (&[("self.query", 0), ("self.key", 0), ("self.value", 0)], "output.dense"),
    };
    for (part, third) in parts {
        for kind in ["weight", "bias"] {
            if let Some(tensor) = model.tensor_mut(&format!("{}.{kind}", at(part))) {
                let first = third * hidden;
                exchange_rows(tensor, first + a * size, first + b * size, size);
            }
        }
    }
    if let Some(tensor) = model.tensor_mut(&format!("{}.weight", at(join))) {
        let element = (tensor.dtype.bits() / 8) as usize;
        let (width, size) = (hidden * element, size * element);
        for row in tensor.bytes.chunks_mut(width) {
            for i in 0..size {
                row.swap(a * size + i, b * size + i);
            }
        }
    }
}

/// Adds `by` to one element of a tensor, rounded to the tensor's dtype.
pub fn change_weight(model: &mut Model, name: &str, element: usize, by: f32) {
    if let Some(tensor) = model.tensor_mut(name) {
        let mut values = tensor.values();
        if let Some(value) = values.get_mut(element) {
            *value += by;
        }
        tensor.set_values(&values);
    }
}

fn exchange_rows(tensor: &mut Tensor, a: usize, b: usize, count: usize) {
    let rows = tensor.shape.first().copied().unwrap_or(1).max(1);
    let width = tensor.bytes.len() / rows;
    for i in 0..count * width {
        tensor.bytes.swap(a * width + i, b * width + i);
    }
}
