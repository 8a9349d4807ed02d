//! Layers of BF16 weights by tensor cores, without losing a bit of the F32 that goes in: x is cut into three
//! BF16 summands, which are multiplied as rows of their own and added up in F32. The largest summands go in
//! pieces, whose sums are rounded when they are added.

use std::ops::Range;

use super::linear::{BLOCK, Layer, argument, blocks};
use super::runner::Runner;
use super::shape::{Activated, Stored, word};
use crate::gpu::error::GpuError;
use crate::gpu::products::Product;
use crate::gpu::tensor_scan::Element;

/// From so many rows on it is faster than the kernel that reads weights as they are stored.
pub(super) const LEAST_ROWS: usize = 8;

/// Rows that go through at a time: enough to keep the device busy, and room for more would be in vain.
const MOST_ROWS: usize = 1024;

/// Products of the largest summands that tensor cores add up in one go. They cut off what F32 does not hold
/// instead of rounding it, always towards zero, and that adds up. Of the other summands, 2^-8 as large and less,
/// nothing that is cut off counts.
const MOST_TERMS: usize = 256;

/// BF16 summands of an F32 value: three times 8 bits are its 24.
const PARTS: usize = 3;

/// F32 values in whose room the summands of so many rows fit; what lies behind is as aligned as the room is.
fn of_summands(rows: usize, inner: usize) -> usize {
    (PARTS * rows.min(MOST_ROWS) * inner).div_ceil(2).next_multiple_of(64)
}

/// Device memory that layers of BF16 take beside what they read and write, in bytes; the widest of them has so
/// many outputs.
pub(super) fn bytes(rows: usize, inner: usize, widest: usize) -> u64 {
    let products = (PARTS * rows.min(MOST_ROWS)) as u64 * widest as u64;
    (of_summands(rows, inner) as u64).saturating_add(products).saturating_mul(4)
}

/// Whether tensor cores take a weight as it is stored.
pub(super) fn suits(weight: &Stored<'_>) -> bool {
    let placed = weight.address().is_ok_and(|address| address.is_multiple_of(16));
    weight.element == Element::BF16 && weight.columns.is_multiple_of(8) && placed
}

impl Runner {
    /// Layers over the same x, side by side in y. Addresses and sizes were checked.
    pub(super) fn split(
        &mut self,
        (x, y): (u64, u64),
        (rows, inner, stride): (usize, usize, usize),
        layers: &[Layer<'_>],
        activated: Activated,
    ) -> Result<(), GpuError> {
        for first in (0..rows).step_by(MOST_ROWS) {
            let here = (rows - first).min(MOST_ROWS);
            let at = (x + (first * inner * 4) as u64, y + (first * stride * 4) as u64);
            self.split_some(at, (here, inner, stride), layers, activated)?;
        }
        Ok(())
    }

    fn split_some(
        &mut self,
        (mut x, y): (u64, u64),
        (rows, inner, stride): (usize, usize, usize),
        layers: &[Layer<'_>],
        activated: Activated,
    ) -> Result<(), GpuError> {
        let widest = layers.iter().map(|(weight, _)| weight.rows).max().unwrap_or(0);
        let of_x = of_summands(rows, inner);
        let room = self.room_for_copies(of_x + PARTS * rows * widest)?;
        let mut parts = self.address(room, of_x + PARTS * rows * widest)?;
        let mut products = parts + of_x as u64 * 4;
        let mut count = (rows * inner) as u64;
        let arguments = &mut [argument(&mut x), argument(&mut count), argument(&mut parts)];
        // SAFETY: the arguments are those of the kernel; x was checked to hold rows * inner values, and the
        // room holds three times as many halves.
        unsafe { self.kernels.split.launch(&self.stream, blocks(count)?, BLOCK, arguments) }?;
        let (mut of_rows, mut stride) = (word(rows)?, word(stride)?);
        let (mut activation, mut column) = (activated as u32, 0);
        for (weight, bias) in layers {
            let piece =
                |from: usize, rows: Range<usize>, terms: usize| -> Result<Product, GpuError> {
                    let skipped = (from * Element::BF16.bytes()) as u64;
                    Ok(Product {
                        element: Element::BF16,
                        x: parts + (rows.start * inner * Element::BF16.bytes()) as u64 + skipped,
                        weight: weight.address()? + skipped,
                        bias: None,
                        y: products + (rows.start * weight.rows * 4) as u64,
                        rows: rows.len(),
                        inner: terms,
                        outputs: weight.rows,
                        width: inner,
                        stride: weight.rows,
                        add: from > 0,
                    })
                };
            for from in (0..inner).step_by(MOST_TERMS) {
                self.multiply(piece(from, 0..rows, (inner - from).min(MOST_TERMS))?)?;
            }
            self.multiply(piece(0, rows..PARTS * rows, inner)?)?;
            let mut outputs = word(weight.rows)?;
            let mut of_bias = bias.map_or(Ok(0), |bias| bias.address())?;
            let mut element = bias.map_or(0, |bias| bias.element as u32);
            let mut to = y + column * 4;
            let arguments = &mut [
                argument(&mut products),
                argument(&mut of_rows),
                argument(&mut outputs),
                argument(&mut of_bias),
                argument(&mut element),
                argument(&mut activation),
                argument(&mut to),
                argument(&mut stride),
            ];
            let grid = blocks((rows * weight.rows) as u64)?;
            // SAFETY: the arguments are those of the kernel; the room holds the products, y was checked to
            // hold rows of `stride` columns, the bias as many values as there are outputs.
            unsafe { self.kernels.sum_parts.launch(&self.stream, grid, BLOCK, arguments) }?;
            column += weight.rows as u64;
        }
        Ok(())
    }
}
