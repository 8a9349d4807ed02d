//! BERT and similar encoders: post-norm layers, every token attends to every other token.

use candle_core::Tensor;

use super::attention::{attend, rotate, split};
use super::error::Result;
use super::norm::{activate, layer};
use super::sight::Sight;
use super::tokens::{States, Tokens};
use super::weights::Weights;

/// Every token attends to every other token.
const BOTH: Sight = Sight { causal: false, window: None };

/// Token states of BERT and RoBERTa: `[rows, columns, hidden]`.
pub(super) fn states(weights: &Weights, tokens: &Tokens, states: &mut States) -> Result<Tensor> {
    let table = |name: &str| weights.get(&format!("embeddings.{name}.weight"));
    let words = tokens.look_up(table("word_embeddings")?, &tokens.ids)?;
    let places = tokens.look_up(table("position_embeddings")?, &positions(weights, tokens)?)?;
    let types = tokens.look_up(table("token_type_embeddings")?, &tokens.types)?;
    let sum = ((words + types)? + places)?;
    let mut x = layer(weights, "embeddings.LayerNorm", &sum)?;
    states.show("embeddings", &x)?;
    let (heads, _, size) = weights.heads()?;
    for n in 0..weights.size("num_hidden_layers")? {
        let at = |name: &str| format!("encoder.layer.{n}.{name}");
        let part = |name: &str| -> Result<Tensor> {
            let whole = weights.linear(&at(&format!("attention.self.{name}")), &x)?;
            split(&whole, tokens, heads, size)
        };
        let (q, k, v) = (part("query")?, part("key")?, part("value")?);
        let mixed = attend(weights, tokens, (&q, &k, &v), (heads, heads, size), BOTH)?;
        let joined = weights.linear(&at("attention.output.dense"), &mixed)?;
        let y = layer(weights, &at("attention.output.LayerNorm"), &(joined + &x)?)?;
        let inner =
            activate(weights, "hidden_act", &weights.linear(&at("intermediate.dense"), &y)?)?;
        let outer = weights.linear(&at("output.dense"), &inner)?;
        x = layer(weights, &at("output.LayerNorm"), &(outer + &y)?)?;
        states.show(&format!("layer.{n}"), &x)?;
    }
    Ok(x)
}

/// The position of each token. BERT counts from 0. RoBERTa counts the tokens that are not padding,
/// starting after the position `pad_token_id`; padding tokens get the position `pad_token_id`.
fn positions(weights: &Weights, tokens: &Tokens) -> Result<Vec<i64>> {
    if weights.text("model_type")? == "bert" {
        return Ok((0..tokens.rows).flat_map(|_| 0..tokens.columns as i64).collect());
    }
    let padding = weights.size("pad_token_id").unwrap_or(1) as i64;
    let mut all = Vec::with_capacity(tokens.ids.len());
    for row in tokens.ids.chunks(tokens.columns) {
        let mut seen = 0;
        for id in row {
            seen += i64::from(*id != padding);
            all.push(if *id == padding { padding } else { padding + seen });
        }
    }
    Ok(all)
}

/// Token states of Nomic's BERT: `[rows, columns, hidden]`.
pub(super) fn nomic(weights: &Weights, tokens: &Tokens, states: &mut States) -> Result<Tensor> {
    let table = |name: &str| weights.get(&format!("embeddings.{name}.weight"));
    let words = tokens.look_up(table("word_embeddings")?, &tokens.ids)?;
    let types = tokens.look_up(table("token_type_embeddings")?, &tokens.types)?;
    let mut x = layer(weights, "emb_ln", &(words + types)?)?;
    states.show("embeddings", &x)?;
    let (heads, _, size) = weights.heads()?;
    let hidden = heads * size;
    for n in 0..weights.size("num_hidden_layers")? {
        let at = |name: &str| format!("encoder.layers.{n}.{name}");
        let fused = weights.linear(&at("attn.Wqkv"), &x)?;
        let third = |index: usize| -> Result<Tensor> {
            split(&fused.narrow(2, index * hidden, hidden)?.contiguous()?, tokens, heads, size)
        };
        let (q, k, v) = (third(0)?, third(1)?, third(2)?);
        let (q, k) = (rotate(weights, tokens, &q, n)?, rotate(weights, tokens, &k, n)?);
        let mixed = attend(weights, tokens, (&q, &k, &v), (heads, heads, size), BOTH)?;
        let joined = weights.linear(&at("attn.out_proj"), &mixed)?;
        let y = layer(weights, &at("norm1"), &(joined + &x)?)?;
        let gate = activate(weights, "hidden_act", &weights.linear(&at("mlp.fc12"), &y)?)?;
        let inner = (weights.linear(&at("mlp.fc11"), &y)? * gate)?;
        let outer = weights.linear(&at("mlp.fc2"), &inner)?;
        x = layer(weights, &at("norm2"), &(outer + &y)?)?;
        states.show(&format!("layer.{n}"), &x)?;
    }
    Ok(x)
}
