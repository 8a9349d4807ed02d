//! Decoders: pre-norm layers with causal attention.

use candle_core::{D, Tensor};

use super::attention::{attend, rotate, split};
use super::error::Result;
use super::norm::{activate, layer, root};
use super::tokens::{States, Tokens};
use super::weights::{Weights, product};

/// Token states of Qwen2, Qwen3, Llama, Mistral and Phi-3: `[rows, columns, hidden]`.
pub(super) fn states(weights: &Weights, tokens: &Tokens, states: &mut States) -> Result<Tensor> {
    let mut x = tokens.look_up(weights.get("embed_tokens.weight")?, &tokens.ids)?;
    states.show("embeddings", &x)?;
    let heads = weights.heads()?;
    for n in 0..weights.size("num_hidden_layers")? {
        let at = |name: &str| format!("layers.{n}.{name}");
        let within = |what: &str| format!("layer.{n}.{what}");
        let normed = root(weights, &at("input_layernorm"), &x)?;
        states.show(&within("input_norm"), &normed)?;
        let whole = fused(weights, &at("self_attn"), &normed)?;
        states.show(&within("qkv"), &whole)?;
        let [q, k, v] = three(weights, tokens, &at("self_attn"), &whole, heads)?;
        let (q, k) = (rotate(weights, tokens, &q, n)?, rotate(weights, tokens, &k, n)?);
        let mixed = attend(weights, tokens, (&q, &k, &v), heads, weights.sight(n))?;
        let part = weights.linear(&at("self_attn.o_proj"), &mixed)?;
        states.show(&within("attention"), &part)?;
        x = (x + part)?;
        let normed = root(weights, &at("post_attention_layernorm"), &x)?;
        states.show(&within("forward_norm"), &normed)?;
        let (gate, up) = match weights.find(&at("mlp.gate_up_proj.weight")) {
            Some(_) => {
                let both = weights.linear(&at("mlp.gate_up_proj"), &normed)?;
                let inner = both.dim(D::Minus1)? / 2;
                (both.narrow(D::Minus1, 0, inner)?, both.narrow(D::Minus1, inner, inner)?)
            }
            None => (
                weights.linear(&at("mlp.gate_proj"), &normed)?,
                weights.linear(&at("mlp.up_proj"), &normed)?,
            ),
        };
        let inner = (activate(weights, "hidden_act", &gate)? * up)?;
        states.show(&within("inner"), &inner)?;
        let part = weights.linear(&at("mlp.down_proj"), &inner)?;
        states.show(&within("forward"), &part)?;
        x = (x + part)?;
        states.show(&format!("layer.{n}"), &x)?;
    }
    let last = root(weights, "norm", &x)?;
    states.show("norm", &last)?;
    Ok(last)
}

/// Queries, keys and values concatenated in the last dimension, from one fused weight or three.
fn fused(weights: &Weights, at: &str, x: &Tensor) -> Result<Tensor> {
    match weights.find(&format!("{at}.qkv_proj.weight")) {
        Some(_) => weights.linear(&format!("{at}.qkv_proj"), x),
        None => {
            let part = |name: &str| weights.linear(&format!("{at}.{name}_proj"), x);
            Ok(Tensor::cat(&[part("q")?, part("k")?, part("v")?], D::Minus1)?)
        }
    }
}

/// Queries, keys and values, each split into heads. Qwen3 normalises each query head and key head.
fn three(
    weights: &Weights,
    tokens: &Tokens,
    at: &str,
    whole: &Tensor,
    (heads, key_heads, size): (usize, usize, usize),
) -> Result<[Tensor; 3]> {
    let part = |first: usize, heads: usize| -> Result<Tensor> {
        split(&whole.narrow(D::Minus1, first * size, heads * size)?, tokens, heads, size)
    };
    let (q, k) = (part(0, heads)?, part(heads, key_heads)?);
    let v = part(heads + key_heads, key_heads)?;
    if weights.text("model_type")? != "qwen3" {
        return Ok([q, k, v]);
    }
    let normed = |name: &str, x: &Tensor| root(weights, &format!("{at}.{name}_norm"), x);
    Ok([normed("q", &q)?, normed("k", &k)?, v])
}

/// Token states of GPT-2: `[rows, columns, hidden]`. Its weights are stored as `[in, out]`.
pub(super) fn gpt2(weights: &Weights, tokens: &Tokens, states: &mut States) -> Result<Tensor> {
    let positions: Vec<i64> =
        (0..tokens.ids.len()).map(|at| (at % tokens.columns) as i64).collect();
    let words = tokens.look_up(weights.get("wte.weight")?, &tokens.ids)?;
    let mut x = (words + tokens.look_up(weights.get("wpe.weight")?, &positions)?)?;
    states.show("embeddings", &x)?;
    let (hidden, heads) = (weights.size("n_embd")?, weights.size("n_head")?);
    let size = hidden / heads;
    let affine = |name: &str, x: &Tensor| -> Result<Tensor> {
        let y = product(x, weights.get(&format!("{name}.weight"))?)?;
        Ok(y.broadcast_add(weights.get(&format!("{name}.bias"))?)?)
    };
    for n in 0..weights.size("n_layer")? {
        let at = |name: &str| format!("h.{n}.{name}");
        let within = |what: &str| format!("layer.{n}.{what}");
        let normed = layer(weights, &at("ln_1"), &x)?;
        states.show(&within("input_norm"), &normed)?;
        let whole = affine(&at("attn.c_attn"), &normed)?;
        states.show(&within("qkv"), &whole)?;
        let part = |which: usize| -> Result<Tensor> {
            split(&whole.narrow(D::Minus1, which * hidden, hidden)?, tokens, heads, size)
        };
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let mixed = attend(weights, tokens, (&q, &k, &v), (heads, heads, size), weights.sight(n))?;
        let part_of_attention = affine(&at("attn.c_proj"), &mixed)?;
        states.show(&within("attention"), &part_of_attention)?;
        x = (x + part_of_attention)?;
        let normed = layer(weights, &at("ln_2"), &x)?;
        states.show(&within("forward_norm"), &normed)?;
        let inner = affine(&at("mlp.c_fc"), &normed)?;
        let inner = activate(weights, "activation_function", &inner)?;
        states.show(&within("inner"), &inner)?;
        let part_of_forward = affine(&at("mlp.c_proj"), &inner)?;
        states.show(&within("forward"), &part_of_forward)?;
        x = (x + part_of_forward)?;
        states.show(&format!("layer.{n}"), &x)?;
    }
    let last = layer(weights, "ln_f", &x)?;
    states.show("norm", &last)?;
    Ok(last)
}
