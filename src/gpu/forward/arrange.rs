//! The operations that are neither products nor attention: lookups, norms, gates, pooling.

use std::ffi::c_void;

use super::runner::{Floats, Runner, Words};
use super::shape::{ActivationParams, DeviceWeight, Layer, NormParams, Pool, word};
use crate::gpu::driver::error::GpuError;
use crate::gpu::kernel::Kernel;
use crate::gpu::kernel::launch::{BLOCK, argument, blocks};
use crate::gpu::kernel::tensor_scan::Element;

/// Threads of a block that normalises a row.
const NORM_BLOCK: u32 = 128;

/// Columns of a block that pools.
const POOL_COLUMNS: u32 = 32;

/// Most blocks of a grid in its second dimension.
pub(super) const MOST_HIGH: usize = 65_535;

/// Most tables of one lookup.
const MOST_TABLES: usize = 3;

/// The struct `Tables` of `encoder.cu`.
#[repr(C)]
struct Tables {
    indices: [u64; MOST_TABLES],
    table: [u64; MOST_TABLES],
    element: [u32; MOST_TABLES],
    count: u32,
}

/// The struct `NormOf` of `encoder.cu`.
#[repr(C)]
pub(super) struct NormOf {
    weight: u64,
    bias: u64,
    weight_element: u32,
    bias_element: u32,
    rms: u32,
    width: u32,
    epsilon: f32,
}

impl NormOf {
    /// A norm over rows of `width` values.
    pub(super) fn new(norm: NormParams<'_>, width: usize) -> Result<NormOf, GpuError> {
        Ok(NormOf {
            weight: norm.weight.address()?,
            bias: norm.bias.map_or(Ok(0), |bias| bias.address())?,
            weight_element: norm.weight.element as u32,
            bias_element: norm.bias.map_or(0, |bias| bias.element as u32),
            rms: u32::from(norm.rms),
            width: word(width)?,
            epsilon: norm.epsilon,
        })
    }
}

impl Runner {
    /// For each of `rows` rows, `out[i]` is the sum of row `indices[i]` of each table.
    ///
    /// # Errors
    ///
    /// Refused if sizes do not fit or an index lies outside its table; or the driver's error.
    pub fn gather(
        &mut self,
        pairs: &[(Words, DeviceWeight<'_>)],
        rows: usize,
        out: Floats,
    ) -> Result<(), GpuError> {
        let width = pairs.first().map_or(0, |(_, table)| table.columns);
        if pairs.len() > MOST_TABLES || pairs.iter().any(|(_, table)| table.columns != width) {
            return Err(GpuError::refused("gather", "one to three tables of one width"));
        }
        let mut tables =
            Tables { indices: [0; 3], table: [0; 3], element: [0; 3], count: word(pairs.len())? };
        for (index, (words, table)) in pairs.iter().enumerate() {
            tables.indices[index] = self.word_address(*words, rows, table.rows)?;
            tables.table[index] = table.address()?;
            tables.element[index] = table.element as u32;
        }
        let (mut width, mut to) = (word(width)?, self.address(out, rows * width)?);
        let arguments = &mut [argument(&mut tables), argument(&mut width), argument(&mut to)];
        // SAFETY: the arguments are those of the kernel, and every range was checked.
        unsafe { self.queue(&self.kernels.gather, [word(rows)?, 1, 1], arguments) }
    }

    /// `out = norm(x + residual)`; with `keep`, `x` becomes the sum. If the next operation applies
    /// `readers`, and nothing else reads `out`, they may get the parts that they take alone. What
    /// `out` holds is then undefined.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn norm(
        &mut self,
        x: Floats,
        residual: Option<Floats>,
        rows: usize,
        norm: NormParams<'_>,
        (keep, readers): (bool, &[Layer<'_>]),
        out: Floats,
    ) -> Result<(), GpuError> {
        let width = norm.weight.columns;
        if norm.weight.rows != 1 || norm.bias.is_some_and(|b| b.rows != 1 || b.columns != width) {
            return Err(GpuError::refused("norm", "weight and bias must be equally long vectors"));
        }
        let count = rows * width;
        let mut from = self.address(x, count)?;
        let mut more = residual.map_or(Ok(0), |residual| self.address(residual, count))?;
        let mut to = self.address(out, count)?;
        let mut of = NormOf::new(norm, width)?;
        let mut keep = u32::from(keep);
        let mut parts = self.parts_beside(to, rows, width)?;
        let mut values = u32::from(!self.parts_suffice(parts, readers, width));
        let arguments = &mut [
            argument(&mut of),
            argument(&mut from),
            argument(&mut more),
            argument(&mut to),
            argument(&mut keep),
            argument(&mut values),
            argument(&mut parts),
        ];
        if rows == 0 {
            return Ok(());
        }
        // SAFETY: as above; there is room for the parts.
        unsafe { self.kernels.norm.launch(self.queueing(), word(rows)?, NORM_BLOCK, arguments) }?;
        self.has_parts((to, rows, width), parts);
        Ok(())
    }

    /// `out[i][j] = f(both[i][gate + j]) * both[i][up + j]`, `both` of `2 * width` columns.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn gated(
        &mut self,
        both: Floats,
        rows: usize,
        width: usize,
        (gate, up): (usize, usize),
        activated: ActivationParams,
        out: Floats,
    ) -> Result<(), GpuError> {
        if gate > width || up > width {
            return Err(GpuError::refused("gated", format!("columns {gate} and {up} of {width}")));
        }
        let mut from = self.address(both, rows * width * 2)?;
        let mut to = self.address(out, rows * width)?;
        let mut parts = self.parts_beside(to, rows, width)?;
        let (written, of_rows, of_width) = (to, rows, width);
        let grid = [blocks(width.div_ceil(4) as u64)?, word(rows.clamp(1, MOST_HIGH))?, 1];
        let (mut rows, mut width) = (word(rows)?, word(width)?);
        let (mut gate, mut up) = (word(gate)?, word(up)?);
        let mut activation = activated as u32;
        let arguments = &mut [
            argument(&mut from),
            argument(&mut rows),
            argument(&mut width),
            argument(&mut gate),
            argument(&mut up),
            argument(&mut activation),
            argument(&mut to),
            argument(&mut parts),
        ];
        // SAFETY: as above; there is room for the parts.
        unsafe { self.queue(&self.kernels.gated, grid, arguments) }?;
        self.has_parts((written, of_rows, of_width), parts);
        Ok(())
    }

    /// `y = x`, for `count` values.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn copy(&mut self, x: Floats, count: usize, y: Floats) -> Result<(), GpuError> {
        let (mut from, mut to) = (self.address(x, count)?, self.address(y, count)?);
        let (mut element, mut count) = (Element::F32 as u32, count as u64);
        let arguments = &mut [
            argument(&mut from),
            argument(&mut element),
            argument(&mut count),
            argument(&mut to),
        ];
        // SAFETY: as above; widening F32 copies it.
        unsafe { self.queue(&self.kernels.widen, [blocks(count)?, 1, 1], arguments) }
    }

    /// `x += y`, for `count` values.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn add(&mut self, x: Floats, y: Floats, count: usize) -> Result<(), GpuError> {
        let (mut to, mut from) = (self.address(x, count)?, self.address(y, count)?);
        let mut count = count as u64;
        let arguments = &mut [argument(&mut to), argument(&mut from), argument(&mut count)];
        // SAFETY: as above.
        unsafe { self.queue(&self.kernels.add, [blocks(count)?, 1, 1], arguments) }
    }

    /// Makes one vector of each sentence's states; the shape is (sentences, tokens, width).
    ///
    /// # Errors
    ///
    /// As above.
    pub fn pool(
        &mut self,
        pooled: Pool,
        states: Floats,
        (rows, tokens, width): (usize, usize, usize),
        mask: Words,
        out: Floats,
    ) -> Result<(), GpuError> {
        let mut kind = pooled as u32;
        let mut from = self.address(states, rows * tokens * width)?;
        let mut seen = self.word_address(mask, rows * tokens, usize::MAX)?;
        let mut to = self.address(out, rows * width)?;
        let grid = sentences(rows, width, POOL_COLUMNS)?;
        let (mut tokens, mut width) = (word(tokens)?, word(width)?);
        let arguments = &mut [
            argument(&mut kind),
            argument(&mut from),
            argument(&mut tokens),
            argument(&mut width),
            argument(&mut seen),
            argument(&mut to),
        ];
        // SAFETY: as above.
        unsafe { self.queue(&self.kernels.pool, grid, arguments) }
    }

    /// The largest `ln(1 + max(0, x))` of each column over the mask's tokens. The shape is
    /// (sentences, tokens, width).
    ///
    /// # Errors
    ///
    /// As above.
    pub fn splade(
        &mut self,
        logits: Floats,
        (rows, tokens, width): (usize, usize, usize),
        mask: Words,
        out: Floats,
    ) -> Result<(), GpuError> {
        let mut from = self.address(logits, rows * tokens * width)?;
        let mut seen = self.word_address(mask, rows * tokens, usize::MAX)?;
        let mut to = self.address(out, rows * width)?;
        let grid = sentences(rows, width, BLOCK)?;
        let (mut tokens, mut width) = (word(tokens)?, word(width)?);
        let arguments = &mut [
            argument(&mut from),
            argument(&mut tokens),
            argument(&mut width),
            argument(&mut seen),
            argument(&mut to),
        ];
        // SAFETY: as above.
        unsafe { self.queue(&self.kernels.splade, grid, arguments) }
    }

    /// Divides each row by its L2 norm, or by 1e-12 if the norm is smaller.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn normalize(&mut self, x: Floats, rows: usize, width: usize) -> Result<(), GpuError> {
        let (mut at, mut width) = (self.address(x, rows * width)?, word(width)?);
        let arguments = &mut [argument(&mut at), argument(&mut width)];
        // SAFETY: as above.
        unsafe { self.queue(&self.kernels.normalize, [word(rows)?, 1, 1], arguments) }
    }

    /// Sets rows outside the mask to zero.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn blank(
        &mut self,
        x: Floats,
        rows: usize,
        width: usize,
        mask: Words,
    ) -> Result<(), GpuError> {
        let mut at = self.address(x, rows * width)?;
        let mut seen = self.word_address(mask, rows, usize::MAX)?;
        let (mut count, mut width) = ((rows * width) as u64, word(width)?);
        let arguments = &mut [
            argument(&mut at),
            argument(&mut width),
            argument(&mut seen),
            argument(&mut count),
        ];
        // SAFETY: as above.
        unsafe { self.queue(&self.kernels.blank, [blocks(count)?, 1, 1], arguments) }
    }

    /// Queues a grid of blocks of `BLOCK` threads. Does nothing for an empty grid.
    ///
    /// # Safety
    ///
    /// As for [`Kernel::launch`].
    unsafe fn queue(
        &self,
        kernel: &Kernel,
        grid: [u32; 3],
        arguments: &mut [*mut c_void],
    ) -> Result<(), GpuError> {
        if grid.contains(&0) {
            return Ok(());
        }
        // SAFETY: the caller vouches for the arguments.
        unsafe { kernel.launch_grid(self.queueing(), grid, BLOCK, 0, arguments) }
    }
}

/// A grid with `columns` columns per block, and one row of blocks per sentence.
fn sentences(rows: usize, width: usize, columns: u32) -> Result<[u32; 3], GpuError> {
    let rows = word(rows)?;
    if rows > 65_535 {
        return Err(GpuError::refused("pool", format!("too many sentences: {rows}")));
    }
    Ok([word(width)?.div_ceil(columns), rows, 1])
}
