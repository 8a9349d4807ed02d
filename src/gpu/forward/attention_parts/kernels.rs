//! The kernels of attention on tensor cores, and the sizes that follow from them.

use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::GpuError;
use crate::gpu::forward::early::early;
use crate::gpu::forward::shape::{HEAD_SIZES, Precision, word};
use crate::gpu::forward::warpgroup::forms::WarpgroupKernels;
use crate::gpu::kernel::compile::Instructions;
use crate::gpu::kernel::{Kernel, Module};

/// Head sizes that the kernels are compiled for.
pub(in crate::gpu::forward) const SIZES: [usize; 2] = [64, 128];

/// Queries of a block, and keys of a tile.
pub(super) const TILE: usize = 64;

/// Threads of an attention block: two groups multiply, and of a third one two threads bring tiles.
pub(super) const THREADS: u32 = 384;

/// Parts of tiles in the rings of both groups: twice the `SLOTS` of `products.cu`.
const SLOTS: usize = 10;

/// From this number of tokens on, attention on tensor cores is faster.
const LEAST_TOKENS: usize = 64;

/// The kernels for heads of one size.
#[derive(Clone, Debug)]
pub(in crate::gpu::forward) struct PartsKernels {
    pub(super) split: Kernel,
    pub(super) attend: Kernel,
}

impl PartsKernels {
    /// Compiles them; `None` for a device of another compute capability.
    pub(in crate::gpu::forward) fn new(
        context: &Context,
        precision: Precision,
        size: usize,
    ) -> Result<Option<PartsKernels>, GpuError> {
        if context.compute_capability()? != WarpgroupKernels::CAPABILITY {
            return Ok(None);
        }
        let forms = format!("SPLIT_TILES({size})\nATTEND_PARTS({size})\n");
        let source = [
            &*precision.definition(),
            include_str!("../../kernels/values.cu"),
            include_str!("../../kernels/early.cu"),
            include_str!("../../kernels/parts.cu"),
            include_str!("../../kernels/product_parts.cu"),
            include_str!("../../kernels/heads.cu"),
            include_str!("../../kernels/warpgroup/instructions.cu"),
            include_str!("../../kernels/attention_parts/tiles.cu"),
            include_str!("../../kernels/attention_parts/products.cu"),
            include_str!("../../kernels/attention_parts/attend.cu"),
            &forms,
        ];
        let source = source.concat();
        let module =
            Module::load_with(context, "attention_parts.cu", &source, Instructions::Specific)?;
        let (split, attend) = match size {
            64 => (c"split_tiles_64", c"attend_parts_64"),
            _ => (c"split_tiles_128", c"attend_parts_128"),
        };
        let (split, attend) = (early(&module, split)?, early(&module, attend)?);
        attend.allow_shared(word(shared_bytes(size, precision))?)?;
        Ok(Some(PartsKernels { split, attend }))
    }
}

/// Shared memory of a block, in bytes: the parts of the queries, and the rings. Up to 1 KiB is lost to
/// their alignment.
pub(super) const fn shared_bytes(size: usize, precision: Precision) -> usize {
    (precision.parts() + SLOTS) * part_bytes(size) + 1024
}

/// One part of a tile, in bytes.
const fn part_bytes(size: usize) -> usize {
    TILE * size * 2
}

/// Which kernels serve heads, if any do. Smaller heads leave most of a tensor core's tile empty.
pub(super) fn form(tokens: usize, head_size: usize) -> Option<usize> {
    let suits = head_size > HEAD_SIZES[0] as usize && tokens >= LEAST_TOKENS;
    SIZES.iter().position(|size| suits && head_size <= *size)
}

/// F32 values in whose room the tiles of keys and values of so many heads fit.
pub(super) fn room_of_tiles(
    tokens: usize,
    heads: usize,
    size: usize,
    precision: Precision,
) -> usize {
    heads * tokens.div_ceil(TILE) * 2 * precision.parts() * part_bytes(size) / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_fits_the_shared_memory_of_capability_9() {
        for size in SIZES {
            // In the end, each of 256 threads hands over a quarter of its sums and four values more.
            let sums = 256 * 4 * (size / 4 + 4);
            for precision in [Precision::Exact, Precision::Bf16] {
                let bytes = shared_bytes(size, precision);
                // A block may have 227 KiB; the barriers take up to one of them.
                assert!(bytes <= 226 << 10, "{size} {precision:?}");
                assert!(sums + 1024 <= bytes, "{size} {precision:?}");
            }
        }
    }

    #[test]
    fn tiles_have_room_for_keys_and_values() {
        // Two tiles for 65 tokens, of keys and of values, with three parts of 64 rows of 128 bytes.
        let exact = |tokens, heads, size| 4 * room_of_tiles(tokens, heads, size, Precision::Exact);
        assert_eq!(exact(65, 1, 64), 2 * 2 * 3 * 64 * 128);
        assert_eq!(exact(64, 5, 128), 5 * 2 * 3 * 64 * 256);
        assert_eq!(4 * room_of_tiles(65, 7, 128, Precision::Bf16), exact(65, 7, 128) / 3);
        let served = |tokens, size| form(tokens, size).map(|form| SIZES[form]);
        assert_eq!((served(64, 33), served(64, 64)), (Some(64), Some(64)));
        assert_eq!((served(64, 65), served(9999, 128)), (Some(128), Some(128)));
        assert_eq!((served(63, 64), served(64, 32), served(64, 129)), (None, None, None));
    }
}
