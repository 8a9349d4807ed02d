//! Attention and rotary positions.

use weighbridge::gpu::{AttentionParams, Precision, Runner};

use crate::data::{Random, agree, rounded};
use crate::parts::mask;
use crate::{Outcome, words};

/// An error of a score moves its weight by as much; scores reach values of a few tens.
const TOLERANCE: f64 = 1e-5;

fn attending(random: &mut Random) -> AttentionParams {
    let key_heads = random.size(1, 3);
    // Sometimes so many sentences that the kernel with large blocks is used.
    let rows = if random.coin() { random.size(1, 3) } else { random.size(60, 90) };
    let tokens = match rows {
        // Several rounds of the rings of attention on tensor cores.
        1 => random.size(200, 700),
        2 | 3 => random.size(1, 200),
        _ => random.size(1, 40),
    };
    AttentionParams {
        rows,
        tokens,
        heads: key_heads * random.size(1, 3),
        key_heads,
        head_size: 2 * random.size(1, 64),
        scale: 0.1 + random.value().abs(),
        causal: random.coin(),
        window: random.coin().then(|| random.size(1, 150)),
        neighbours: random.coin(),
    }
}

pub fn attend(runner: &mut Runner, random: &mut Random) -> Outcome {
    let of = attending(random);
    let count = of.rows * of.tokens;
    let (wide, narrow) = (of.heads * of.head_size, of.key_heads * of.head_size);
    let stride = wide + 2 * narrow + random.size(0, 5);
    let values = random.values(count * stride);
    let seen = mask(random, of.rows, of.tokens);
    let x = runner.upload(&values).map_err(words)?;
    let held = runner.words(&seen).map_err(words)?;
    let out = runner.floats(count * wide).map_err(words)?;
    let (q, k, v) = ((x, 0, stride), (x, wide, stride), (x, wide + narrow, stride));
    runner.attend(of, q, k, v, held, out).map_err(words)?;
    // Shorter inputs and other heads are computed in F32 in every mode.
    let rounds = runner.precision() == Precision::Bf16
        && of.tokens >= 64
        && (33..=128).contains(&of.head_size);
    // The kernel rounds queries when they are scaled to powers of two.
    let to_powers = of.scale * std::f32::consts::LOG2_E;
    let near: Vec<f32> = match rounds {
        false => values.clone(),
        true => values
            .iter()
            .enumerate()
            .map(|(at, value)| match at % stride < wide {
                true => rounded(value * to_powers) / to_powers,
                false => rounded(*value),
            })
            .collect(),
    };
    let at = |token: usize, column: usize| f64::from(near[token * stride + column]);
    let mut wanted = vec![(0.0, 1.0); count * wide];
    for token in 0..count {
        let (row, query) = (token / of.tokens, token % of.tokens);
        for head in 0..of.heads {
            let key_head = head * of.key_heads / of.heads;
            let keys: Vec<usize> = (0..of.tokens)
                .filter(|key| {
                    let near = of.window.is_none_or(|window| key + window > query);
                    seen[row * of.tokens + key] == 1 && (!of.causal || *key <= query && near)
                })
                .map(|key| row * of.tokens + key)
                .collect();
            let score = |key: &usize| {
                let dot: f64 = (0..of.head_size)
                    .map(|j| {
                        at(token, head * of.head_size + j)
                            * at(*key, wide + key_head * of.head_size + j)
                    })
                    .sum();
                dot * f64::from(of.scale)
            };
            let scores: Vec<f64> = keys.iter().map(score).collect();
            let most = scores.iter().copied().fold(f64::MIN, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
            let total: f64 = weights.iter().sum();
            for j in 0..of.head_size {
                let sum: f64 = keys
                    .iter()
                    .zip(&weights)
                    .map(|(key, weight)| {
                        weight * at(*key, wide + narrow + key_head * of.head_size + j)
                    })
                    .sum();
                let value = if keys.is_empty() { 0.0 } else { sum / total };
                let mut allowed = 1.0;
                if rounds && !keys.is_empty() {
                    // The weights of the keys are rounded too: a random walk, as for layers.
                    let squares = keys.iter().zip(&weights).map(|(key, weight)| {
                        let column = wide + narrow + key_head * of.head_size + j;
                        (weight / total * at(*key, column)).powi(2)
                    });
                    allowed += 4.0 / 256.0 * squares.sum::<f64>().sqrt() / TOLERANCE;
                }
                wanted[token * wide + head * of.head_size + j] = (value, allowed);
            }
        }
    }
    agree(runner, out, &wanted, TOLERANCE, || format!("{of:?}"))
}

pub fn rotate(runner: &mut Runner, random: &mut Random) -> Outcome {
    let of = attending(random);
    let rows = of.rows * of.tokens;
    let width = of.heads * of.head_size;
    let (column, stride) = (random.size(0, 4), width + 4);
    let values = random.values(rows * stride);
    let half = of.head_size / 2;
    let turns: Vec<f32> = (0..of.tokens * half)
        .flat_map(|_| {
            let angle = random.value() * 100.0;
            [angle.cos(), angle.sin()]
        })
        .collect();
    let x = runner.upload(&values).map_err(words)?;
    let held = runner.upload(&turns).map_err(words)?;
    runner.rotate((x, column, stride), of.heads, of, held).map_err(words)?;
    let mut wanted: Vec<_> = values.iter().map(|value| (f64::from(*value), 1.0)).collect();
    for row in 0..rows {
        for head in 0..of.heads {
            for pair in 0..half {
                let start = row * stride + column + head * of.head_size;
                let (first, second) = match of.neighbours {
                    true => (start + 2 * pair, start + 2 * pair + 1),
                    false => (start + pair, start + pair + half),
                };
                let turn = (row % of.tokens * half + pair) * 2;
                let (cos, sin) = (f64::from(turns[turn]), f64::from(turns[turn + 1]));
                let (a, b) = (f64::from(values[first]), f64::from(values[second]));
                wanted[first].0 = a * cos - b * sin;
                wanted[second].0 = b * cos + a * sin;
            }
        }
    }
    agree(runner, x, &wanted, 1e-6, || format!("{of:?}"))
}
