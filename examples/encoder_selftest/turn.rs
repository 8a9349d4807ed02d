//! Operations that only decoders need: norms over heads, selected columns, transposed weights.

use weighbridge::gpu::{ActivationParams, NormParams, Runner};

use crate::data::{Random, Weights, agree};
use crate::parts::{KINDS, activate};
use crate::{Outcome, words};

pub fn norm_heads(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (rows, heads, width) = (random.size(1, 40), random.size(1, 5), random.size(2, 130));
    let (column, spare) = (random.size(0, 5), random.size(0, 5));
    let stride = column + heads * width + spare;
    let values = random.values(rows * stride);
    let element = random.element();
    let weight = Weights::new(runner, random, element, 1, width)?;
    let x = runner.upload(&values).map_err(words)?;
    let normed = NormParams { rms: true, weight: weight.stored(), bias: None, epsilon: 1e-3 };
    runner.norm_heads((x, column, stride), rows, heads, normed).map_err(words)?;
    let mut wanted: Vec<_> = values.iter().map(|value| (f64::from(*value), 1.0)).collect();
    for row in 0..rows {
        for head in 0..heads {
            let start = row * stride + column + head * width;
            let of = |i: usize| f64::from(values[start + i]);
            let square = (0..width).map(|i| of(i).powi(2)).sum::<f64>() / width as f64;
            let scale = 1.0 / (square + 1e-3).sqrt();
            for i in 0..width {
                wanted[start + i] = (of(i) * scale * weight.values[i], 1.0);
            }
        }
    }
    agree(runner, x, &wanted, 3e-6, || format!("{rows} x {heads} heads of {width}"))
}

pub fn keep(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (rows, columns, at) = (random.size(1, 40), random.size(1, 90), random.size(0, 20));
    let places = [random.size(0, 5), random.size(0, 100)];
    let stride = places[0].max(places[1]) + columns + random.size(0, 5);
    let values = random.values(rows * stride);
    let x = runner.upload(&values).map_err(words)?;
    let before = [0, 1].map(|_| random.values((at + rows + 3) * columns));
    let mut into = Vec::new();
    for before in &before {
        into.push(runner.upload(before).map_err(words)?);
    }
    let from = places.map(|column| (x, column, stride));
    runner.keep(from, rows, columns, at, [into[0], into[1]]).map_err(words)?;
    for ((column, before), into) in places.iter().zip(&before).zip(into) {
        let mut wanted: Vec<_> = before.iter().map(|value| (f64::from(*value), 0.0)).collect();
        for row in 0..rows {
            for i in 0..columns {
                let value = values[row * stride + column + i];
                wanted[(at + row) * columns + i] = (f64::from(value), 0.0);
            }
        }
        agree(runner, into, &wanted, 1e-9, || format!("{rows} x {columns} at {at}"))?;
    }
    Ok(())
}

pub fn linear_turned(runner: &mut Runner, random: &mut Random) -> Outcome {
    let rows = if random.coin() { random.size(1, 60) } else { random.size(512, 560) };
    let (inner, outputs) = (random.size(1, 200), random.size(1, 150));
    let (element, other) = (random.element(), random.element());
    let weight = Weights::new(runner, random, element, inner, outputs)?;
    let bias = Weights::new(runner, random, other, 1, outputs)?;
    let biased = random.coin();
    let activated: ActivationParams = KINDS[random.size(0, KINDS.len() - 1)];
    let values = random.values(rows * inner);
    let x = runner.upload(&values).map_err(words)?;
    let out = runner.floats(rows * outputs).map_err(words)?;
    let of = (weight.stored(), biased.then(|| bias.stored()));
    runner.linear_turned(x, rows, of, activated, out).map_err(words)?;
    let mut wanted = Vec::new();
    for row in values.chunks(inner) {
        for output in 0..outputs {
            let bias = if biased { bias.values[output] } else { 0.0 };
            let terms = row.iter().enumerate();
            let terms = terms.map(|(i, x)| f64::from(*x) * weight.values[i * outputs + output]);
            let (sum, magnitude) =
                terms.fold((bias, bias.abs()), |(sum, size), term| (sum + term, size + term.abs()));
            wanted.push((activate(sum, activated), magnitude + 1.0));
        }
    }
    agree(runner, out, &wanted, 3e-6, || format!("{rows} x {inner} x {outputs}"))
}
