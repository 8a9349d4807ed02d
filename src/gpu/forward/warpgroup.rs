//! Linear layers with BF16 weights on the tensor cores of compute capability 9.0 (H100, H200).
//!
//! The arithmetic is that of `split.rs`: three BF16 parts of x, products that are exact in F32, and
//! sums that are rounded every 64 terms. One launch of our own kernel computes up to three layers;
//! a second one adds up the pieces, if the inner dimension is cut into some.

use std::sync::Arc;
use std::thread;

use super::runner::Runner;
use super::shape::{ActivationParams, Layer, word};
use super::split::{MOST_ROWS, PARTS, of_summands};
use super::{ForwardKernels, compiler_lost};
use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::GpuError;
use crate::gpu::driver::tensor_map::TensorMap;
use crate::gpu::kernel::launch::{BLOCK, argument, blocks};
use crate::gpu::kernel::{Kernel, Module};

/// Outputs of a tile, and terms of a slice of the inner dimension: those of `warpgroup.cu`.
const TILE: usize = 128;
const SLICE: usize = 64;

/// Threads of a block: one group brings tiles, and two multiply.
const THREADS: u32 = 384;

/// Most layers of one launch.
const MOST_LAYERS: usize = 3;

/// Most pieces of the inner dimension.
const MOST_PIECES: usize = 16;

/// Most F32 sums of pieces that are stored: 32 MiB.
const MOST_SUMS: usize = 1 << 23;

/// The rings take this many bytes in every form, and up to 1 KiB is lost to their alignment.
const SHARED_BYTES: usize = 209 << 10;

/// A form of the kernel.
struct Form {
    /// Rows of x in a tile.
    rows: usize,
    /// Slots for tiles of W, and for parts of x.
    slots: [usize; 2],
    /// Microseconds for a slice, and for a tile's beginning and end, on an H200. They only choose
    /// between forms.
    slice_us: f64,
    tile_us: f64,
}

/// The forms, for few rows and for many.
const FORMS: [Form; 3] = [
    Form { rows: 16, slots: [10, 24], slice_us: 0.40, tile_us: 1.5 },
    Form { rows: 64, slots: [6, 14], slice_us: 0.62, tile_us: 1.5 },
    Form { rows: 128, slots: [4, 9], slice_us: 0.97, tile_us: 1.5 },
];

impl Form {
    fn load(&self, context: &Context) -> Result<Arc<Module>, GpuError> {
        let [weights, parts] = self.slots;
        let source = [
            include_str!("../kernels/values.cu"),
            include_str!("../kernels/activation.cu"),
            include_str!("../kernels/warpgroup.cu"),
            &format!("PRODUCTS({}, {weights}, {parts})\n", self.rows),
        ];
        Module::load_specific(context, "warpgroup.cu", &source.concat())
    }
}

/// The kernels, ready to run on one device.
#[derive(Clone, Debug)]
pub(super) struct WarpgroupKernels {
    products: [Kernel; FORMS.len()],
    add_pieces: Kernel,
    multiprocessors: usize,
}

impl WarpgroupKernels {
    /// The compute capability of the devices that have these tensor cores.
    pub(super) const CAPABILITY: (u32, u32) = (9, 0);

    /// Compiles them; `None` for a device of another compute capability.
    pub(super) fn new(context: &Context) -> Result<Option<WarpgroupKernels>, GpuError> {
        if context.compute_capability()? != Self::CAPABILITY {
            return Ok(None);
        }
        // A module for each form, so that they are compiled in parallel.
        let [few, some, many] = thread::scope(|scope| {
            FORMS
                .each_ref()
                .map(|form| scope.spawn(|| form.load(context)))
                .map(|thread| thread.join().unwrap_or_else(|_| Err(compiler_lost())))
        });
        let (few, some, many) = (few?, some?, many?);
        let add_pieces = few.kernel(c"add_pieces")?;
        let products = [
            few.kernel(c"products_16")?,
            some.kernel(c"products_64")?,
            many.kernel(c"products_128")?,
        ];
        for kernel in &products {
            kernel.allow_shared(SHARED_BYTES as u32)?;
        }
        let multiprocessors = context.multiprocessors()?;
        Ok(Some(WarpgroupKernels { products, add_pieces, multiprocessors }))
    }
}

/// The first argument of the kernels, the struct `Operands` of `warpgroup.cu`.
#[repr(C)]
struct Operands {
    weights: [TensorMap; MOST_LAYERS],
    parts: TensorMap,
}

/// The struct `Product` of `warpgroup.cu`.
#[repr(C)]
struct Product {
    bias: [u64; MOST_LAYERS],
    bias_element: [u32; MOST_LAYERS],
    outputs: [u32; MOST_LAYERS],
    first_tile: [u32; MOST_LAYERS],
    layers: u32,
    tiles: u32,
    total: u32,
    rows: u32,
    inner: u32,
    pieces: u32,
    whole: u32,
    activation: u32,
    stride: u32,
}

/// How a product is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Choice {
    form: usize,
    pieces: usize,
}

impl Choice {
    /// The form and number of pieces that should take the shortest time. `outputs` are those of
    /// each layer.
    fn new(rows: usize, inner: usize, outputs: &[usize], multiprocessors: usize) -> Choice {
        /// Time of the second launch, and F32 values that it reads in a microsecond.
        const ADDING_US: f64 = 2.5;
        const ADDED: f64 = 600_000.0;
        let slices = inner.div_ceil(SLICE);
        let tiles: usize = outputs.iter().map(|count| count.div_ceil(TILE)).sum();
        let total: usize = outputs.iter().sum();
        let mut best = (Choice { form: 0, pieces: 1 }, f64::INFINITY);
        for (form, of) in FORMS.iter().enumerate() {
            for pieces in 1..=MOST_PIECES.min(slices) {
                let sums = pieces * rows * total;
                if pieces > 1 && sums > MOST_SUMS {
                    break;
                }
                let units = tiles * rows.div_ceil(of.rows) * pieces;
                let waves = units.div_ceil(multiprocessors) as f64;
                let tile_us = slices.div_ceil(pieces) as f64 * of.slice_us + of.tile_us;
                let adding = if pieces > 1 { ADDING_US + sums as f64 / ADDED } else { 0.0 };
                let time = waves * tile_us + adding;
                if time < best.1 {
                    best = (Choice { form, pieces }, time);
                }
            }
        }
        best.0
    }
}

/// F32 values for the sums of pieces of products with up to `rows` rows and `outputs` outputs.
/// One piece is stored too, if an activation follows.
fn of_sums(rows: usize, outputs: usize) -> usize {
    let one = rows.saturating_mul(outputs);
    one.max(one.saturating_mul(MOST_PIECES).min(MOST_SUMS))
}

/// Device memory that such layers need besides their operands, in bytes. `outputs` are those of all
/// layers together.
pub(super) fn bytes(rows: usize, inner: usize, outputs: usize) -> u64 {
    let sums = of_sums(rows.min(MOST_ROWS), outputs) as u64;
    (of_summands(rows, inner) as u64).saturating_add(sums).saturating_mul(4)
}

impl ForwardKernels {
    /// The kernels for tensor cores, if the device has those of capability 9.0.
    pub(super) fn warpgroup(&self) -> Option<&WarpgroupKernels> {
        self.warpgroup.as_ref()
    }
}

impl Runner {
    /// Computes layers over the same x, side by side in y. The caller has checked addresses and
    /// sizes, and that the kernels and the weights suit.
    pub(super) fn warpgroup(
        &mut self,
        (x, y): (u64, u64),
        (rows, inner, stride): (usize, usize, usize),
        layers: &[Layer<'_>],
        activated: ActivationParams,
    ) -> Result<(), GpuError> {
        for first in (0..rows).step_by(MOST_ROWS) {
            let here = (rows - first).min(MOST_ROWS);
            let x = x + (first * inner * 4) as u64;
            let mut y = y + (first * stride * 4) as u64;
            let widest = layers.chunks(MOST_LAYERS).map(total_of).max().unwrap_or(0);
            let of_x = of_summands(here, inner);
            let whole = of_x + of_sums(here, widest);
            let room = self.room_for_copies(whole)?;
            let parts = self.address(room, whole)?;
            self.split_values(x, here * inner, parts)?;
            for layers in layers.chunks(MOST_LAYERS) {
                let sums = parts + of_x as u64 * 4;
                self.products(parts, (here, inner, stride), layers, activated, (y, sums))?;
                y += total_of(layers) as u64 * 4;
            }
        }
        Ok(())
    }

    fn products(
        &self,
        parts: u64,
        (rows, inner, stride): (usize, usize, usize),
        layers: &[Layer<'_>],
        activated: ActivationParams,
        (mut y, mut sums): (u64, u64),
    ) -> Result<(), GpuError> {
        let Some(kernels) = self.kernels.warpgroup() else {
            return Err(GpuError::refused("linear", "no tensor cores of capability 9.0"));
        };
        let outputs: Vec<usize> = layers.iter().map(|(weight, _)| weight.rows).collect();
        let choice = Choice::new(rows, inner, &outputs, kernels.multiprocessors);
        let form = &FORMS[choice.form];
        let whole = choice.pieces == 1 && activated == ActivationParams::Plain;
        let context = self.context();
        let matrix = |address, rows, box_rows| {
            TensorMap::of_rows(context, (address, rows, inner), (box_rows, SLICE))
        };
        let of_parts = matrix(parts, PARTS * rows, form.rows)?;
        let mut operands = Operands { weights: [of_parts; MOST_LAYERS], parts: of_parts };
        let mut of = Product {
            bias: [0; MOST_LAYERS],
            bias_element: [0; MOST_LAYERS],
            outputs: [0; MOST_LAYERS],
            first_tile: [0; MOST_LAYERS],
            layers: word(layers.len())?,
            tiles: 0,
            total: word(total_of(layers))?,
            rows: word(rows)?,
            inner: word(inner)?,
            pieces: word(choice.pieces)?,
            whole: u32::from(whole),
            activation: activated as u32,
            stride: word(stride)?,
        };
        for (index, (weight, bias)) in layers.iter().enumerate() {
            operands.weights[index] = matrix(weight.address()?, weight.rows, TILE)?;
            if let Some(bias) = bias {
                of.bias[index] = bias.address()?;
                of.bias_element[index] = bias.element as u32;
            }
            of.outputs[index] = word(weight.rows)?;
            of.first_tile[index] = of.tiles;
            of.tiles += word(weight.rows.div_ceil(TILE))?;
        }
        let units = of.tiles as usize * rows.div_ceil(form.rows) * choice.pieces;
        let grid = [word(units.min(kernels.multiprocessors))?, 1, 1];
        let arguments = &mut [
            argument(&mut operands),
            argument(&mut of),
            argument(&mut y),
            argument(&mut sums),
        ];
        let kernel = &kernels.products[choice.form];
        // SAFETY: the arguments are those of the kernel. The maps were made for matrices that were
        // checked; y was checked to hold rows of `stride` columns, and there is room for the sums.
        unsafe { kernel.launch_grid(&self.stream, grid, THREADS, SHARED_BYTES as u32, arguments) }?;
        if whole {
            return Ok(());
        }
        let grid = blocks(rows as u64 * u64::from(of.total))?;
        let arguments = &mut [argument(&mut of), argument(&mut sums), argument(&mut y)];
        // SAFETY: as above.
        unsafe { kernels.add_pieces.launch(&self.stream, grid, BLOCK, arguments) }
    }
}

/// Outputs of layers together.
fn total_of(layers: &[Layer<'_>]) -> usize {
    layers.iter().map(|(weight, _)| weight.rows).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rings_fill_the_memory_that_is_asked_for() {
        for Form { rows, slots: [weights, parts], .. } in FORMS {
            let tiles = weights * TILE * SLICE * 2 + parts * rows * SLICE * 2;
            assert_eq!(tiles + 1024, SHARED_BYTES);
        }
    }

    #[test]
    fn the_sums_of_every_choice_have_room() {
        for (rows, inner, outputs) in
            [(1, 8, 1), (16, 1536, 17920), (1000, 8960, 1536), (1024, 64, 9000)]
        {
            for fewer in [1, rows / 3 + 1, rows] {
                let choice = Choice::new(fewer, inner, &[outputs], 132);
                assert!(choice.pieces * fewer * outputs <= of_sums(rows, outputs), "{choice:?}");
                assert!(choice.pieces <= inner.div_ceil(SLICE), "a piece without a slice");
            }
        }
    }

    #[test]
    fn few_rows_take_the_small_form_and_many_rows_the_large_one() {
        let of = |rows, inner, outputs: &[usize]| Choice::new(rows, inner, outputs, 132);
        assert_eq!(of(1, 1536, &[151_936]), Choice { form: 0, pieces: 1 });
        assert_eq!(of(16, 1536, &[8960, 8960]).form, 0);
        assert_eq!(of(1000, 1536, &[8960, 8960]), Choice { form: 2, pieces: 1 });
        assert_eq!(of(1000, 8960, &[1536]), Choice { form: 2, pieces: 4 });
    }
}
