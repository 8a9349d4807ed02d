//! Linear layers on the host. Each weight is read once for all rows; the outputs are split among
//! threads.

use std::num::NonZero;
use std::ops::Range;
use std::thread;

use crate::loader::error::{LoadError, Result};
use crate::loader::infer::arithmetic::{activated, dot};
use crate::loader::infer::ops::{Activation, Linear};

use super::weights::HostOps;

/// Products with fewer multiplications than this run on one thread.
const WORTH_THREADS: usize = 1 << 20;

/// Applies several layers to the same rows, and writes their results side by side.
pub(super) fn linear(
    ops: &HostOps<'_>,
    (x, rows): (&[f32], usize),
    layers: &[Linear],
    activation: Option<Activation>,
    out: &mut [f32],
) -> Result<()> {
    let stride: usize = layers.iter().map(Linear::outputs).sum();
    let mut column = 0;
    for layer in layers {
        let outputs = layer.outputs();
        let inner = layer.weight.rows * layer.weight.columns / outputs.max(1);
        let bias = layer.bias.as_ref().map(|bias| ops.vector(bias)).transpose()?;
        let turned = match layer.transposed {
            true => Some(turned(&ops.vector(&layer.weight)?, outputs)),
            false => None,
        };
        // Each weight is read once for all rows: for one row, reading dominates the time.
        let some = |these: Range<usize>| -> Result<Vec<f32>> {
            let mut sums = Vec::with_capacity(these.len() * rows);
            for output in these {
                let read;
                let weight = match &turned {
                    Some(turned) => &turned[output * inner..][..inner],
                    None => {
                        read = ops.read(&layer.weight, output * inner, inner)?;
                        read.as_slice()
                    }
                };
                let add = bias.as_ref().map_or(0.0, |bias| bias[output]);
                for row in x[..rows * inner].chunks(inner.max(1)) {
                    let sum = dot(row, weight) + add;
                    sums.push(activation.map_or(sum, |which| activated(sum, which)));
                }
            }
            Ok(sums)
        };
        let threads = match rows * outputs * inner >= WORTH_THREADS {
            true => thread::available_parallelism().map_or(1, NonZero::get),
            false => 1,
        };
        let share = outputs.div_ceil(threads).max(1);
        let parts: Vec<Range<usize>> =
            (0..outputs).step_by(share).map(|from| from..(from + share).min(outputs)).collect();
        let mut place = |these: Range<usize>, sums: &[f32]| {
            for (output, sums) in these.zip(sums.chunks(rows.max(1))) {
                for (row, sum) in sums.iter().enumerate() {
                    out[row * stride + column + output] = *sum;
                }
            }
        };
        match parts.as_slice() {
            [one] => place(one.clone(), &some(one.clone())?),
            parts => thread::scope(|scope| -> Result<()> {
                let some = &some;
                let work: Vec<_> = parts
                    .iter()
                    .map(|part| (part.clone(), scope.spawn(move || some(part.clone()))))
                    .collect();
                work.into_iter().try_for_each(|(part, thread)| {
                    let sums = thread.join().map_err(|_| LoadError::internal("thread panicked"))?;
                    place(part, &sums?);
                    Ok(())
                })
            })?,
        }
        column += outputs;
    }
    Ok(())
}

/// Transposes `[in, out]` to `[out, in]`.
fn turned(weight: &[f32], outputs: usize) -> Vec<f32> {
    (0..outputs).flat_map(|output| weight.iter().skip(output).step_by(outputs)).copied().collect()
}
