//! Linear layers: few rows by our own kernel, many by cuBLASLt.

use std::ffi::c_void;
use std::ptr;

use super::runner::{Floats, Runner};
use super::shape::{Activated, Stored, word};
use crate::gpu::error::GpuError;
use crate::gpu::products::{Product, Products};
use crate::gpu::tensor_scan::Element;

/// From so many rows on, cuBLASLt is faster than the kernel that reads weights as they are stored.
const MANY: usize = 512;

/// Rows and outputs of a kernel block's tile, and its threads.
const ROWS: usize = 16;
const OUTPUTS: usize = 32;
const THREADS: u32 = 256;

/// Values that an element-wise block takes.
pub(super) const BLOCK: u32 = 256;

/// Rows that a block behind a product takes.
const ROWS_OF_BLOCK: u32 = 16;

/// Layers that a launch takes.
const MOST_LAYERS: usize = 3;

/// As the kernel has it.
#[repr(C)]
struct Layers {
    weight: [u64; MOST_LAYERS],
    bias: [u64; MOST_LAYERS],
    bias_element: [u32; MOST_LAYERS],
    outputs: [u32; MOST_LAYERS],
    first_tile: [u32; MOST_LAYERS],
    count: u32,
}

impl Runner {
    /// Layers over the same x, `[rows, inner]`, each of a weight `[outputs, inner]` and perhaps a bias,
    /// their results side by side in `out`.
    ///
    /// # Errors
    ///
    /// Refused where sizes do not fit; what the device says.
    pub fn linear(
        &mut self,
        x: Floats,
        rows: usize,
        layers: &[(Stored<'_>, Option<Stored<'_>>)],
        activated: Activated,
        out: Floats,
    ) -> Result<(), GpuError> {
        let Some((first, _)) = layers.first() else { return Ok(()) };
        let inner = first.columns;
        let stride: usize = layers.iter().map(|(weight, _)| weight.rows).sum();
        let (x, y) = (self.address(x, rows * inner)?, self.address(out, rows * stride)?);
        for (weight, bias) in layers {
            if weight.columns != inner {
                return Err(GpuError::refused("linear", format!("{inner} columns: {weight:?}")));
            }
            if bias.is_some_and(|bias| bias.rows * bias.columns != weight.rows) {
                return Err(GpuError::refused("linear", format!("bias of {weight:?}")));
            }
        }
        if rows == 0 || inner == 0 || stride == 0 {
            return Err(GpuError::refused("linear", "an empty product"));
        }
        if rows < MANY {
            let mut column = 0;
            // Layers of one element type go together.
            for same in layers.chunk_by(|a, b| a.0.element == b.0.element) {
                for part in same.chunks(MOST_LAYERS) {
                    self.few(x, (rows, inner), part, activated, (y + column * 4, stride))?;
                    column += part.iter().map(|(weight, _)| weight.rows as u64).sum::<u64>();
                }
            }
            return Ok(());
        }
        let mut column = 0;
        for (weight, bias) in layers {
            let of = Product {
                x,
                weight: self.widened(weight)?,
                bias: None,
                y: y + column as u64 * 4,
                rows,
                inner,
                outputs: weight.rows,
                stride,
            };
            self.many(of, *bias, activated, (y, column))?;
            column += weight.rows;
        }
        Ok(())
    }

    fn few(
        &self,
        mut x: u64,
        (rows, inner): (usize, usize),
        layers: &[(Stored<'_>, Option<Stored<'_>>)],
        activated: Activated,
        (mut y, stride): (u64, usize),
    ) -> Result<(), GpuError> {
        let mut of = Layers {
            weight: [0; 3],
            bias: [0; 3],
            bias_element: [0; 3],
            outputs: [0; 3],
            first_tile: [0; 3],
            count: word(layers.len())?,
        };
        let mut tiles = 0;
        for (index, (weight, bias)) in layers.iter().enumerate() {
            of.weight[index] = weight.address()?;
            if let Some(bias) = bias {
                of.bias[index] = bias.address()?;
                of.bias_element[index] = bias.element as u32;
            }
            of.outputs[index] = word(weight.rows)?;
            of.first_tile[index] = word(tiles)?;
            tiles += weight.rows.div_ceil(OUTPUTS);
        }
        let kernel = match layers.first().map(|(weight, _)| weight.element) {
            Some(element) => &self.kernels.linear[element as usize],
            None => return Ok(()),
        };
        let blocks = [word(tiles)?, word(rows.div_ceil(ROWS))?, 1];
        let (mut rows, mut inner, mut stride) = (word(rows)?, word(inner)?, word(stride)?);
        let mut activation = activated as u32;
        // SAFETY: the arguments are those of the kernel. x, y and every weight were checked to hold
        // what the sizes say; all of it is borrowed or owned, and waits for the device before it
        // is given back.
        unsafe {
            kernel.launch_grid(
                &self.stream,
                blocks,
                THREADS,
                0,
                &mut [
                    argument(&mut x),
                    argument(&mut rows),
                    argument(&mut inner),
                    argument(&mut of),
                    argument(&mut activation),
                    argument(&mut y),
                    argument(&mut stride),
                ],
            )
        }
    }

    fn many(
        &mut self,
        mut of: Product,
        bias: Option<Stored<'_>>,
        activated: Activated,
        (y, column): (u64, usize),
    ) -> Result<(), GpuError> {
        let address = bias.map(|bias| bias.address()).transpose()?;
        let fused = bias.is_some_and(|bias| bias.element == Element::F32)
            && address.is_some_and(|address| address.is_multiple_of(16));
        if fused {
            of.bias = address;
        }
        if self.products.is_none() {
            self.products = Some(Products::new(self.kernels.context())?);
        }
        let Some(products) = &mut self.products else {
            return Err(GpuError::refused("linear", "no cuBLASLt"));
        };
        // SAFETY: all ranges were checked; this runner queues to one stream alone.
        unsafe { products.queue(&self.stream, of) }?;
        let left = if fused { None } else { bias };
        if left.is_none() && activated == Activated::Plain {
            return Ok(());
        }
        let (mut y, mut column, mut stride) = (y, word(column)?, word(of.stride)?);
        let (mut width, mut activation) = (word(of.outputs)?, activated as u32);
        let mut bias = left.map_or(0, |_| address.unwrap_or(0));
        let mut element = left.map_or(0, |bias| bias.element as u32);
        let mut rows = word(of.rows)?;
        // Some rows a block, so that a bias is read once for several.
        let grid = [width.div_ceil(BLOCK), rows.div_ceil(ROWS_OF_BLOCK).min(65_535), 1];
        // SAFETY: as above.
        unsafe {
            self.kernels.bias_and_activate.launch_grid(
                &self.stream,
                grid,
                BLOCK,
                0,
                &mut [
                    argument(&mut y),
                    argument(&mut column),
                    argument(&mut stride),
                    argument(&mut width),
                    argument(&mut bias),
                    argument(&mut element),
                    argument(&mut activation),
                    argument(&mut rows),
                ],
            )
        }
    }

    /// A weight's address in F32: its own, or that of a copy that the next one overwrites.
    fn widened(&mut self, weight: &Stored<'_>) -> Result<u64, GpuError> {
        let mut from = weight.address()?;
        if weight.element == Element::F32 {
            return Ok(from);
        }
        let mut count = (weight.rows * weight.columns) as u64;
        let bytes = weight.rows * weight.columns * 4;
        if self.scratch.as_ref().is_none_or(|scratch| scratch.bytes() < bytes) {
            // The old one waits for the device when it is dropped.
            self.scratch = Some(self.context().allocate(bytes)?);
        }
        let Some(scratch) = &self.scratch else {
            return Err(GpuError::refused("linear", "no scratch memory"));
        };
        let (mut element, mut to) = (weight.element as u32, scratch.pointer());
        // SAFETY: the weight was checked, the scratch is long enough; work on one stream is done in
        // order, so nothing reads the last copy any more.
        unsafe {
            self.kernels.widen.launch(
                &self.stream,
                blocks(count)?,
                BLOCK,
                &mut [
                    argument(&mut from),
                    argument(&mut element),
                    argument(&mut count),
                    argument(&mut to),
                ],
            )
        }?;
        Ok(to)
    }
}

/// A kernel's argument.
pub(super) fn argument<T>(value: &mut T) -> *mut c_void {
    ptr::from_mut(value).cast()
}

/// Blocks for so many values, one a thread.
pub(super) fn blocks(count: u64) -> Result<u32, GpuError> {
    u32::try_from(count.div_ceil(u64::from(BLOCK)))
        .map_err(|_| GpuError::refused("launch", format!("too many values: {count}")))
}
