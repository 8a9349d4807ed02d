//! The parts of activations, which tensor cores multiply (`parts.cu`, `product_parts.cu`). The operation
//! whose results a product takes makes them at once, if the last product takes such parts, as those of
//! compute capability 9.0 do. If nobody has made them, the product does.

use super::runner::{Parts, Runner};
use super::shape::{Layer, Precision, word};
use super::split::{self, MOST_ROWS};
use super::warpgroup::forms::SLICE;
use crate::gpu::driver::error::GpuError;
use crate::gpu::kernel::launch::{BLOCK, argument, blocks};

/// BF16 parts of an exact value.
const PARTS: usize = Precision::Exact.parts();

/// Rows are padded to a multiple of this where scales are stored (`scale_rows` of `product_parts.cu`).
const SCALE_ROWS: usize = 32;

/// Room for the parts of so many rows, in F32 values, whatever parts are made.
pub(super) fn of_summands(rows: usize, inner: usize) -> usize {
    let rows = rows.min(MOST_ROWS);
    let scales = inner.div_ceil(SLICE) * rows.next_multiple_of(SCALE_ROWS);
    let halves = Precision::Exact.product_parts() * rows * inner + scales;
    (PARTS * rows * inner).max(halves).div_ceil(2)
}

/// Where the scales of parts lie; 0 if they have none.
pub(super) fn scales_of(parts: u64, values: usize, precision: Precision) -> u64 {
    match precision {
        Precision::Exact => parts + (precision.product_parts() * values * 2) as u64,
        Precision::Bf16 => 0,
    }
}

impl Runner {
    /// Upper limit of the memory for parts in a pass that multiplies rows of these widths, in bytes.
    pub fn parts_bytes(rows: usize, widths: &[usize]) -> u64 {
        let bytes = |width: &usize| (of_summands(rows, *width) as u64).saturating_mul(4);
        widths.iter().map(bytes).fold(0, u64::saturating_add)
    }

    /// Where an operation puts the parts of the rows that it writes to `to`; 0 if nobody wants them.
    pub(super) fn parts_beside(
        &mut self,
        to: u64,
        rows: usize,
        width: usize,
    ) -> Result<u64, GpuError> {
        let suits = width.is_multiple_of(8) && to.is_multiple_of(16) && rows <= MOST_ROWS;
        match self.takes_parts && suits && rows * width > 0 {
            true => self.room_for_parts(rows, width, None),
            false => Ok(0),
        }
    }

    /// Whether layers that read rows of this width need nothing but the parts at `beside`, which is 0 if
    /// there are none. Without `readers`, somebody else may read the rows.
    pub(super) fn parts_suffice(&self, beside: u64, readers: &[Layer<'_>], width: usize) -> bool {
        let takes = |(weight, _): &Layer<'_>| split::suits(weight) && weight.columns == width;
        beside != 0
            && self.kernels.warpgroup.is_some()
            && !readers.is_empty()
            && readers.iter().all(takes)
    }

    /// Notes that the last operation has written these parts, if `at` is not 0.
    pub(super) fn has_parts(&self, of: (u64, usize, usize), at: u64) {
        self.fresh.set((at != 0).then_some(Parts { of, at }));
    }

    /// The address of the parts of x. `fresh` are those of the last operation. The caller has checked x;
    /// the number of values is a multiple of four, and they begin at a multiple of 16 bytes.
    pub(super) fn parts_of(
        &mut self,
        mut x: u64,
        (rows, inner): (usize, usize),
        fresh: Option<Parts>,
    ) -> Result<u64, GpuError> {
        if let Some(fresh) = fresh.filter(|fresh| fresh.of == (x, rows, inner)) {
            return Ok(fresh.at);
        }
        let mut parts = self.room_for_parts(rows, inner, None)?;
        let at = parts;
        if self.kernels.warpgroup.is_some() {
            // A thread has four columns of a row, and a slice has all its threads.
            let threads = (rows * inner.div_ceil(SLICE) * (SLICE / 4)) as u64;
            let (mut rows, mut width) = (word(rows)?, word(inner)?);
            let arguments = &mut [
                argument(&mut x),
                argument(&mut rows),
                argument(&mut width),
                argument(&mut parts),
            ];
            // SAFETY: the arguments are those of the kernel; x was checked to hold the rows, whose
            // width is a multiple of eight, and there is room for their parts and scales.
            unsafe {
                self.kernels.part.launch(self.queueing(), blocks(threads)?, BLOCK, arguments)
            }?;
            return Ok(at);
        }
        let mut count = (rows * inner) as u64;
        let arguments = &mut [argument(&mut x), argument(&mut count), argument(&mut parts)];
        let grid = blocks(count.div_ceil(4))?;
        // SAFETY: the arguments are those of the kernel; x was checked to hold `count` values, and
        // there is room for three times as many BF16 values.
        unsafe { self.kernels.split.launch(self.queueing(), grid, BLOCK, arguments) }?;
        Ok(at)
    }

    /// Memory for parts, not that at the address `taken`. It is reused unless more is needed.
    pub(super) fn room_for_parts(
        &mut self,
        rows: usize,
        width: usize,
        taken: Option<u64>,
    ) -> Result<u64, GpuError> {
        let count = of_summands(rows, width);
        let first = self.parts[0].map(|room| self.address(room, 0)).transpose()?;
        let which = usize::from(taken.is_some() && first == taken);
        let room = match self.parts[which] {
            Some(room) if Runner::count(room) >= count => room,
            _ => self.floats(count)?,
        };
        self.parts[which] = Some(room);
        self.address(room, count)
    }
}
