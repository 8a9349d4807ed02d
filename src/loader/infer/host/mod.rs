//! The operations on host memory: plain loops with F32 sums. One thread computes each output value,
//! so the result does not depend on the number of threads.

mod linear;
mod weights;

use crate::gpu::{AttentionParams, Pool};
use crate::loader::error::{LoadError, Result};
use crate::loader::host_memory::host_available;

use super::arithmetic::{activated, dot};
use super::ops::{Activation, Linear, Norm, NormKind, Ops, View, Weight};

pub use self::weights::HostOps;

/// Buffers of at least this size are checked against the available memory, in bytes.
const WORTH_ASKING: u64 = 1 << 20;

impl Ops for HostOps<'_> {
    type Buffer = Vec<f32>;
    type Indices = Vec<u32>;

    fn buffer(&mut self, values: usize) -> Result<Vec<f32>> {
        room(values)
    }

    fn values(&mut self, values: &[f32]) -> Result<Vec<f32>> {
        Ok(values.to_vec())
    }

    fn refill(&mut self, values: &[f32], buffer: &mut Vec<f32>) -> Result<()> {
        buffer[..values.len()].copy_from_slice(values);
        Ok(())
    }

    fn indices(&mut self, values: &[u32]) -> Result<Vec<u32>> {
        Ok(values.to_vec())
    }

    fn fetch(&mut self, buffer: &Vec<f32>, into: &mut [f32]) -> Result<()> {
        into.copy_from_slice(&buffer[..into.len()]);
        Ok(())
    }

    fn gather(
        &mut self,
        pairs: &[(&Vec<u32>, Weight)],
        rows: usize,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let Some((_, first)) = pairs.first() else { return Ok(()) };
        let width = first.columns;
        for row in 0..rows {
            let target = &mut out[row * width..][..width];
            target.fill(0.0);
            for (indices, table) in pairs {
                let values = self.read(table, indices[row] as usize * width, width)?;
                target.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
            }
        }
        Ok(())
    }

    fn linear(
        &mut self,
        x: &Vec<f32>,
        rows: usize,
        layers: &[Linear],
        activation: Option<Activation>,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        linear::linear(self, (x, rows), layers, activation, out)
    }

    fn gated(
        &mut self,
        both: &Vec<f32>,
        rows: usize,
        width: usize,
        (gate, up): (usize, usize),
        activation: Activation,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        for row in 0..rows {
            let both = &both[row * 2 * width..][..2 * width];
            for (j, value) in out[row * width..][..width].iter_mut().enumerate() {
                *value = activated(both[gate + j], activation) * both[up + j];
            }
        }
        Ok(())
    }

    fn norm(
        &mut self,
        x: &mut Vec<f32>,
        residual: Option<&Vec<f32>>,
        rows: usize,
        norm: &Norm,
        _: (bool, &[Linear]),
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let width = norm.weight.columns;
        let weight = self.vector(&norm.weight)?;
        let bias = norm.bias.as_ref().map(|bias| self.vector(bias)).transpose()?;
        for row in 0..rows {
            let state = &mut x[row * width..][..width];
            if let Some(residual) = residual {
                let more = &residual[row * width..][..width];
                state.iter_mut().zip(more).for_each(|(sum, value)| *sum += value);
            }
            let mean = match norm.kind {
                NormKind::Layer => state.iter().sum::<f32>() / width as f32,
                NormKind::Rms => 0.0,
            };
            let square = state.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>();
            let scale = 1.0 / (square / width as f32 + norm.epsilon).sqrt();
            for (j, target) in out[row * width..][..width].iter_mut().enumerate() {
                let value = (state[j] - mean) * scale * weight[j];
                *target = value + bias.as_ref().map_or(0.0, |bias| bias[j]);
            }
        }
        Ok(())
    }

    fn copy(&mut self, x: &Vec<f32>, values: usize, y: &mut Vec<f32>) -> Result<()> {
        y[..values].copy_from_slice(&x[..values]);
        Ok(())
    }

    fn add(&mut self, x: &mut Vec<f32>, y: &Vec<f32>, values: usize) -> Result<()> {
        x[..values].iter_mut().zip(y).for_each(|(sum, value)| *sum += value);
        Ok(())
    }

    fn rotate(
        &mut self,
        x: &mut Vec<f32>,
        (column, stride): (usize, usize),
        heads: usize,
        attention: &AttentionParams,
        turns: &Vec<f32>,
    ) -> Result<()> {
        let half = attention.head_size / 2;
        for (row, state) in x.chunks_mut(stride).enumerate() {
            let turns = &turns[row % attention.tokens * half * 2..][..half * 2];
            for head in 0..heads {
                let state = &mut state[column + head * attention.head_size..][..2 * half];
                for (pair, turn) in turns.as_chunks::<2>().0.iter().enumerate() {
                    let [cos, sin] = *turn;
                    let (first, second) = match attention.neighbours {
                        true => (2 * pair, 2 * pair + 1),
                        false => (pair, pair + half),
                    };
                    let (a, b) = (state[first], state[second]);
                    (state[first], state[second]) = (a * cos - b * sin, b * cos + a * sin);
                }
            }
        }
        Ok(())
    }

    fn norm_heads(
        &mut self,
        x: &mut Vec<f32>,
        (column, stride): (usize, usize),
        rows: usize,
        heads: usize,
        norm: &Norm,
    ) -> Result<()> {
        let size = norm.weight.columns;
        let mut normed = vec![0.0; heads * size];
        for row in x.chunks_mut(stride).take(rows) {
            let part = &mut row[column..][..heads * size];
            self.norm(&mut part.to_vec(), None, heads, norm, (false, &[]), &mut normed)?;
            part.copy_from_slice(&normed);
        }
        Ok(())
    }

    fn keep(
        &mut self,
        from: (View<'_, Vec<f32>>, View<'_, Vec<f32>>),
        rows: usize,
        columns: usize,
        at: usize,
        into: (&mut Vec<f32>, &mut Vec<f32>),
    ) -> Result<()> {
        for (from, into) in [(from.0, into.0), (from.1, into.1)] {
            let targets = into[at * columns..].chunks_mut(columns);
            for (row, target) in from.buffer.chunks(from.stride).take(rows).zip(targets) {
                target.copy_from_slice(&row[from.column..][..columns]);
            }
        }
        Ok(())
    }

    fn attend(
        &mut self,
        (of, past): (&AttentionParams, usize),
        queries: View<'_, Vec<f32>>,
        keys: View<'_, Vec<f32>>,
        values: View<'_, Vec<f32>>,
        mask: &Vec<u32>,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let size = of.head_size;
        let slice = |view: &View<'_, Vec<f32>>, token: usize, head: usize| {
            let start = token * view.stride + view.column + head * size;
            start..start + size
        };
        let there = past + of.tokens;
        let mut weights = Vec::with_capacity(there);
        for token in 0..of.rows * of.tokens {
            let (row, query) = (token / of.tokens, token % of.tokens);
            let last = if of.causal { past + query + 1 } else { there };
            for head in 0..of.heads {
                let key_head = head * of.key_heads / of.heads;
                let own = &queries.buffer[slice(&queries, token, head)];
                weights.clear();
                let begin = of.window.map_or(0, |window| last.saturating_sub(window));
                for key in (row * there..).take(last) {
                    let seen = mask[key] == 1 && key - row * there >= begin;
                    let score = || dot(own, &keys.buffer[slice(&keys, key, key_head)]) * of.scale;
                    weights.push(if seen { score() } else { f32::NEG_INFINITY });
                }
                let target = &mut out[token * of.heads * size + head * size..][..size];
                target.fill(0.0);
                if !mask[row * there..][begin..last].contains(&1) {
                    continue;
                }
                // If all scores are NaN, the maximum stays at minus infinity, and the result is
                // NaN.
                let most = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                weights.iter_mut().for_each(|score| *score = (*score - most).exp());
                let total: f32 = weights.iter().sum();
                for (weight, key) in weights.iter().zip(row * there..) {
                    let value = &values.buffer[slice(&values, key, key_head)];
                    target.iter_mut().zip(value).for_each(|(sum, v)| *sum += weight / total * v);
                }
            }
        }
        Ok(())
    }

    fn pool(
        &mut self,
        pool: Pool,
        states: &Vec<f32>,
        (rows, tokens, width): (usize, usize, usize),
        mask: &Vec<u32>,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        for row in 0..rows {
            let seen: Vec<usize> =
                (row * tokens..(row + 1) * tokens).filter(|token| mask[*token] == 1).collect();
            let target = &mut out[row * width..][..width];
            let state = |token: usize| &states[token * width..][..width];
            match (pool, seen.last()) {
                (Pool::First, _) => target.copy_from_slice(state(row * tokens)),
                (Pool::Last, Some(last)) => target.copy_from_slice(state(*last)),
                _ => {
                    target.fill(0.0);
                    for token in &seen {
                        target.iter_mut().zip(state(*token)).for_each(|(sum, v)| *sum += v);
                    }
                    target.iter_mut().for_each(|sum| *sum /= seen.len() as f32);
                }
            }
        }
        Ok(())
    }

    fn splade(
        &mut self,
        logits: &Vec<f32>,
        (rows, tokens, width): (usize, usize, usize),
        mask: &Vec<u32>,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        for row in 0..rows {
            let target = &mut out[row * width..][..width];
            target.fill(0.0);
            for token in (row * tokens..(row + 1) * tokens).filter(|token| mask[*token] == 1) {
                for (most, logit) in target.iter_mut().zip(&logits[token * width..]) {
                    // Keep NaN in the maximum, so that the output check refuses it.
                    if *logit > *most || logit.is_nan() {
                        *most = *logit;
                    }
                }
            }
            target.iter_mut().for_each(|most| *most = most.ln_1p());
        }
        Ok(())
    }

    fn normalize(&mut self, x: &mut Vec<f32>, rows: usize, width: usize) -> Result<()> {
        for row in x[..rows * width].chunks_mut(width) {
            let length = dot(row, row).sqrt();
            // `f32::max` would drop a NaN.
            let norm = if length < 1e-12 { 1e-12 } else { length };
            row.iter_mut().for_each(|value| *value /= norm);
        }
        Ok(())
    }

    fn blank(
        &mut self,
        x: &mut Vec<f32>,
        rows: usize,
        width: usize,
        mask: &Vec<u32>,
    ) -> Result<()> {
        for (row, seen) in x[..rows * width].chunks_mut(width).zip(mask) {
            if *seen == 0 {
                row.fill(0.0);
            }
        }
        Ok(())
    }
}

/// Allocates zeros, and fails instead of overcommitting memory. Small buffers skip the check.
fn room(values: usize) -> Result<Vec<f32>> {
    let bytes = (values as u64).saturating_mul(4);
    let available = match bytes >= WORTH_ASKING {
        true => host_available().unwrap_or(u64::MAX),
        false => u64::MAX,
    };
    let refused = || LoadError::out_of_host_memory(bytes, available);
    let mut room = Vec::new();
    if bytes > available || room.try_reserve_exact(values).is_err() {
        return Err(refused());
    }
    room.resize(values, 0.0);
    Ok(room)
}
