//! Operations that only decoders need: norms over heads, writes to the key and value cache, and
//! linear layers whose weights are stored as `[inner, outputs]`.

use super::arrange::NormOf;
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
            self.kernels.norm_heads.launch(&self.stream, blocks(count * WARP)?, BLOCK, arguments)
        }
    }

    /// Copies `columns` columns of a matrix to `into`, from row `at` on. `into` has only these
    /// columns.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn keep(
        &mut self,
        from: Columns,
        rows: usize,
        columns: usize,
        at: usize,
        into: Floats,
    ) -> Result<(), GpuError> {
        let mut source = self.column(from, rows, columns)?;
        let mut to = self.address(into, (at + rows) * columns)? + (at * columns * 4) as u64;
        let (mut stride, mut count) = (word(from.2)?, (rows * columns) as u64);
        let mut columns = word(columns)?;
        let arguments = &mut [
            argument(&mut source),
            argument(&mut stride),
            argument(&mut columns),
            argument(&mut count),
            argument(&mut to),
        ];
        // SAFETY: as above.
        unsafe { self.kernels.keep.launch(&self.stream, blocks(count)?, BLOCK, arguments) }
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
        unsafe { self.kernels.turn.launch_grid(&self.stream, grid, BLOCK, 0, arguments) }?;
        self.linear_copied(x, rows, (to, inner, outputs), bias, activated, out)
    }
}
