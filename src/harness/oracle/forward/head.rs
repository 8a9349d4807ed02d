//! The model's head: from token states to an embedding or logits.

use candle_core::{D, Device, Tensor};

use super::error::{OracleError, Result};
use super::norm::{activate, layer};
use super::tokens::{States, Tokens};
use super::weights::Weights;
use crate::contract::inference::{Head, Pooling};

/// Applies the head: pooling, projection, normalisation.
///
/// `last` is `[rows, columns, hidden]`. The result is `[rows, dimension]`, or
/// `[rows, columns, dimension]` for token states and logits, with zeros where the mask is 0.
pub(super) fn output(
    weights: &Weights,
    head: &Head,
    tokens: &Tokens,
    last: &Tensor,
    states: &mut States,
) -> Result<Tensor> {
    let mask = tokens.mask.iter().map(|seen| *seen as f64).collect::<Vec<f64>>();
    let mask = Tensor::from_vec(mask, (tokens.rows, tokens.columns, 1), &Device::Cpu)?;
    let mask = mask.to_dtype(weights.dtype)?;
    let row_of = |index: &dyn Fn(&[i64]) -> usize| -> Result<Tensor> {
        let rows: Vec<Tensor> = tokens
            .mask
            .chunks(tokens.columns)
            .enumerate()
            .map(|(row, mask)| last.get(row)?.get(index(mask)))
            .collect::<std::result::Result<_, _>>()?;
        Ok(Tensor::stack(&rows, 0)?)
    };
    let pooling = match head {
        Head::Embedding { pooling, .. } => *pooling,
        Head::TokenStates { .. } => {
            states.show("pooled", last)?;
            return Ok(finish(weights, head, last)?.broadcast_mul(&mask)?);
        }
        Head::Logits {} => {
            let tied = weights.flag("tie_word_embeddings", weights.find("wte.weight").is_some());
            let words = weights.find("embed_tokens.weight").or(weights.find("wte.weight"));
            let matrix = match words.filter(|_| tied) {
                Some(words) => words,
                None => weights.get("lm_head.weight")?,
            };
            return Ok(weights.apply(matrix, None, last)?.broadcast_mul(&mask)?);
        }
    };
    let pooled = match pooling {
        Pooling::Mean => {
            let sum = last.broadcast_mul(&mask)?.sum(1)?;
            sum.broadcast_div(&mask.sum(1)?)?
        }
        Pooling::Cls => row_of(&|_| 0)?,
        Pooling::LastToken => {
            row_of(&|mask| mask.iter().rposition(|seen| *seen == 1).unwrap_or(0))?
        }
        Pooling::Splade => splade(weights, last, &mask)?,
        Pooling::None => {
            return Err(OracleError::Config("a model with token input needs a pooling".to_owned()));
        }
    };
    states.show("pooled", &pooled)?;
    finish(weights, head, &pooled)
}

/// The maximum of `ln(1 + max(0, logit))` over the tokens of a row, for each vocabulary entry. The
/// values are never negative, so a masked token can count as zero.
fn splade(weights: &Weights, last: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let dense = weights.linear("cls.predictions.transform.dense", last)?;
    let normed = layer(
        weights,
        "cls.predictions.transform.LayerNorm",
        &activate(weights, "hidden_act", &dense)?,
    )?;
    let logits = match weights.flag("tie_word_embeddings", true) {
        true => {
            let words = weights.get("embeddings.word_embeddings.weight")?;
            weights.apply(words, Some(weights.get("cls.predictions.bias")?), &normed)?
        }
        false => weights.linear("cls.predictions.decoder", &normed)?,
    };
    Ok((logits.relu()? + 1.0)?.log()?.broadcast_mul(mask)?.max(1)?)
}

/// The head's projection, and L2 normalisation over the last dimension.
pub(super) fn finish(weights: &Weights, head: &Head, x: &Tensor) -> Result<Tensor> {
    let x = match head.projection() {
        Some(name) => weights.linear(name, x)?,
        None => x.clone(),
    };
    if !head.normalizes() {
        return Ok(x);
    }
    let norm = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    Ok(x.broadcast_div(&norm.maximum(1e-12)?)?)
}
