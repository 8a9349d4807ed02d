//! Operations that only decoders need: norms over heads, writes to the key and value cache, and
//! linear layers whose weights are stored as `[inner, outputs]`.

use super::arrange::{MOST_HIGH, NormOf};
use super::mix::Columns;
use super::runner::{Floats, Runner};
use super::shape::{ActivationParams, DeviceWeight, NormParams, word};
use crate::gpu::driver::error::GpuError;
use crate::gpu::kernel::launch::{BLOCK, argument, blocks};

/// Threads that normalise one head.
const WARP: u64 = 32;

impl Runner {
    /// Normalises `heads` heads of each row in place. They lie side by side from the first column
    /// of `x` on.
    ///
    /// # Errors
    ///
    /// Refused if sizes do not fit; or the driver's error.
    pub fn norm_heads(
        &mut self,
        x: Columns,
        rows: usize,
        heads: usize,
        norm: NormParams<'_>,
    ) -> Result<(), GpuError> {
        let width = norm.weight.columns;
        self.column(x, rows, heads * width)?;
        let mut from = self.address(x.0, rows * x.2)?;
        let mut of = NormOf::new(norm, width)?;
        let mut count = (rows * heads) as u64;
        let (mut column, mut stride, mut heads) = (word(x.1)?, word(x.2)?, word(heads)?);
        let arguments = &mut [
            argument(&mut of),
            argument(&mut from),
            argument(&mut column),
            argument(&mut stride),
            argument(&mut heads),
            argument(&mut count),
        ];
        // SAFETY: the arguments are those of the kernel, and every range was checked.
        unsafe {
            self.kernels.norm_heads.launch(self.queueing(), blocks(count * WARP)?, BLOCK, arguments)
        }
    }

    /// Copies `columns` columns of each of two matrices to `into`, from row `at` on. The matrices
    /// have rows of one length; `into` has only these columns.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn keep(
        &mut self,
        from: [Columns; 2],
        rows: usize,
        columns: usize,
        at: usize,
        into: [Floats; 2],
    ) -> Result<(), GpuError> {
        let [first, second] = from;
        if first.2 != second.2 {
            return Err(GpuError::refused("keep", "matrices with rows of different lengths"));
        }
        let source = |view| self.column(view, rows, columns);
        let target = |into| -> Result<u64, GpuError> {
            Ok(self.address(into, (at + rows) * columns)? + (at * columns * 4) as u64)
        };
        let (mut first_from, mut second_from) = (source(first)?, source(second)?);
        let (mut first_to, mut second_to) = (target(into[0])?, target(into[1])?);
        let grid = [blocks(columns as u64)?, word(rows.clamp(1, MOST_HIGH))?, 2];
        let (mut stride, mut columns, mut rows) = (word(first.2)?, word(columns)?, word(rows)?);
        let arguments = &mut [
            argument(&mut first_from),
            argument(&mut second_from),
            argument(&mut stride),
            argument(&mut columns),
            argument(&mut rows),
            argument(&mut first_to),
            argument(&mut second_to),
        ];
        // SAFETY: as above.
        unsafe { self.kernels.keep.launch_grid(self.queueing(), grid, BLOCK, 0, arguments) }
    }

    /// A layer whose weight is stored as `[inner, outputs]`. The weight is transposed into an F32
    /// copy, which is then multiplied like any other. The next copy of weights overwrites it.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn linear_turned(
        &mut self,
        x: Floats,
        rows: usize,
        (weight, bias): (DeviceWeight<'_>, Option<DeviceWeight<'_>>),
        activated: ActivationParams,
        out: Floats,
    ) -> Result<(), GpuError> {
        let (inner, outputs) = (weight.rows, weight.columns);
        let room = self.room_for_copies((inner * outputs).next_multiple_of(4) + outputs)?;
        let (mut from, mut to) = (weight.address()?, self.address(room, inner * outputs)?);
        let mut element = weight.element as u32;
        let grid = [word(outputs.div_ceil(32))?, word(inner.div_ceil(32))?, 1];
        if grid[1] > 65_535 {
            return Err(GpuError::refused("turn", format!("too many rows: {inner}")));
        }
        let (mut down, mut across) = (word(inner)?, word(outputs)?);
        let arguments = &mut [
            argument(&mut from),
            argument(&mut element),
            argument(&mut down),
            argument(&mut across),
            argument(&mut to),
        ];
        // SAFETY: as above.
        unsafe { self.kernels.turn.launch_grid(self.queueing(), grid, BLOCK, 0, arguments) }?;
        self.linear_copied(x, rows, (to, inner, outputs), bias, activated, out)
    }
}
