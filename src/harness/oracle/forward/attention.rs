//! Attention and rotary position embeddings.

use candle_core::{D, Device, Tensor};

use super::error::Result;
use super::sight::Sight;
use super::tokens::Tokens;
use super::weights::Weights;

/// Number of query heads, number of key heads, size of a head.
pub(super) type Heads = (usize, usize, usize);

/// `[rows, columns, heads * size]` to `[rows, heads, columns, size]`.
pub(super) fn split(x: &Tensor, tokens: &Tokens, heads: usize, size: usize) -> Result<Tensor> {
    let split = x.reshape((tokens.rows, tokens.columns, heads, size))?;
    Ok(split.transpose(1, 2)?.contiguous()?)
}

/// Attention of every head, joined: `[rows, columns, heads * size]`.
pub(super) fn attend(
    weights: &Weights,
    tokens: &Tokens,
    (q, k, v): (&Tensor, &Tensor, &Tensor),
    (heads, key_heads, size): Heads,
    sight: Sight,
) -> Result<Tensor> {
    // Query head h looks at key head h * key_heads / heads.
    let owner: Vec<u32> = (0..heads).map(|head| (head * key_heads / heads) as u32).collect();
    let owner = Tensor::from_vec(owner, heads, &Device::Cpu)?;
    let (k, v) = (k.index_select(&owner, 1)?, v.index_select(&owner, 1)?);
    let scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? * (1.0 / (size as f64).sqrt()))?;
    let seen = seen(tokens, sight, weights)?;
    let unseen = (((&seen * -1.0)? + 1.0)? * -1e30)?;
    let scores = scores.broadcast_add(&unseen)?;
    let most = scores.max_keepdim(D::Minus1)?;
    // The multiplication makes the weight of a masked token exactly zero, whatever its score.
    let raised = scores.broadcast_sub(&most)?.exp()?.broadcast_mul(&seen)?;
    let total = raised.sum_keepdim(D::Minus1)?;
    // A token that attends to no token gets zeros.
    let none = total.eq(0.0)?.to_dtype(weights.dtype)?;
    let shares = raised.broadcast_div(&(total + none)?)?;
    let mixed = shares.matmul(&v.contiguous()?)?;
    Ok(mixed.transpose(1, 2)?.reshape((tokens.rows, tokens.columns, heads * size))?)
}

/// 1 where a query attends to a key, else 0: `[rows, 1, queries, keys]`.
fn seen(tokens: &Tokens, sight: Sight, weights: &Weights) -> Result<Tensor> {
    let (rows, columns) = (tokens.rows, tokens.columns);
    let mut seen = Vec::with_capacity(rows * columns * columns);
    for row in 0..rows {
        for query in 0..columns {
            for key in 0..columns {
                let later = sight.causal && key > query;
                let past = sight.window.is_some_and(|window| key + window <= query);
                let visible = tokens.mask[row * columns + key] == 1 && !later && !past;
                seen.push(f64::from(u8::from(visible)));
            }
        }
    }
    let seen = Tensor::from_vec(seen, (rows, 1, columns, columns), &Device::Cpu)?;
    Ok(seen.to_dtype(weights.dtype)?)
}

/// Rotates each pair (j, j + size/2) of every head by the position's angle. Frequencies and angles
/// are rounded to F32, because the models were trained with F32 ones.
pub(super) fn rotate(
    weights: &Weights,
    tokens: &Tokens,
    x: &Tensor,
    layer: usize,
) -> Result<Tensor> {
    let size = x.dim(D::Minus1)?;
    let half = size / 2;
    let frequencies = weights.frequencies(size, layer)?;
    let (mut cos, mut sin) = (Vec::new(), Vec::new());
    for position in 0..tokens.columns {
        for frequency in &frequencies {
            let angle = f64::from(position as f32 * frequency);
            cos.push(angle.cos());
            sin.push(angle.sin());
        }
    }
    let table = |values: Vec<f64>| -> Result<Tensor> {
        let table = Tensor::from_vec(values, (1, 1, tokens.columns, half), &Device::Cpu)?;
        Ok(table.to_dtype(weights.dtype)?)
    };
    let (cos, sin) = (table(cos)?, table(sin)?);
    let first = x.narrow(D::Minus1, 0, half)?;
    let second = x.narrow(D::Minus1, half, half)?;
    let turned_first = (first.broadcast_mul(&cos)? - second.broadcast_mul(&sin)?)?;
    let turned_second = (second.broadcast_mul(&cos)? + first.broadcast_mul(&sin)?)?;
    Ok(Tensor::cat(&[turned_first, turned_second], D::Minus1)?.contiguous()?)
}
