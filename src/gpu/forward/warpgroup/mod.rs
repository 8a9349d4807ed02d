//! Linear layers with BF16 weights on the tensor cores of compute capability 9.0 (H100, H200).
//!
//! The arithmetic is that of `split.rs`: three BF16 parts of x, products that are exact in F32, and
//! sums that are rounded every 64 terms. With [`Precision::Bf16`](super::Precision) x has one part: it
//! is rounded to BF16, and the sums stay in the tensor cores. One launch of our own kernel computes up
//! to three layers; a second one adds up the pieces, if the inner dimension is cut into some.

pub(super) mod forms;

use self::forms::{Choice, SHARED_BYTES, SLICE, TILE, forms, of_sums};
use super::runner::Runner;
use super::shape::{ActivationParams, Layer, word};
use super::split::{MOST_ROWS, of_summands};
use crate::gpu::driver::error::GpuError;
use crate::gpu::driver::tensor_map::TensorMap;
use crate::gpu::kernel::launch::{BLOCK, argument, blocks};

/// Threads of a block: one group brings tiles, and two multiply.
const THREADS: u32 = 384;

/// Most layers of one launch.
const MOST_LAYERS: usize = 3;

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

/// Device memory that such layers need besides their operands, in bytes. `outputs` are those of all
/// layers together.
pub(super) fn bytes(rows: usize, inner: usize, outputs: usize) -> u64 {
    let sums = of_sums(rows.min(MOST_ROWS), outputs) as u64;
    (of_summands(rows, inner) as u64).saturating_add(sums).saturating_mul(4)
}

impl Runner {
    /// Computes layers over the same x, side by side in y, for at most `MOST_ROWS` rows. The caller
    /// has checked addresses and sizes, and that the kernels and the weights suit.
    pub(super) fn warpgroup(
        &mut self,
        (x, mut y): (u64, u64),
        (rows, inner, stride): (usize, usize, usize),
        layers: &[Layer<'_>],
        activated: ActivationParams,
    ) -> Result<(), GpuError> {
        let widest = layers.chunks(MOST_LAYERS).map(total_of).max().unwrap_or(0);
        let of_x = of_summands(rows, inner);
        let whole = of_x + of_sums(rows, widest);
        let room = self.room_for_copies(whole)?;
        let parts = self.address(room, whole)?;
        self.split_values(x, rows * inner, parts)?;
        let sums = parts + of_x as u64 * 4;
        for layers in layers.chunks(MOST_LAYERS) {
            self.products(parts, (rows, inner, stride), layers, activated, (y, sums))?;
            y += total_of(layers) as u64 * 4;
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
        let Some(kernels) = &self.kernels.warpgroup else {
            return Err(GpuError::refused("linear", "no tensor cores of capability 9.0"));
        };
        let outputs: Vec<usize> = layers.iter().map(|(weight, _)| weight.rows).collect();
        let precision = self.kernels.precision;
        let choice = Choice::new((rows, inner), &outputs, precision, kernels.multiprocessors);
        let form = &forms(precision)[choice.form];
        let whole = choice.pieces == 1 && activated == ActivationParams::Plain;
        let context = self.context();
        let matrix = |address, rows, box_rows| {
            TensorMap::of_rows(context, (address, rows, inner), (box_rows, SLICE))
        };
        let of_parts = matrix(parts, precision.parts() * rows, form.rows)?;
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
