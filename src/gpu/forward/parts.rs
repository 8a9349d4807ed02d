//! The BF16 parts of activations, which tensor cores multiply (`parts.cu`). The operation whose results a
//! product takes makes them at once, if the last product takes such parts, as those of compute capability 9.0 do. If
//! nobody has made them, the product does.

use super::runner::{Parts, Runner};
use super::shape::Precision;
use super::split::MOST_ROWS;
use crate::gpu::driver::error::GpuError;
use crate::gpu::kernel::launch::{BLOCK, argument, blocks};

/// BF16 parts of an exact value.
const PARTS: usize = Precision::Exact.parts();

/// Room for the parts of so many rows, in F32 values, however many parts are made.
pub(super) fn of_summands(rows: usize, inner: usize) -> usize {
    (PARTS * rows.min(MOST_ROWS) * inner).div_ceil(2)
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

    /// Notes that the last operation has written these parts, if `at` is not 0.
    pub(super) fn has_parts(&self, of: (u64, usize), at: u64) {
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
        if let Some(fresh) = fresh.filter(|fresh| fresh.of == (x, rows * inner)) {
            return Ok(fresh.at);
        }
        let at = self.room_for_parts(rows, inner, None)?;
        let (mut count, mut parts) = ((rows * inner) as u64, at);
        let arguments = &mut [argument(&mut x), argument(&mut count), argument(&mut parts)];
        let grid = blocks(count.div_ceil(4))?;
        // SAFETY: the arguments are those of the kernel; x was checked to hold `count` values, and
        // there is room for three times as many BF16 values, which are enough for every precision.
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
