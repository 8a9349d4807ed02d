//! Linear layers.
//!
//! Our own kernel computes fewer than `MANY` rows (`tiles`), and cuBLASLt computes more. BF16 weights
//! use tensor cores: any number of rows on a device of compute capability 9.0 (`warpgroup`), eight
//! or more rows on others (`split.rs`).

use super::runner::{Floats, Parts, Runner};
use super::shape::{ActivationParams, DeviceWeight, Layer, word};
use super::tiles::launches;
use super::{split, warpgroup};
use crate::gpu::driver::error::GpuError;
use crate::gpu::kernel::launch::{BLOCK, argument, blocks};
use crate::gpu::kernel::tensor_scan::Element;
use crate::gpu::math::products::{Product, Products, WORKSPACE};

/// From this number of rows on, cuBLASLt is faster than our kernel, which reads weights in their
/// stored type.
const MANY: usize = 256;

/// Threads of a block in `join`, and its blocks for a layer: enough to use the full memory bandwidth.
const THREADS: u32 = 256;
const JOINING: u32 = 96;

impl Runner {
    /// Upper limit of the memory that a linear layer needs besides its operands, in bytes. This is
    /// memory for copies of weights that are transposed (`turned`) or joined, for sums of pieces, and
    /// for the cuBLASLt workspace. With `on_parts`, kernels of our own multiply its weights as they
    /// are stored (see [`multiplies_parts`](crate::gpu::ForwardKernels::multiplies_parts)). The first
    /// pair holds the outputs of all layers together, and those of the widest layer.
    pub fn linear_bytes(
        rows: usize,
        inner: usize,
        (outputs, widest): (usize, usize),
        (turned, on_parts): (bool, bool),
    ) -> u64 {
        if on_parts && !turned {
            return warpgroup::bytes(rows);
        }
        let copies =
            (inner as u64).saturating_add(1).saturating_mul(outputs as u64).saturating_mul(4);
        let split = match rows < split::LEAST_ROWS {
            true => 0,
            false => split::bytes(rows, inner, widest).saturating_add(WORKSPACE as u64),
        };
        match (turned, rows < MANY) {
            (false, true) => split,
            (true, true) => copies,
            (true, false) => copies.saturating_add(WORKSPACE as u64),
            (false, false) => copies.saturating_add(WORKSPACE as u64).max(split),
        }
    }

    /// Linear layers over the same x, `[rows, inner]`. Each has a weight `[outputs, inner]` and an
    /// optional bias. Their results lie side by side in `out`.
    ///
    /// # Errors
    ///
    /// Refused if sizes do not fit; or the driver's error.
    pub fn linear(
        &mut self,
        x: Floats,
        rows: usize,
        layers: &[Layer<'_>],
        activated: ActivationParams,
        out: Floats,
    ) -> Result<(), GpuError> {
        let Some((first, _)) = layers.first() else { return Ok(()) };
        let inner = first.columns;
        let stride: usize = layers.iter().map(|(weight, _)| weight.rows).sum();
        let (x, y) = (self.address(x, rows * inner)?, self.address(out, rows * stride)?);
        for (weight, bias) in layers {
            if weight.columns != inner {
                return Err(GpuError::refused(
                    "linear",
                    "layers over one input have different widths",
                ));
            }
            if bias.is_some_and(|bias| bias.rows * bias.columns != weight.rows) {
                return Err(GpuError::refused(
                    "linear",
                    "a bias has another length than its layer",
                ));
            }
        }
        if rows == 0 || inner == 0 || stride == 0 {
            return Err(GpuError::refused("linear", "an empty product"));
        }
        let fresh = self.fresh.take();
        let suits = x.is_multiple_of(16) && layers.iter().all(|(weight, _)| split::suits(weight));
        self.takes_parts = suits && self.kernels.warpgroup.is_some();
        if suits && (self.kernels.warpgroup.is_some() || rows >= split::LEAST_ROWS) {
            return self.on_tensor_cores((x, y), (rows, inner, stride), layers, activated, fresh);
        }
        if rows < MANY {
            return self.tiles((x, y), (rows, inner, stride), layers, activated);
        }
        self.many((x, y), (rows, inner, stride), layers)?;
        self.activate(y, rows * stride, activated)
    }

    /// Computes layers with BF16 weights, so many rows at a time as there is memory for.
    fn on_tensor_cores(
        &mut self,
        (x, y): (u64, u64),
        (rows, inner, stride): (usize, usize, usize),
        layers: &[Layer<'_>],
        activated: ActivationParams,
        fresh: Option<Parts>,
    ) -> Result<(), GpuError> {
        for first in (0..rows).step_by(split::MOST_ROWS) {
            let shape = ((rows - first).min(split::MOST_ROWS), inner, stride);
            let at = (x + (first * inner * 4) as u64, y + (first * stride * 4) as u64);
            match self.kernels.warpgroup {
                Some(_) => self.warpgroup(at, shape, layers, fresh)?,
                None => self.split(at, shape, layers, activated)?,
            }
        }
        match self.kernels.warpgroup {
            Some(_) => self.activate(y, rows * stride, activated),
            None => Ok(()),
        }
    }

    /// One cuBLASLt product. Several layers are joined into one, which uses the device better.
    fn many(
        &mut self,
        (x, y): (u64, u64),
        (rows, inner, stride): (usize, usize, usize),
        layers: &[Layer<'_>],
    ) -> Result<(), GpuError> {
        let (weight, bias) = match layers {
            [(weight, bias)] if is_plain(weight) && bias.as_ref().is_none_or(is_plain) => {
                (weight.address()?, bias.map(|bias| bias.address()).transpose()?)
            }
            _ => self.join(layers, inner, stride)?,
        };
        self.multiply(Product::plain((x, rows, inner), (weight, bias), (y, stride)))
    }

    /// Queues a product over ranges that were checked.
    pub(super) fn multiply(&mut self, of: Product) -> Result<(), GpuError> {
        if self.products.is_none() {
            self.products = Some(Products::new(self.kernels.context())?);
        }
        self.fresh.set(None);
        let stream = self.shared_stream();
        let Some(products) = &mut self.products else {
            return Err(GpuError::refused("linear", "no cuBLASLt"));
        };
        // SAFETY: all ranges were checked; this runner queues to one stream alone.
        unsafe { products.queue(&stream, of) }
    }

    /// Copies the layers' weights, one after the other as F32, and their biases. Returns the
    /// address of both. The next call overwrites the copies.
    fn join(
        &mut self,
        layers: &[Layer<'_>],
        inner: usize,
        total: usize,
    ) -> Result<(u64, Option<u64>), GpuError> {
        // The biases begin at a multiple of 16 bytes, as cuBLASLt requires.
        let weights = (total * inner).next_multiple_of(4);
        let room = self.room_for_copies(weights + total)?;
        let to = self.address(room, weights + total)?;
        let biases = to + weights as u64 * 4;
        let mut inner = word(inner)?;
        for launch in launches(layers) {
            let (mut of, element, column) = launch?;
            let mut weights = to + column as u64 * u64::from(inner) * 4;
            let (mut element, mut biases) = (element as u32, biases + column as u64 * 4);
            let arguments = &mut [
                argument(&mut of),
                argument(&mut element),
                argument(&mut inner),
                argument(&mut weights),
                argument(&mut biases),
            ];
            let grid = [JOINING, of.count, 1];
            // SAFETY: the arguments are those of the kernel; the weights were checked, the room
            // holds what was asked for, and work on one stream is done in order.
            unsafe { self.kernels.join.launch_grid(self.queueing(), grid, THREADS, 0, arguments) }?;
        }
        let any = layers.iter().any(|(_, bias)| bias.is_some());
        Ok((to, any.then_some(biases)))
    }

    /// Memory for copies of weights, in F32 values. It is reused unless `count` needs more.
    pub(super) fn room_for_copies(&mut self, count: usize) -> Result<Floats, GpuError> {
        let room = match self.joined {
            Some(room) if Runner::count(room) >= count => room,
            _ => self.floats(count)?,
        };
        self.joined = Some(room);
        Ok(room)
    }

    /// A layer whose weight was copied to the memory for copies, as F32 `[outputs, inner]`. Space
    /// for the bias follows the weight.
    pub(super) fn linear_copied(
        &mut self,
        x: Floats,
        rows: usize,
        (weight, inner, outputs): (u64, usize, usize),
        bias: Option<DeviceWeight<'_>>,
        activated: ActivationParams,
        out: Floats,
    ) -> Result<(), GpuError> {
        let (x, y) = (self.address(x, rows * inner)?, self.address(out, rows * outputs)?);
        if bias.is_some_and(|bias| bias.rows * bias.columns != outputs) || rows == 0 {
            return Err(GpuError::refused("linear", "a bias of a wrong length, or no rows"));
        }
        if rows < MANY {
            return self.tiles_copied((x, y), (rows, inner, outputs), weight, bias, activated);
        }
        let bias = match bias {
            None => None,
            Some(bias) => {
                let to = weight + ((inner * outputs).next_multiple_of(4) * 4) as u64;
                let (mut from, mut element, mut at) = (bias.address()?, bias.element as u32, to);
                let mut count = outputs as u64;
                let arguments = &mut [
                    argument(&mut from),
                    argument(&mut element),
                    argument(&mut count),
                    argument(&mut at),
                ];
                let grid = blocks(count)?;
                // SAFETY: the arguments are those of the kernel; the room holds the bias too.
                unsafe { self.kernels.widen.launch(self.queueing(), grid, BLOCK, arguments) }?;
                Some(to)
            }
        };
        self.multiply(Product::plain((x, rows, inner), (weight, bias), (y, outputs)))?;
        self.activate(y, rows * outputs, activated)
    }

    fn activate(
        &self,
        mut y: u64,
        count: usize,
        activated: ActivationParams,
    ) -> Result<(), GpuError> {
        if activated == ActivationParams::Plain {
            return Ok(());
        }
        let (mut activation, mut count) = (activated as u32, count as u64);
        let arguments = &mut [argument(&mut y), argument(&mut activation), argument(&mut count)];
        // SAFETY: y was checked to hold `count` values.
        unsafe {
            self.kernels.activate.launch(
                self.queueing(),
                blocks(count.div_ceil(4))?,
                BLOCK,
                arguments,
            )
        }
    }
}

/// Whether cuBLASLt can read it without a copy.
fn is_plain(stored: &DeviceWeight<'_>) -> bool {
    stored.element == Element::F32
        && stored.address().is_ok_and(|address| address.is_multiple_of(16))
}
