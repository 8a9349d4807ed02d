//! Linear layers with BF16 weights on the tensor cores of compute capability 9.0 (H100, H200).
//!
//! Weights become FP16 numbers without loss, and x has two FP16 parts with a scale for each 64 values
//! (`weights.cu`, `product_parts.cu`). Products of a part and a weight are exact in F32, and sums are
//! rounded every 64 terms. With [`Precision::Bf16`](super::Precision) x is rounded to BF16, and the sums
//! stay in the tensor cores. One launch of our own kernel computes up to three layers.

pub(super) mod forms;

use self::forms::{Choice, SHARED_BYTES, SLICE, TILE, forms, of_sums};
use super::parts::scales_of;
use super::runner::{Floats, Parts, Runner};
use super::shape::{ActivationParams, Layer, word};
use super::split::{self, MOST_ROWS};
use crate::gpu::driver::error::GpuError;
use crate::gpu::driver::tensor_map::TensorMap;
use crate::gpu::kernel::launch::argument;

/// Threads of a block: one group brings tiles, and two multiply.
const THREADS: u32 = 384;

/// Most layers of one launch.
const MOST_LAYERS: usize = 3;

/// The first argument of the kernels, the struct `Operands` of `places.cu`.
#[repr(C)]
struct Operands {
    weights: [TensorMap; MOST_LAYERS],
    parts: TensorMap,
}

/// The struct `Product` of `places.cu`.
#[repr(C)]
struct Product {
    bias: [u64; MOST_LAYERS],
    bias_element: [u32; MOST_LAYERS],
    outputs: [u32; MOST_LAYERS],
    first_tile: [u32; MOST_LAYERS],
    layers: u32,
    rows: u32,
    inner: u32,
    stride: u32,
    whole: u32,
    shared: u32,
    sharers: u32,
    gated: u32,
    gate_second: u32,
    y_parts: u64,
    scales: u64,
}

/// Device memory that such layers need besides their operands and the parts of x, in bytes.
pub(super) fn bytes(rows: usize) -> u64 {
    (of_sums(rows.min(MOST_ROWS)) as u64).saturating_mul(4)
}

impl Runner {
    /// Computes layers over the same x, side by side in y, for at most `MOST_ROWS` rows. The caller
    /// has checked addresses and sizes, and that the kernels and the weights suit.
    pub(super) fn warpgroup(
        &mut self,
        (x, mut y): (u64, u64),
        (rows, inner, stride): (usize, usize, usize),
        layers: &[Layer<'_>],
        fresh: Option<Parts>,
    ) -> Result<(), GpuError> {
        let parts = self.parts_of(x, (rows, inner), fresh)?;
        for layers in layers.chunks(MOST_LAYERS) {
            self.products(parts, (rows, inner, stride), layers, (y, None))?;
            y += layers.iter().map(|(weight, _)| weight.rows as u64 * 4).sum::<u64>();
        }
        Ok(())
    }

    /// A gate and the layer that it gates, over the same x: `out = f(x gate^T) * (x up^T)`, in one product.
    /// Returns whether it suits, which it does for SiLU alone; if not, nothing was done.
    ///
    /// If `reader` is the only operation that reads `out`, and the next one, it may get the parts that it
    /// takes alone. What `out` holds is then undefined. Behind 1,000 tokens the values themselves would be
    /// 36 MB of a layer of Qwen2.5-1.5B.
    ///
    /// # Errors
    ///
    /// As for [`linear`](Runner::linear).
    pub fn linear_gated(
        &mut self,
        x: Floats,
        rows: usize,
        layers: [Layer<'_>; 2],
        activated: ActivationParams,
        out: Floats,
        reader: Option<Layer<'_>>,
    ) -> Result<bool, GpuError> {
        let [(gate, _), (up, _)] = layers;
        let (inner, width) = (gate.columns, gate.rows);
        let (x, y) = (self.address(x, rows * inner)?, self.address(out, rows * width)?);
        let alike = (up.rows, up.columns) == (width, inner) && x.is_multiple_of(16);
        let biases = layers
            .iter()
            .all(|(weight, bias)| bias.is_none_or(|bias| bias.rows * bias.columns == weight.rows));
        if !alike
            || !biases
            || activated != ActivationParams::Silu
            || self.kernels.warpgroup.is_none()
            || rows * inner * width == 0
        {
            return Ok(false);
        }
        let grouped = width.is_multiple_of(8) && gate.address()? != up.address()?;
        if !grouped || rows > MOST_ROWS || !layers.iter().all(|(weight, _)| split::suits(weight)) {
            return Ok(false);
        }
        let fresh = self.fresh.take();
        self.takes_parts = true;
        // The parts of y must not take the place of those of x.
        let parts = self.parts_of(x, (rows, inner), fresh)?;
        let beside = match y.is_multiple_of(16) {
            true => self.room_for_parts(rows, width, Some(parts))?,
            false => 0,
        };
        let values = !self.parts_suffice(beside, reader.as_slice(), width);
        let to = (if values { y } else { 0 }, Some(beside));
        self.products(parts, (rows, inner, width), &layers, to)?;
        self.has_parts((y, rows, width), beside);
        Ok(true)
    }

    /// The product of layers side by side, or, with `gate`, of the second one gated by the first. What is
    /// gated goes to `y`, and its parts go to the address `gate`; neither is stored where the address is 0.
    fn products(
        &mut self,
        parts: u64,
        (rows, inner, stride): (usize, usize, usize),
        layers: &[Layer<'_>],
        (mut y, gate): (u64, Option<u64>),
    ) -> Result<(), GpuError> {
        let most = of_sums(rows);
        let room = self.room_for_copies(most)?;
        let mut sums = self.address(room, most)?;
        let Some(kernels) = &self.kernels.warpgroup else {
            return Err(GpuError::refused("linear", "no tensor cores of capability 9.0"));
        };
        let precision = self.kernels.precision;
        let outputs = layers.iter().map(|(weight, _)| weight.rows);
        // Tiles of the gate hold as many outputs of the other layer.
        let outputs: Vec<usize> = match gate {
            Some(_) => vec![outputs.sum()],
            None => outputs.collect(),
        };
        let choice = Choice::new((rows, inner), &outputs, precision, kernels.most_blocks);
        let form = &forms(precision)[choice.form];
        let context = self.context();
        let matrix = |address, rows, box_rows| {
            TensorMap::of_rows(context, (address, rows, inner), (box_rows, SLICE))
        };
        let of_parts = matrix(parts, precision.product_parts() * rows, form.rows)?;
        let mut operands = Operands { weights: [of_parts; MOST_LAYERS], parts: of_parts };
        let mut of = Product {
            bias: [0; MOST_LAYERS],
            bias_element: [0; MOST_LAYERS],
            outputs: [0; MOST_LAYERS],
            first_tile: [0; MOST_LAYERS],
            layers: word(layers.len())?,
            rows: word(rows)?,
            inner: word(inner)?,
            stride: word(stride)?,
            whole: word(choice.whole)?,
            shared: word(choice.shared)?,
            sharers: word(choice.sharers)?,
            gated: u32::from(gate.is_some()),
            gate_second: 0,
            y_parts: gate.unwrap_or(0),
            scales: scales_of(parts, rows * inner, precision),
        };
        let mut tiles = 0;
        for (index, (weight, bias)) in layers.iter().enumerate() {
            if gate.is_none() {
                operands.weights[index] = matrix(weight.address()?, weight.rows, TILE)?;
            }
            if let Some(bias) = bias {
                of.bias[index] = bias.address()?;
                of.bias_element[index] = bias.element as u32;
            }
            of.outputs[index] = word(weight.rows)?;
            of.first_tile[index] = word(tiles)?;
            tiles += weight.rows.div_ceil(TILE);
        }
        if let (Some(_), [(one, _), (two, _), ..]) = (gate, layers) {
            // A tile has as many rows of the gate as of the other layer.
            let (of_gate, other) = (one.address()?, two.address()?);
            let of_tile = (TILE / 16, SLICE);
            operands.weights[0] =
                TensorMap::of_pairs(context, [of_gate, other], (one.rows, inner), of_tile)?;
            of.gate_second = u32::from(other < of_gate);
        }
        let grid = [word(choice.blocks)?, 1, 1];
        let Some(flags) = &self.flags else {
            return Err(GpuError::refused("linear", "no flags for shared tiles"));
        };
        let mut flags = flags.pointer();
        let arguments = &mut [
            argument(&mut operands),
            argument(&mut of),
            argument(&mut y),
            argument(&mut sums),
            argument(&mut flags),
        ];
        let of_form = if gate.is_some() { &kernels.gated } else { &kernels.products };
        let kernel = &of_form[choice.form];
        // SAFETY: the arguments are those of the kernel. The maps were made for matrices that were
        // checked; y was checked to hold rows of `stride` columns, there is room for the sums and a
        // flag for each block, and work on one stream is done in order.
        unsafe {
            kernel.launch_grid(self.queueing(), grid, THREADS, SHARED_BYTES as u32, arguments)
        }
    }
}
