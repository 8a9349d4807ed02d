//! Qwen2 as an encoder: norms before each part, grouped queries, a token sees those before it.

use candle_core::Tensor;

use super::attention::{attend, rotate, split};
use super::norm::{activate, root};
use super::weights::Weights;
use super::{Result, States, Tokens};

/// Token states.
pub(super) fn states(weights: &Weights, tokens: &Tokens, states: &mut States) -> Result<Tensor> {
    let mut x = tokens.look_up(weights.get("embed_tokens.weight")?, &tokens.ids)?;
    states.show("embeddings", &x)?;
    let (heads, key_heads, size) = weights.heads()?;
    for n in 0..weights.size("num_hidden_layers")? {
        let at = |name: &str| format!("layers.{n}.{name}");
        let normed = root(weights, &at("input_layernorm"), &x)?;
        let part = |name: &str, heads: usize| -> Result<Tensor> {
            let whole = weights.linear(&at(&format!("self_attn.{name}_proj")), &normed)?;
            split(&whole, tokens, heads, size)
        };
        let (q, k, v) = (part("q", heads)?, part("k", key_heads)?, part("v", key_heads)?);
        let (q, k) = (rotate(weights, tokens, &q)?, rotate(weights, tokens, &k)?);
        let mixed = attend(weights, tokens, (&q, &k, &v), (heads, key_heads, size), true)?;
        x = (x + weights.linear(&at("self_attn.o_proj"), &mixed)?)?;
        let normed = root(weights, &at("post_attention_layernorm"), &x)?;
        let gate = activate(weights, &weights.linear(&at("mlp.gate_proj"), &normed)?)?;
        let inner = (gate * weights.linear(&at("mlp.up_proj"), &normed)?)?;
        x = (x + weights.linear(&at("mlp.down_proj"), &inner)?)?;
        states.show(&format!("layer.{n}"), &x)?;
    }
    let last = root(weights, "norm", &x)?;
    states.show("norm", &last)?;
    Ok(last)
}
