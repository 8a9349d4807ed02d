//! Lookups, norms, gates and pooling.

use weighbridge::gpu::{ActivationParams, NormParams, Pool, Runner};

use crate::data::{Random, Weights, agree};
use crate::{Outcome, words};

/// Relative to the magnitude of the terms.
const TOLERANCE: f64 = 2e-6;

/// Every check begins with buffers of NaN, so that reading unwritten memory gives NaN and fails.
pub fn spoilt(runner: &mut Runner, random: &mut Random) -> Outcome {
    let count = random.size(1, 5000);
    runner.floats(count).map_err(words)?;
    runner.reset().and_then(|()| runner.spoil()).map_err(words)?;
    let (room, mut values) = (runner.floats(count).map_err(words)?, vec![0.0; count]);
    runner.fetch(room, &mut values).map_err(words)?;
    match values.iter().position(|value| !value.is_nan()) {
        None => Ok(()),
        Some(at) => Err(format!("{} at {at} of {count}", values[at])),
    }
}

pub fn gather(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (rows, width) = (random.size(1, 70), random.size(1, 700));
    let count = random.size(1, 3);
    let mut tables = Vec::new();
    let mut wanted = vec![(0.0, 1.0); rows * width];
    for _ in 0..count {
        let (element, height) = (random.element(), random.size(1, 50));
        let table = Weights::new(runner, random, element, height, width)?;
        let indices: Vec<u32> = (0..rows).map(|_| random.size(0, height - 1) as u32).collect();
        for (at, (sum, magnitude)) in wanted.iter_mut().enumerate() {
            let value = table.values[indices[at / width] as usize * width + at % width];
            *sum += value;
            *magnitude += value.abs();
        }
        tables.push((runner.words(&indices).map_err(words)?, table));
    }
    let pairs: Vec<_> = tables.iter().map(|(words, table)| (*words, table.stored())).collect();
    let out = runner.floats(rows * width).map_err(words)?;
    runner.gather(&pairs, rows, out).map_err(words)?;
    agree(runner, out, &wanted, TOLERANCE, || format!("{rows} rows of {width}"))
}

pub fn norm(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (rows, width) = (random.size(1, 40), random.size(2, 1600));
    let (rms, epsilon) = (random.coin(), 1e-6);
    let (element, other) = (random.element(), random.element());
    let weight = Weights::new(runner, random, element, 1, width)?;
    let bias = Weights::new(runner, random, other, 1, width)?;
    let with_bias = random.coin();
    let shift = random.value() * 3.0;
    let mut values = random.values(rows * width);
    values.iter_mut().for_each(|value| *value += shift);
    let x = runner.upload(&values).map_err(words)?;
    let more = random.values(rows * width);
    let residual = runner.upload(&more).map_err(words)?;
    let residual = random.coin().then_some(residual);
    let out = runner.floats(rows * width).map_err(words)?;
    let normed = NormParams {
        rms,
        weight: weight.stored(),
        bias: with_bias.then(|| bias.stored()),
        epsilon,
    };
    let keep = random.coin();
    runner.norm(x, residual, rows, normed, (keep, &[]), out).map_err(words)?;
    let mut wanted = Vec::new();
    let mut sums = Vec::new();
    for row in 0..rows {
        let of = |i: usize| {
            let at = row * width + i;
            // The sum is rounded to F32 where it is stored.
            f64::from(if residual.is_some() { values[at] + more[at] } else { values[at] })
        };
        let kept = |i: usize| if keep { of(i) } else { f64::from(values[row * width + i]) };
        sums.extend((0..width).map(|i| (kept(i), 1.0)));
        let mean = if rms { 0.0 } else { (0..width).map(of).sum::<f64>() / width as f64 };
        let square = (0..width).map(|i| (of(i) - mean).powi(2)).sum::<f64>() / width as f64;
        let scale = 1.0 / (square + f64::from(epsilon)).sqrt();
        for i in 0..width {
            let bias = if with_bias { bias.values[i] } else { 0.0 };
            let value = (of(i) - mean) * scale * weight.values[i] + bias;
            wanted.push((value, (of(i).abs() + mean.abs()) * scale + bias.abs()));
        }
    }
    let what = || format!("{rows} rows of {width}, rms {rms}");
    agree(runner, out, &wanted, TOLERANCE, what)?;
    agree(runner, x, &sums, 1e-9, || "the kept sum".into())
}

pub fn gated(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (rows, width) = (random.size(1, 40), random.size(1, 500));
    let values: Vec<f32> = random.values(rows * width * 2).iter().map(|v| v * 6.0).collect();
    let both = runner.upload(&values).map_err(words)?;
    let out = runner.floats(rows * width).map_err(words)?;
    let order = if random.coin() { (0, width) } else { (width, 0) };
    let activated = KINDS[random.size(0, KINDS.len() - 1)];
    runner.gated(both, rows, width, order, activated, out).map_err(words)?;
    let wanted: Vec<_> = (0..rows * width)
        .map(|at| {
            let row = at / width * 2 * width + at % width;
            let (gate, up) = (f64::from(values[row + order.0]), f64::from(values[row + order.1]));
            (activate(gate, activated) * up, gate.abs() * up.abs())
        })
        .collect();
    agree(runner, out, &wanted, TOLERANCE, || format!("{rows} rows of {width}, {activated:?}"))
}

pub const KINDS: [ActivationParams; 5] = [
    ActivationParams::Plain,
    ActivationParams::Gelu,
    ActivationParams::GeluTanh,
    ActivationParams::Silu,
    ActivationParams::Relu,
];

pub fn activate(x: f64, kind: ActivationParams) -> f64 {
    match kind {
        ActivationParams::Plain => x,
        ActivationParams::Gelu => 0.5 * x * (1.0 + erf(x / 2f64.sqrt())),
        ActivationParams::GeluTanh => {
            0.5 * x
                * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        ActivationParams::Silu => x / (1.0 + (-x).exp()),
        ActivationParams::Relu => x.max(0.0),
    }
}

/// By its series, which converges everywhere; enough terms for arguments up to 6.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    if x.abs() > 4.5 { x.signum() } else { sum * 2.0 / std::f64::consts::PI.sqrt() }
}

pub fn add(runner: &mut Runner, random: &mut Random) -> Outcome {
    let count = random.size(1, 5000);
    let (a, b) = (random.values(count), random.values(count));
    let (x, y) = (runner.upload(&a).map_err(words)?, runner.upload(&b).map_err(words)?);
    runner.add(x, y, count).map_err(words)?;
    let wanted: Vec<_> = a.iter().zip(&b).map(|(a, b)| (f64::from(a + b), 1.0)).collect();
    agree(runner, x, &wanted, 1e-12, || format!("{count} values"))
}

/// A mask with holes, at least one token in each row.
pub fn mask(random: &mut Random, rows: usize, tokens: usize) -> Vec<u32> {
    let mut mask: Vec<u32> = (0..rows * tokens).map(|_| u32::from(random.size(0, 3) > 0)).collect();
    for row in 0..rows {
        mask[row * tokens + random.size(0, tokens - 1)] = 1;
    }
    mask
}

pub fn pool(runner: &mut Runner, random: &mut Random) -> Outcome {
    let shape = (random.size(1, 6), random.size(1, 90), random.size(1, 600));
    let (rows, tokens, width) = shape;
    let seen = mask(random, rows, tokens);
    let values = random.values(rows * tokens * width);
    let states = runner.upload(&values).map_err(words)?;
    let held = runner.words(&seen).map_err(words)?;
    let out = runner.floats(rows * width).map_err(words)?;
    let kind = [Pool::Mean, Pool::First, Pool::Last][random.size(0, 2)];
    runner.pool(kind, states, shape, held, out).map_err(words)?;
    let mut wanted = Vec::new();
    for at in 0..rows * width {
        let (row, column) = (at / width, at % width);
        let state = |token: usize| f64::from(values[(row * tokens + token) * width + column]);
        let in_mask: Vec<usize> = (0..tokens).filter(|t| seen[row * tokens + t] == 1).collect();
        let value = match kind {
            Pool::Mean => in_mask.iter().map(|t| state(*t)).sum::<f64>() / in_mask.len() as f64,
            Pool::First => state(0),
            Pool::Last => state(in_mask[in_mask.len() - 1]),
        };
        wanted.push((value, 1.0));
    }
    agree(runner, out, &wanted, TOLERANCE, || format!("{shape:?} {kind:?}"))
}

pub fn splade(runner: &mut Runner, random: &mut Random) -> Outcome {
    let shape = (random.size(1, 6), random.size(1, 60), random.size(1, 600));
    let (rows, tokens, width) = shape;
    let seen = mask(random, rows, tokens);
    let values: Vec<f32> = random.values(rows * tokens * width).iter().map(|v| v - 0.8).collect();
    let logits = runner.upload(&values).map_err(words)?;
    let held = runner.words(&seen).map_err(words)?;
    let out = runner.floats(rows * width).map_err(words)?;
    runner.splade(logits, shape, held, out).map_err(words)?;
    let wanted: Vec<_> = (0..rows * width)
        .map(|at| {
            let (row, column) = (at / width, at % width);
            let most = (0..tokens)
                .filter(|token| seen[row * tokens + token] == 1)
                .map(|token| f64::from(values[(row * tokens + token) * width + column]))
                .fold(0.0, f64::max);
            (most.ln_1p(), most)
        })
        .collect();
    agree(runner, out, &wanted, TOLERANCE, || format!("{shape:?}"))
}

pub fn normalize(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (rows, width) = (random.size(1, 40), random.size(1, 1600));
    let mut values = random.values(rows * width);
    // A row of zeros remains zero.
    values[..width].fill(0.0);
    let x = runner.upload(&values).map_err(words)?;
    runner.normalize(x, rows, width).map_err(words)?;
    let mut wanted = Vec::new();
    for row in values.chunks(width) {
        let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt().max(1e-12);
        wanted.extend(row.iter().map(|v| (f64::from(*v) / norm, 1.0 / norm.max(1e-3))));
    }
    agree(runner, x, &wanted, TOLERANCE, || format!("{rows} rows of {width}"))
}

pub fn blank(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (rows, width) = (random.size(1, 60), random.size(1, 300));
    let seen: Vec<u32> = (0..rows).map(|_| random.size(0, 1) as u32).collect();
    let values = random.values(rows * width);
    let x = runner.upload(&values).map_err(words)?;
    let held = runner.words(&seen).map_err(words)?;
    runner.blank(x, rows, width, held).map_err(words)?;
    let wanted: Vec<_> = (0..rows * width)
        .map(|at| (if seen[at / width] == 1 { f64::from(values[at]) } else { 0.0 }, 1.0))
        .collect();
    agree(runner, x, &wanted, 1e-12, || format!("{rows} rows of {width}"))
}
