//! Linear layers with BF16 weights on tensor cores, without a loss of input precision.
//!
//! Each F32 value of x is the exact sum of three BF16 parts. The parts are multiplied as separate
//! rows, and the results are added in F32. The inner dimension of the largest parts is cut into
//! pieces, because tensor cores truncate their sums, while the sum over pieces is rounded. One
//! launch computes all whole pieces if their sums fit in `MOST_SUMS`. Otherwise each piece has its
//! own launch. Devices of compute capability 9.0 have a faster way, `warpgroup`.

use super::runner::Runner;
use super::shape::{ActivationParams, DeviceWeight, Layer, Precision, word};
use crate::gpu::driver::error::GpuError;
use crate::gpu::kernel::launch::{BLOCK, argument, blocks};
use crate::gpu::kernel::tensor_scan::Element;
use crate::gpu::math::products::{Pieces, Product};

/// From this number of rows on, tensor cores are faster than the kernel that reads weights in their
/// stored type.
pub(super) const LEAST_ROWS: usize = 8;

/// Most rows at a time. They are enough to keep the device busy; more would only need more memory.
pub(super) const MOST_ROWS: usize = 1024;

/// Most terms of the largest parts that tensor cores add in one product. Tensor cores do not round
/// sums to F32 but truncate them towards zero, so the errors of many terms add up. The other parts
/// are at most 2^-8 as large, so their truncation does not matter.
const MOST_TERMS: usize = 256;

/// BF16 parts of a value. Other devices than those of compute capability 9.0 compute exactly alone.
const PARTS: usize = Precision::Exact.parts();

/// Most F32 sums of pieces that are stored at a time: 32 MiB. With more, the memory and its traffic
/// cost as much as fewer launches save.
const MOST_SUMS: usize = 1 << 23;

/// The stored sums of pieces: their number, and the F32 values from one to the next.
#[derive(Clone, Copy)]
struct Sums {
    count: usize,
    step: usize,
}

impl Sums {
    fn new(rows: usize, inner: usize, outputs: usize) -> Sums {
        // Each begins as aligned as the first.
        let step = (rows * outputs).next_multiple_of(64);
        let pieces = inner.div_ceil(MOST_TERMS);
        Sums { count: if pieces * step <= MOST_SUMS { pieces } else { 1 }, step }
    }

    /// F32 values for all products of up to `rows` rows and `widest` outputs. Fewer rows can need
    /// more sums than `rows` do, because all pieces may then fit at a time.
    fn most(rows: usize, inner: usize, widest: usize) -> usize {
        let step = (rows * widest).next_multiple_of(64);
        let all = inner.div_ceil(MOST_TERMS) * step;
        step.max(all.min(MOST_SUMS)) + (PARTS - 1) * rows * widest
    }
}

/// Device memory that such layers need besides their operands and the parts of x, in bytes. `widest` is
/// the number of outputs of the widest layer.
pub(super) fn bytes(rows: usize, inner: usize, widest: usize) -> u64 {
    (Sums::most(rows.min(MOST_ROWS), inner, widest) as u64).saturating_mul(4)
}

/// Whether tensor cores can read a weight without a copy: its type and alignment fit.
pub(super) fn suits(weight: &DeviceWeight<'_>) -> bool {
    weight.address().is_ok_and(|at| suits_parts(weight.element, weight.columns, at))
}

/// The same for a matrix of this type and width that begins at a place in memory. The place may be an
/// offset in an allocation.
pub fn suits_parts(element: Element, columns: usize, at: u64) -> bool {
    element == Element::BF16 && columns.is_multiple_of(8) && at.is_multiple_of(16)
}

impl Runner {
    /// Computes layers over the same x, side by side in y, for at most [`MOST_ROWS`] rows. The caller
    /// has checked addresses and sizes.
    pub(super) fn split(
        &mut self,
        (x, y): (u64, u64),
        (rows, inner, stride): (usize, usize, usize),
        layers: &[Layer<'_>],
        activated: ActivationParams,
    ) -> Result<(), GpuError> {
        if self.kernels.precision != Precision::Exact {
            return Err(GpuError::refused("linear", "BF16 rounding needs capability 9.0"));
        }
        let widest = layers.iter().map(|(weight, _)| weight.rows).max().unwrap_or(0);
        let parts = self.parts_of(x, (rows, inner), None)?;
        let most = Sums::most(rows, inner, widest);
        let room = self.room_for_copies(most)?;
        let mut products = self.address(room, most)?;
        let (mut of_rows, mut stride) = (word(rows)?, word(stride)?);
        let (mut activation, mut column) = (activated as u32, 0);
        for (weight, bias) in layers {
            let sums = Sums::new(rows, inner, weight.rows);
            let product = Product {
                element: Element::BF16,
                x: parts,
                weight: weight.address()?,
                bias: None,
                y: products,
                rows,
                inner,
                outputs: weight.rows,
                width: inner,
                stride: weight.rows,
                add: false,
                pieces: None,
            };
            let piece = |from: usize, sum: usize, terms: usize| Product {
                x: product.x + (from * Element::BF16.bytes()) as u64,
                weight: product.weight + (from * Element::BF16.bytes()) as u64,
                y: product.y + (sum * sums.step * 4) as u64,
                inner: terms,
                ..product
            };
            if sums.count == 1 {
                for from in (0..inner).step_by(MOST_TERMS) {
                    let terms = (inner - from).min(MOST_TERMS);
                    self.multiply(Product { add: from > 0, ..piece(from, 0, terms) })?;
                }
            } else {
                let (whole, rest) = (inner / MOST_TERMS, inner % MOST_TERMS);
                let pieces = Some(Pieces { count: whole, of_inner: MOST_TERMS, of_y: sums.step });
                self.multiply(Product { pieces, ..piece(0, 0, MOST_TERMS) })?;
                if rest > 0 {
                    self.multiply(piece(whole * MOST_TERMS, whole, rest))?;
                }
            }
            self.multiply(Product {
                x: parts + (rows * inner * Element::BF16.bytes()) as u64,
                y: products + (sums.count * sums.step * 4) as u64,
                rows: (PARTS - 1) * rows,
                ..product
            })?;
            let (mut count, mut step) = (word(sums.count)?, sums.step as u64);
            let mut outputs = word(weight.rows)?;
            let mut of_bias = bias.map_or(Ok(0), |bias| bias.address())?;
            let mut element = bias.map_or(0, |bias| bias.element as u32);
            let mut to = y + column * 4;
            let arguments = &mut [
                argument(&mut products),
                argument(&mut count),
                argument(&mut step),
                argument(&mut of_rows),
                argument(&mut outputs),
                argument(&mut of_bias),
                argument(&mut element),
                argument(&mut activation),
                argument(&mut to),
                argument(&mut stride),
            ];
            let grid = blocks((rows * weight.rows) as u64)?;
            // SAFETY: the arguments are those of the kernel; the buffer holds the products, y was
            // checked to hold rows of `stride` columns, the bias as many values as there are
            // outputs.
            unsafe { self.kernels.sum_parts.launch(self.queueing(), grid, BLOCK, arguments) }?;
            column += weight.rows as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_for_products_holds_those_of_fewer_rows_and_outputs_too() {
        for (rows, inner, widest) in
            [(8, 8, 1), (9, 255, 201), (16, 1536, 8960), (311, 8960, 1536), (1024, 4800, 900)]
        {
            let most = Sums::most(rows, inner, widest);
            for fewer in [1, rows / 7 + 1, rows / 2 + 1, rows - 1, rows] {
                for outputs in [1, widest / 3 + 1, widest] {
                    let sums = Sums::new(fewer, inner, outputs);
                    let needed = sums.count * sums.step + (PARTS - 1) * fewer * outputs;
                    assert!(needed <= most, "{fewer} of {rows} x {inner} x {outputs} of {widest}");
                    assert!(sums.count == 1 || sums.count == inner.div_ceil(MOST_TERMS));
                }
            }
        }
    }
}
