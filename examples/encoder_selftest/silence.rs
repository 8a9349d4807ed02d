//! NaN must not be hidden: one NaN must reach every value that depends on it, and no other value.

use weighbridge::gpu::{AttentionParams, Element, Floats, NormParams, Runner};

use crate::data::{Random, Weights};
use crate::parts::KINDS;
use crate::{Outcome, words};

/// Fetches this many values; exactly those at the positions of `tainted` must be NaN.
fn only(
    runner: &mut Runner,
    buffer: Floats,
    count: usize,
    what: &str,
    tainted: impl Fn(usize) -> bool,
) -> Outcome {
    let mut found = vec![0f32; count];
    runner.fetch(buffer, &mut found).map_err(words)?;
    match (0..count).find(|at| found[*at].is_nan() != tainted(*at)) {
        None => Ok(()),
        Some(at) => Err(format!("{what}: value {at} of {count} is {}", found[at])),
    }
}

pub fn attend(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (rows, tokens, heads) = (random.size(1, 70), random.size(1, 100), random.size(1, 4));
    let size = random.size(1, 128);
    let width = heads * size;
    let of = AttentionParams {
        rows,
        tokens,
        heads,
        key_heads: heads,
        head_size: size,
        scale: 0.3,
        causal: false,
        window: None,
        neighbours: false,
    };
    let mut values = random.values(rows * tokens * 3 * width);
    // In a query, the scores of one token and head; in a key or a value, all of the sentence's.
    let (token, head, part) =
        (random.size(0, rows * tokens - 1), random.size(0, heads - 1), random.size(0, 2));
    let column = random.size(0, size - 1);
    values[token * 3 * width + part * width + head * size + column] = f32::NAN;
    let x = runner.upload(&values).map_err(words)?;
    let mask = runner.words(&vec![1; rows * tokens]).map_err(words)?;
    let out = runner.floats(rows * tokens * width).map_err(words)?;
    let at = |part: usize| (x, part * width, 3 * width);
    runner.attend(of, at(0), at(1), at(2), mask, out).map_err(words)?;
    let what = format!("{of:?}, part {part}");
    only(runner, out, rows * tokens * width, &what, |place| {
        let (of_token, of_head) = (place / width, place % width / size);
        let sentence = of_token / tokens == token / tokens;
        of_head == head
            && match part {
                0 => of_token == token,
                1 => sentence,
                _ => sentence && place % size == column,
            }
    })
}

pub fn linear(runner: &mut Runner, random: &mut Random) -> Outcome {
    let inner = if random.coin() { 8 * random.size(1, 25) } else { random.size(1, 200) };
    let outputs = random.size(1, 90);
    let rows = if random.coin() { random.size(1, 60) } else { random.size(512, 600) };
    let mut values = random.values(rows * inner);
    let tainted = random.size(0, rows - 1);
    values[tainted * inner + random.size(0, inner - 1)] = f32::NAN;
    let element = random.element();
    let weight = Weights::new(runner, random, element, outputs, inner)?;
    let activated = KINDS[random.size(0, KINDS.len() - 1)];
    let x = runner.upload(&values).map_err(words)?;
    let out = runner.floats(rows * outputs).map_err(words)?;
    runner.linear(x, rows, &[(weight.stored(), None)], activated, out).map_err(words)?;
    let what = format!("{rows} x {inner} to {outputs}, {activated:?}");
    only(runner, out, rows * outputs, &what, |at| at / outputs == tainted)
}

pub fn norms(runner: &mut Runner, random: &mut Random) -> Outcome {
    let (rows, width) = (random.size(1, 20), random.size(2, 1600));
    let mut values = random.values(rows * width);
    let tainted = random.size(0, rows - 1);
    values[tainted * width + random.size(0, width - 1)] = f32::NAN;
    let weight = Weights::new(runner, random, Element::F32, 1, width)?;
    let x = runner.upload(&values).map_err(words)?;
    let out = runner.floats(rows * width).map_err(words)?;
    let normed =
        NormParams { rms: random.coin(), weight: weight.stored(), bias: None, epsilon: 1e-6 };
    runner.norm(x, None, rows, normed, (false, &[]), out).map_err(words)?;
    only(runner, out, rows * width, "norm", |at| at / width == tainted)?;
    runner.normalize(x, rows, width).map_err(words)?;
    only(runner, x, rows * width, "normalize", |at| at / width == tainted)
}

pub fn splade(runner: &mut Runner, random: &mut Random) -> Outcome {
    let shape = (random.size(1, 4), random.size(1, 60), random.size(1, 300));
    let (rows, tokens, width) = shape;
    let mut values = random.values(rows * tokens * width);
    let tainted = random.size(0, rows * tokens - 1);
    let column = random.size(0, width - 1);
    values[tainted * width + column] = f32::NAN;
    let logits = runner.upload(&values).map_err(words)?;
    let mask = runner.words(&vec![1; rows * tokens]).map_err(words)?;
    let out = runner.floats(rows * width).map_err(words)?;
    runner.splade(logits, shape, mask, out).map_err(words)?;
    only(runner, out, rows * width, "splade", |at| at == tainted / tokens * width + column)
}
