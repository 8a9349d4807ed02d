//! Operations that follow each other and hand on parts: a norm, a gate with what it gates, and the
//! layer behind; attention and the layer behind. Each result is compared with what follows from the
//! values before it.

use weighbridge::gpu::{
    ActivationParams, AttentionParams, DeviceWeight, Element, Floats, NormParams, Precision, Runner,
};

use crate::data::{Random, Weights, compare, rounded};
use crate::parts::{KINDS, activate, mask};
use crate::{Outcome, words};

/// Relative to the sum of the absolute products, as for single layers.
const TOLERANCE: f64 = 3e-6;

/// A layer with an optional bias.
type Layer = (Weights, Option<Weights>);

pub fn chain(runner: &mut Runner, random: &mut Random) -> Outcome {
    let rows = match random.size(0, 2) {
        0 => random.size(1, 40),
        1 => random.size(60, 300),
        _ => random.size(900, 1100),
    };
    let (hidden, width) = (8 * random.size(1, 30), 8 * random.size(1, 60));
    let mut layer = |outputs: usize, inner: usize| -> Result<Layer, String> {
        let weight = Weights::new(runner, random, Element::BF16, outputs, inner)?;
        let other = random.element();
        let bias = Weights::new(runner, random, other, 1, outputs)?;
        Ok((weight, random.coin().then_some(bias)))
    };
    let (gate, up, down) = (layer(width, hidden)?, layer(width, hidden)?, layer(hidden, width)?);
    let scale = Weights::new(runner, random, Element::F32, 1, hidden)?;
    // Only SiLU gates in one product.
    let silu = random.coin();
    let other = KINDS[random.size(0, KINDS.len() - 1)];
    let activated = if silu { ActivationParams::Silu } else { other };
    let x = runner.upload(&random.values(rows * hidden)).map_err(words)?;
    let mut room = |count: usize| runner.floats(count).map_err(words);
    let (normed, both) = (room(rows * hidden)?, room(rows * width * 2)?);
    let (inner, out) = (room(rows * width)?, room(rows * hidden)?);
    let norm = NormParams { rms: true, weight: scale.stored(), bias: None, epsilon: 1e-5 };
    let what = || format!("{rows} x {hidden} x {width}, {activated:?}");
    let mut before = Vec::new();
    // In the second round the norm makes parts, because products have taken some.
    for round in 0..2 {
        runner.norm(x, None, rows, norm, (false, &[]), normed).map_err(words)?;
        let pair = [stored(&gate), stored(&up)];
        let at_once = runner.linear_gated(normed, rows, pair, activated, inner, None);
        let at_once = at_once.map_err(words)?;
        if !at_once {
            let plain = ActivationParams::Plain;
            runner.linear(normed, rows, &pair, plain, both).map_err(words)?;
            runner.gated(both, rows, width, (0, width), activated, inner).map_err(words)?;
        }
        let tensor_cores =
            runner.context().compute_capability().map_err(words)? == (9, 0) && rows <= 1024;
        let suits = [&gate, &up].iter().all(|layer| layer.0.suits_tensor_cores());
        let silu = activated == ActivationParams::Silu;
        if tensor_cores && suits && silu && !at_once {
            return Err(format!("the gate was not computed at once: {}", what()));
        }
        let last = [stored(&down)];
        runner.linear(inner, rows, &last, ActivationParams::Plain, out).map_err(words)?;
        let of_norm = fetch(runner, normed, rows * hidden)?;
        let of_gate = fetch(runner, inner, rows * width)?;
        let found = fetch(runner, out, rows * hidden)?;
        let near = |values: &[f32], layers: &[&Layer]| near(runner, values, layers);
        let taken = near(&of_norm, &[&gate, &up]);
        let mut wanted = Vec::new();
        for row in rows_of(&taken, hidden) {
            for output in 0..width {
                let ((g, of_g), (u, of_u)) = (sum(&row, &gate, output), sum(&row, &up, output));
                let gated = activate(g, activated);
                wanted.push((gated * u, (gated.abs() + of_g) * (u.abs() + of_u)));
            }
        }
        let sampled = rows_of(&of_gate, width).concat();
        compare(&sampled, &wanted, TOLERANCE, || format!("gate, round {round}: {}", what()))?;
        let taken = near(&of_gate, &[&down]);
        let behind = || format!("behind, round {round}: {}", what());
        agrees((&taken, width), &down, (&found, hidden), behind)?;
        before = found;
    }
    // Where the layer behind takes parts, it needs nothing else.
    let (pair, last) = ([stored(&gate), stored(&up)], stored(&down));
    let nothing = vec![f32::NAN; rows * width];
    runner.refill(&nothing, inner).map_err(words)?;
    // The layers that read the norm take parts too.
    runner.refill(&vec![f32::NAN; rows * hidden], normed).map_err(words)?;
    runner.norm(x, None, rows, norm, (false, &pair), normed).map_err(words)?;
    let reader = Some(last);
    if runner.linear_gated(normed, rows, pair, activated, inner, reader).map_err(words)? {
        runner.linear(inner, rows, &[last], ActivationParams::Plain, out).map_err(words)?;
        if fetch(runner, out, rows * hidden)? != before {
            return Err(format!("with parts alone the layer behind differs: {}", what()));
        }
    }
    Ok(())
}

/// Attention and the layer behind it.
pub fn attention(runner: &mut Runner, random: &mut Random) -> Outcome {
    let key_heads = random.size(1, 2);
    let of = AttentionParams {
        rows: random.size(1, 3),
        tokens: random.size(40, 300),
        heads: 4 * key_heads,
        key_heads,
        // Heads of 128 hand on parts with scales.
        head_size: if random.coin() { 128 } else { 2 * random.size(12, 64) },
        scale: 0.2,
        causal: random.coin(),
        window: None,
        neighbours: false,
    };
    let (rows, hidden) = (of.rows * of.tokens, 8 * random.size(1, 30));
    let (wide, narrow) = (of.heads * of.head_size, of.key_heads * of.head_size);
    let stride = wide + 2 * narrow;
    let join = (Weights::new(runner, random, Element::BF16, hidden, wide)?, None);
    let x = runner.upload(&random.values(rows * stride)).map_err(words)?;
    let seen = runner.words(&mask(random, of.rows, of.tokens)).map_err(words)?;
    let mut room = |count: usize| runner.floats(count).map_err(words);
    let (mixed, out) = (room(rows * wide)?, room(rows * hidden)?);
    let (q, k, v) = ((x, 0, stride), (x, wide, stride), (x, wide + narrow, stride));
    // In the second round attention makes parts, because the product has taken some.
    for round in 0..2 {
        runner.attend(of, q, k, v, seen, mixed).map_err(words)?;
        let layers = [stored(&join)];
        runner.linear(mixed, rows, &layers, ActivationParams::Plain, out).map_err(words)?;
        let of_attention = fetch(runner, mixed, rows * wide)?;
        let found = fetch(runner, out, rows * hidden)?;
        let taken = near(runner, &of_attention, &[&join]);
        let what = || format!("behind, round {round}: {of:?}");
        agrees((&taken, wide), &join, (&found, hidden), what)?;
    }
    Ok(())
}

/// Values as layers take them.
fn near(runner: &Runner, values: &[f32], layers: &[&Layer]) -> Vec<f32> {
    let rounds = runner.precision() == Precision::Bf16
        && layers.iter().all(|layer| layer.0.suits_tensor_cores());
    values.iter().map(|value| if rounds { rounded(*value) } else { *value }).collect()
}

/// Some rows, each with a step of seven to the next.
fn rows_of(values: &[f32], width: usize) -> Vec<Vec<f32>> {
    values.chunks(width).step_by(7).map(<[f32]>::to_vec).collect()
}

/// Compares what a layer has made of x.
fn agrees(
    (x, inner): (&[f32], usize),
    layer: &Layer,
    (found, outputs): (&[f32], usize),
    what: impl Fn() -> String,
) -> Outcome {
    let mut wanted = Vec::new();
    for row in rows_of(x, inner) {
        wanted.extend((0..outputs).map(|output| sum(&row, layer, output)));
    }
    compare(&rows_of(found, outputs).concat(), &wanted, TOLERANCE, what)
}

fn stored(layer: &Layer) -> (DeviceWeight<'_>, Option<DeviceWeight<'_>>) {
    (layer.0.stored(), layer.1.as_ref().map(Weights::stored))
}

fn fetch(runner: &mut Runner, from: Floats, count: usize) -> Result<Vec<f32>, String> {
    let mut values = vec![0.0; count];
    runner.fetch(from, &mut values).map_err(words)?;
    Ok(values)
}

/// An output of a layer, and the sum of its absolute terms and one more.
fn sum(row: &[f32], (weight, bias): &Layer, output: usize) -> (f64, f64) {
    let bias = bias.as_ref().map_or(0.0, |bias| bias.values[output]);
    let of = &weight.values[output * row.len()..][..row.len()];
    row.iter().zip(of).fold((bias, bias.abs() + 1.0), |(sum, all), (x, w)| {
        let term = f64::from(*x) * w;
        (sum + term, all + term.abs())
    })
}
