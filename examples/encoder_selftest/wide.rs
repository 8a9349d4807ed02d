//! Layers whose BF16 weights lie far apart: from numbers without a leading one to 2^60, and NaN.

use weighbridge::gpu::{ActivationParams, Element, Precision, Runner};

use crate::data::{Random, Weights, compare, rounded};
use crate::{Outcome, words};

/// Relative to the sum of the absolute products, as for other layers.
const TOLERANCE: f64 = 3e-6;

/// Where tensor cores can read a weight.
const ALIGNED: (Element, usize) = (Element::BF16, 256);

/// A number of a random exponent.
fn number(random: &mut Random, (least, most): (i32, i32)) -> f32 {
    let exponent = least + random.size(0, (most - least) as usize) as i32;
    random.value() * 2f32.powi(exponent)
}

/// Some rows of weights have a few that are far from the others; in some all are far apart. Each 64 values
/// of x have a magnitude of their own.
pub fn linear(runner: &mut Runner, random: &mut Random) -> Outcome {
    let rows = if random.coin() { random.size(1, 40) } else { random.size(60, 300) };
    let (inner, outputs) = (8 * random.size(1, 60), random.size(1, 300));
    let mut weights = random.values(outputs * inner);
    for row in weights.chunks_mut(inner) {
        let range = match random.size(0, 3) {
            0 => (-150, -110),
            1 => (-60, 60),
            2 => (-30, 5),
            _ => (-2, 0),
        };
        if random.coin() {
            row.iter_mut().for_each(|weight| *weight = number(random, range));
        } else {
            for _ in 0..random.size(0, 3) {
                row[random.size(0, inner - 1)] = number(random, range);
            }
        }
        row[random.size(0, inner - 1)] = 0.0;
    }
    let mut values = random.values(rows * inner);
    for slice in values.chunks_mut(inner).flat_map(|row| row.chunks_mut(64)) {
        let scale = 2f32.powi(random.size(0, 40) as i32 - 20);
        slice.iter_mut().for_each(|value| *value *= scale);
    }
    let weight = Weights::of(runner, ALIGNED, (outputs, inner), &weights)?;
    let x = runner.upload(&values).map_err(words)?;
    let out = runner.floats(rows * outputs).map_err(words)?;
    let layer = [(weight.stored(), None)];
    runner.linear(x, rows, &layer, ActivationParams::Plain, out).map_err(words)?;
    let mut found = vec![0f32; rows * outputs];
    runner.fetch(out, &mut found).map_err(words)?;
    let rounds = runner.precision() == Precision::Bf16;
    // Divided by what went into them, because sums near zero count as much as large ones.
    let (mut relative, mut wanted) = (Vec::new(), Vec::new());
    for (row, found) in values.chunks(inner).zip(found.chunks(outputs)).step_by(3) {
        for (of, found) in weight.values.chunks(inner).zip(found) {
            let terms = row.iter().zip(of).map(|(x, w)| {
                let x = if rounds { rounded(*x) } else { *x };
                f64::from(x) * w
            });
            let (sum, all) =
                terms.fold((0.0, 0.0), |(sum, all), term: f64| (sum + term, all + term.abs()));
            // F32 has few bits for what is smaller.
            let all = all.max(1e-35);
            relative.push((f64::from(*found) / all) as f32);
            wanted.push((sum / all, 1.0));
        }
    }
    compare(&relative, &wanted, TOLERANCE, || {
        format!("{rows} x {inner} to {outputs}, of the terms")
    })
}

/// A weight that is NaN makes its output NaN for every row, and no other output.
pub fn not_a_number(runner: &mut Runner, random: &mut Random) -> Outcome {
    let rows = random.size(1, 200);
    let (inner, outputs) = (8 * random.size(1, 40), random.size(1, 200));
    let mut weights = random.values(outputs * inner);
    let tainted = random.size(0, outputs - 1);
    weights[tainted * inner + random.size(0, inner - 1)] = f32::NAN;
    let weight = Weights::of(runner, ALIGNED, (outputs, inner), &weights)?;
    let x = runner.upload(&random.values(rows * inner)).map_err(words)?;
    let out = runner.floats(rows * outputs).map_err(words)?;
    let layer = [(weight.stored(), None)];
    runner.linear(x, rows, &layer, ActivationParams::Plain, out).map_err(words)?;
    let mut found = vec![0f32; rows * outputs];
    runner.fetch(out, &mut found).map_err(words)?;
    match (0..found.len()).find(|at| found[*at].is_nan() != (at % outputs == tainted)) {
        None => Ok(()),
        Some(at) => Err(format!("{rows} x {inner} to {outputs}: value {at} is {}", found[at])),
    }
}
