//! The operations of a model's forward pass on a device: kernels and cuBLASLt.
//!
//! A [`Runner`] queues the operations and owns the activations. It can record a run and repeat it
//! as one CUDA graph.

mod arrange;
mod attention_parts;
mod early;
mod linear;
mod mix;
mod parts;
mod runner;
mod shape;
mod split;
mod tiles;
mod turn;
mod warpgroup;

use std::ffi::CString;
use std::sync::Arc;
use std::thread;

use super::driver::context::Context;
use super::driver::error::GpuError;
use super::kernel::compile::thread_lost;
use super::kernel::{Kernel, Module};

use self::attention_parts::kernels::{PartsKernels, SIZES};
use self::early::early;
use self::shape::{HEAD_SIZES, QUERIES, attention_bytes};
use self::tiles::forms::TileKernels;
use self::warpgroup::forms::WarpgroupKernels;

pub use self::mix::Columns;
pub use self::runner::{Floats, Runner, Words};
pub use self::shape::{
    ActivationParams, AttentionParams, DeviceWeight, LARGEST_HEAD, NormParams, Pool, Precision,
};
pub use self::split::suits_parts;

/// Every kernel of a forward pass, ready to run on one device. A clone shares them.
#[derive(Clone, Debug)]
pub struct ForwardKernels {
    context: Context,
    precision: Precision,
    gather: Kernel,
    norm: Kernel,
    gated: Kernel,
    add: Kernel,
    activate: Kernel,
    join: Kernel,
    widen: Kernel,
    split: Kernel,
    part: Kernel,
    sum_parts: Kernel,
    rotate: Kernel,
    pool: Kernel,
    splade: Kernel,
    normalize: Kernel,
    blank: Kernel,
    norm_heads: Kernel,
    keep: Kernel,
    turn: Kernel,
    tiles: TileKernels,
    attend: [Vec<Kernel>; 3],
    attend_any: Kernel,
    attend_parts: Option<[PartsKernels; 2]>,
    warpgroup: Option<WarpgroupKernels>,
}

impl ForwardKernels {
    /// Compiles the sources in parallel, or reads them from the image cache, and loads the kernels.
    /// Compilation took 2.5 s on a machine with 16 cores.
    ///
    /// # Errors
    ///
    /// [`GpuError::is_unavailable`] where NVRTC is missing; refused for BF16 rounding on a device of
    /// another compute capability than 9.0.
    pub fn new(context: &Context, precision: Precision) -> Result<ForwardKernels, GpuError> {
        if !ForwardKernels::serves(context, precision)? {
            return Err(GpuError::refused("compile", "BF16 rounding needs capability 9.0"));
        }
        let of_parts = &*precision.definition();
        const VALUES: &str =
            concat!(include_str!("../kernels/values.cu"), include_str!("../kernels/early.cu"));
        const PARTS: &str = include_str!("../kernels/parts.cu");
        const PRODUCT_PARTS: &str = include_str!("../kernels/product_parts.cu");
        const ACTIVATION: &str = include_str!("../kernels/activation.cu");
        const HEADS: &str = include_str!("../kernels/heads.cu");
        let load = |name: &str, parts: &[&str]| Module::load(context, name, &parts.concat());
        let (parts, tiles, attend, attend_parts, warpgroup) = thread::scope(|scope| {
            let warpgroup = scope.spawn(|| WarpgroupKernels::new(context, precision));
            let attend_parts =
                SIZES.map(|size| scope.spawn(move || PartsKernels::new(context, precision, size)));
            let attend = [0, 1, 2].map(|size| {
                scope.spawn(move || {
                    let forms: String = QUERIES[size]
                        .iter()
                        .map(|queries| format!("ATTEND({}, {})\n", HEAD_SIZES[size], queries / 16))
                        .collect();
                    let source = include_str!("../kernels/attention.cu");
                    let module = load("attention.cu", &[VALUES, HEADS, source, &forms])?;
                    attention(&module, size)
                })
            });
            let tiles = scope.spawn(|| TileKernels::new(context));
            let sources = [
                of_parts,
                VALUES,
                PARTS,
                PRODUCT_PARTS,
                ACTIVATION,
                include_str!("../kernels/encoder.cu"),
                include_str!("../kernels/split.cu"),
                include_str!("../kernels/linear/layers.cu"),
                include_str!("../kernels/linear/join.cu"),
                HEADS,
                include_str!("../kernels/attention_any.cu"),
            ];
            let parts = load("encoder.cu", &sources);
            let tiles = tiles.join().unwrap_or_else(|_| Err(thread_lost()));
            let attend = attend.map(|thread| thread.join().unwrap_or_else(|_| Err(thread_lost())));
            let attend_parts =
                attend_parts.map(|thread| thread.join().unwrap_or_else(|_| Err(thread_lost())));
            (parts, tiles, attend, attend_parts, warpgroup.join())
        });
        let warpgroup = warpgroup.unwrap_or_else(|_| Err(thread_lost()))?;
        let (parts, tiles) = (parts?, tiles?);
        let [small, medium, large] = attend;
        let [of_64, of_128] = attend_parts;
        let attend_parts = of_64?.zip(of_128?).map(|(of_64, of_128)| [of_64, of_128]);
        let attend = [small?, medium?, large?];
        Ok(ForwardKernels {
            context: context.clone(),
            precision,
            gather: early(&parts, c"gather_rows")?,
            norm: early(&parts, c"norm_rows")?,
            gated: early(&parts, c"gated_product")?,
            add: early(&parts, c"add_values")?,
            activate: early(&parts, c"activate_values")?,
            join: early(&parts, c"join_layers")?,
            widen: early(&parts, c"widen_values")?,
            split: early(&parts, c"split_values")?,
            part: early(&parts, c"part_rows")?,
            sum_parts: early(&parts, c"sum_parts")?,
            rotate: early(&parts, c"rotate_heads")?,
            pool: early(&parts, c"pool_tokens")?,
            splade: early(&parts, c"splade_tokens")?,
            normalize: early(&parts, c"normalize_rows")?,
            blank: early(&parts, c"blank_rows")?,
            norm_heads: early(&parts, c"norm_heads")?,
            keep: early(&parts, c"keep_columns")?,
            turn: early(&parts, c"turn_matrix")?,
            tiles,
            attend,
            attend_any: early(&parts, c"attend_any")?,
            attend_parts,
            warpgroup,
        })
    }

    /// Whether there are kernels of this precision for a device.
    ///
    /// # Errors
    ///
    /// If the device has failed.
    pub fn serves(context: &Context, precision: Precision) -> Result<bool, GpuError> {
        Ok(precision == Precision::Exact || ForwardKernels::multiplies_parts(context)?)
    }

    /// Whether a device has the kernels of our own that multiply BF16 weights by the parts of
    /// activations. They serve the weights that [suit](suits_parts).
    ///
    /// # Errors
    ///
    /// If the device has failed.
    pub fn multiplies_parts(context: &Context) -> Result<bool, GpuError> {
        Ok(context.compute_capability()? == WarpgroupKernels::CAPABILITY)
    }

    /// The same exact kernels without those for one architecture alone, so that a self-test can try
    /// what other devices use.
    #[must_use]
    pub fn common(&self) -> ForwardKernels {
        ForwardKernels { attend_parts: None, warpgroup: None, ..self.clone() }
    }

    /// The context of the device that they run on.
    pub fn context(&self) -> &Context {
        &self.context
    }
}

/// The attention kernels for heads of one size, one for each number of queries per block.
fn attention(module: &Arc<Module>, size: usize) -> Result<Vec<Kernel>, GpuError> {
    let form = |queries: &u32| {
        let name = CString::new(format!("attend_{}", queries / 16))
            .map_err(|_| GpuError::refused("compile", "a kernel's name contains a zero byte"))?;
        let kernel = early(module, &name)?;
        kernel.allow_shared(attention_bytes(HEAD_SIZES[size], *queries))?;
        Ok(kernel)
    };
    QUERIES[size].iter().map(form).collect()
}
