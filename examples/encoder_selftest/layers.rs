//! Linear layers of few and many rows, a run that is recorded and repeated, and calls that must be
//! refused.

use weighbridge::gpu::{ActivationParams, Element, Floats, GpuError, Precision, Runner};

use crate::data::{Random, Weights, compare, refused, rounded};
use crate::parts::{KINDS, activate};
use crate::{Outcome, words};

/// Relative to the sum of the absolute products, because F32 sums depend on the order.
const TOLERANCE: f64 = 3e-6;

/// Largest relative error of a value that is rounded to the 8 significant bits of BF16.
const ROUNDING: f64 = 1.0 / 256.0;

/// The error of a sum of rounded terms, in units of [`ROUNDING`] times the root of the sum of the
/// squared terms. Errors of random signs add up like a random walk, with a deviation of at most
/// `1 / sqrt 3` for each term, so 4 are about seven standard deviations. Up to 16 terms cannot exceed
/// them at all.
const WALK: f64 = 4.0;

/// No activation is steeper.
const STEEPEST: f64 = 1.13;

pub fn few(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (rows, inner) = (random.size(1, 150), random.size(1, 900));
    linear(runner, random, (rows, inner), (200, 1), Random::element)
}

/// Enough columns and outputs for every form of the kernel. The forms add in the same order, so a
/// row has the same bits whatever rows come with it.
pub fn few_wide(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (rows, inner) = (random.size(2, 255), 8 * random.size(1, 160));
    linear(runner, random, (rows, inner), (3000, 37), Random::element)?;
    let element = if random.coin() { Element::F32 } else { Element::F16 };
    let outputs = random.size(1, 5000);
    let weight = Weights::new(runner, random, element, outputs, inner)?;
    let values = random.values(rows * inner);
    let bits = |runner: &mut Runner, rows: usize| -> Result<Vec<u32>, String> {
        let x = runner.upload(&values[..rows * inner]).map_err(words)?;
        let out = runner.floats(rows * outputs).map_err(words)?;
        let layers = [(weight.stored(), None)];
        runner.linear(x, rows, &layers, ActivationParams::Plain, out).map_err(words)?;
        let mut found = vec![0f32; rows * outputs];
        runner.fetch(out, &mut found).map_err(words)?;
        Ok(found.into_iter().map(f32::to_bits).collect())
    };
    let (all, alone) = (bits(runner, rows)?, bits(runner, 1)?);
    match all[..outputs] == alone[..] {
        true => Ok(()),
        false => Err(format!("{rows} x {inner} to {outputs}: the first row alone has other bits")),
    }
}

pub fn many(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (rows, inner) = (random.size(256, 700), random.size(1, 300));
    linear(runner, random, (rows, inner), (90, 1), Random::element)
}

/// Sizes and a type that tensor cores accept.
pub fn split(runner: &mut Runner, random: &mut Random) -> Outcome {
    // Sometimes more rows than one pass takes.
    let (rows, most) = match random.size(0, 2) {
        0 => (random.size(8, 60), 180),
        1 => (random.size(300, 700), 60),
        _ => (random.size(1020, 1100), 20),
    };
    let inner = 8 * random.size(1, most);
    linear(runner, random, (rows, inner), (200, 1), |_| Element::BF16)
}

/// Few rows, so that the inner dimension is cut into pieces and a tile has rows to spare.
pub fn split_long(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (rows, inner) = (random.size(1, 140), 8 * random.size(100, 900));
    linear(runner, random, (rows, inner), (300, 3), |_| Element::BF16)
}

/// The same for layers in which, mostly, the sums of all pieces do not fit into the buffer at the
/// same time.
pub fn split_in_turn(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (rows, inner) = (random.size(900, 1024), 8 * random.size(400, 600));
    linear(runner, random, (rows, inner), (900, 37), |_| Element::BF16)
}

/// Layers of up to `most` outputs; one row in `every` is computed on the host as well.
fn linear(
    runner: &mut Runner,
    random: &mut Random,
    (rows, inner): (usize, usize),
    (most, every): (usize, usize),
    element: fn(&mut Random) -> Element,
) -> Outcome {
    let values = random.values(rows * inner);
    let count = random.size(1, 4);
    let mut layers = Vec::new();
    for _ in 0..count {
        let (element, other) = (element(random), random.element());
        let outputs = random.size(1, most);
        let weight = Weights::new(runner, random, element, outputs, inner)?;
        let bias = Weights::new(runner, random, other, 1, outputs)?;
        layers.push((weight, random.coin().then_some(bias)));
    }
    let activated = KINDS[random.size(0, KINDS.len() - 1)];
    let x = runner.upload(&values).map_err(words)?;
    let stride: usize = layers.iter().map(|(weight, _)| weight.rows).sum();
    let out = runner.floats(rows * stride).map_err(words)?;
    let stored: Vec<_> = layers
        .iter()
        .map(|(weight, bias)| (weight.stored(), bias.as_ref().map(Weights::stored)))
        .collect();
    runner.linear(x, rows, &stored, activated, out).map_err(words)?;
    let mut found = vec![0f32; rows * stride];
    runner.fetch(out, &mut found).map_err(words)?;
    let found: Vec<f32> = found.chunks(stride).step_by(every).flatten().copied().collect();
    let compared: Vec<&[f32]> = values.chunks(inner).step_by(every).collect();
    let what = || format!("{rows} x {inner} by {count} layers, {stride} outputs, {activated:?}");
    let exact = sums(compared.iter().copied(), &layers, activated);
    // Weights that tensor cores cannot read are multiplied in F32 in every mode.
    let rounds = runner.precision() == Precision::Bf16
        && layers.iter().all(|(weight, _)| weight.suits_tensor_cores());
    if !rounds {
        let wanted: Vec<_> = exact.iter().map(|sum| (sum.value, sum.magnitude)).collect();
        return compare(&found, &wanted, TOLERANCE, what);
    }
    // Against the rounded x, the kernel is as exact as the others; so a wrong one is found out.
    let near: Vec<Vec<f32>> =
        compared.iter().map(|row| row.iter().map(|x| rounded(*x)).collect()).collect();
    let wanted = sums(near.iter().map(Vec::as_slice), &layers, activated);
    let wanted: Vec<_> = wanted.iter().map(|sum| (sum.value, sum.magnitude)).collect();
    compare(&found, &wanted, TOLERANCE, || format!("{}, of rounded x", what()))?;
    let wanted: Vec<_> = exact
        .iter()
        .map(|sum| (sum.value, STEEPEST * WALK * sum.walk + sum.magnitude * TOLERANCE / ROUNDING))
        .collect();
    compare(&found, &wanted, ROUNDING, what)
}

/// What a layer should give.
struct Sum {
    value: f64,
    /// The sum of the absolute terms, and one more.
    magnitude: f64,
    /// The root of the sum of the squared products.
    walk: f64,
}

fn sums<'r>(
    rows: impl Iterator<Item = &'r [f32]>,
    layers: &[(Weights, Option<Weights>)],
    activated: ActivationParams,
) -> Vec<Sum> {
    let mut all = Vec::new();
    for row in rows {
        for (weight, bias) in layers {
            for output in 0..weight.rows {
                let of = &weight.values[output * row.len()..][..row.len()];
                let bias = bias.as_ref().map_or(0.0, |bias| bias.values[output]);
                let (mut sum, mut magnitude, mut squares) = (bias, bias.abs() + 1.0, 0.0);
                for term in row.iter().zip(of).map(|(x, w)| f64::from(*x) * w) {
                    sum += term;
                    magnitude += term.abs();
                    squares += term * term;
                }
                let value = activate(sum, activated);
                all.push(Sum { value, magnitude, walk: squares.sqrt() });
            }
        }
    }
    all
}

/// The same shape four times, new values each: the third run is recorded, the fourth repeated. Each
/// must give the result of a separate runner, bit for bit.
pub fn repeats(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (inner, outputs) = (random.size(1, 300), random.size(1, 300));
    let rows = if random.coin() { random.size(1, 80) } else { random.size(512, 600) };
    let element = random.element();
    let weight = Weights::new(runner, random, element, outputs, inner)?;
    let run = |runner: &mut Runner, x: Floats| -> Result<Floats, GpuError> {
        let out = runner.floats(rows * outputs)?;
        runner.linear(x, rows, &[(weight.stored(), None)], ActivationParams::Gelu, out)?;
        runner.normalize(out, rows, outputs)?;
        Ok(out)
    };
    for round in 0..4 {
        let values = random.values(rows * inner);
        let mut found = [vec![0f32; rows * outputs], vec![0f32; rows * outputs]];
        runner.reset().map_err(words)?;
        let x = runner.upload(&values).map_err(words)?;
        let shape = (rows * 1000 + inner, outputs);
        let failed = |error: &GpuError| error.to_string();
        let work = |runner: &mut Runner| run(runner, x).map_err(words);
        let out = runner.repeat(shape, weight.memory(), failed, work)?;
        runner.fetch(out, &mut found[0]).map_err(words)?;
        runner.reset().map_err(words)?;
        let x = runner.upload(&values).map_err(words)?;
        let out = run(runner, x).map_err(words)?;
        runner.fetch(out, &mut found[1]).map_err(words)?;
        if found[0].iter().zip(&found[1]).any(|(a, b)| a.to_bits() != b.to_bits()) {
            return Err(format!("round {round} of {rows} x {inner} x {outputs} differs"));
        }
    }
    Ok(())
}

pub fn refusals(runner: &mut Runner, random: &mut Random) -> Outcome {
    let weight = Weights::new(runner, random, Element::F32, 7, 5)?;
    let x = runner.upload(&[1.0; 10]).map_err(words)?;
    let out = runner.floats(14).map_err(words)?;
    let plain = ActivationParams::Plain;
    let stored = weight.stored();
    refused(runner.linear(x, 3, &[(stored, None)], plain, out), "more rows than x has")?;
    let mut long = stored;
    long.rows = 8;
    refused(runner.linear(x, 2, &[(long, None)], plain, out), "a weight beyond its memory")?;
    let mut odd = stored;
    odd.offset += 1;
    odd.rows = 6;
    refused(runner.linear(x, 2, &[(odd, None)], plain, out), "a misaligned weight")?;
    let words_held = runner.words(&[0, 7]).map_err(words)?;
    refused(runner.gather(&[(words_held, stored)], 2, out), "an index beyond its table")?;
    refused(runner.normalize(out, 3, 5), "a buffer that is too short")
}
