//! Compiles the kernels of a decoder step for one model: its heads, and the shapes of its products.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::sync::Arc;
use std::thread;

use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::GpuError;
use crate::gpu::forward::ActivationParams;
use crate::gpu::kernel::{Kernel, Module};

use super::division::{Card, Divided};
use super::shape::{HeadShape, LinearShape, NormShape, Shape, together};

/// What stands before every kernel of a decoder.
pub(super) const BEFORE: [&str; 3] = [
    include_str!("../kernels/values.cu"),
    include_str!("../kernels/activation.cu"),
    include_str!("../kernels/early.cu"),
];
const TOKEN: &str = include_str!("../kernels/decode/token.cu");
pub(super) const INPUT: &str = include_str!("../kernels/decode/input.cu");
const TURNED: &str = include_str!("../kernels/decode/turned.cu");
const BARRIER: &str = include_str!("../kernels/decode/barrier.cu");
pub(super) const ROWS: &str = include_str!("../kernels/decode/rows.cu");
pub(super) const PRODUCT: &str = include_str!("../kernels/decode/product.cu");
const CLUSTERS: &str = include_str!("../kernels/decode/cluster.cu");
const HEAD: &str = include_str!("../kernels/decode/head.cu");
const ATTENTION: &str = include_str!("../kernels/decode/attention.cu");

/// Blocks of attention that join their sums in shared memory, on devices that have clusters. Every such device runs
/// eight in one cluster.
pub(super) const CLUSTER: usize = 8;

/// What the kernels of a decoder are compiled for. It is known before any weight is loaded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DecoderForms {
    heads: HeadShape,
    products: BTreeSet<Shape>,
}

impl DecoderForms {
    /// For these heads. Contains no products yet.
    pub fn new(heads: HeadShape) -> Self {
        DecoderForms { heads, products: BTreeSet::new() }
    }

    /// Adds the products of layers over one input, behind a norm and before an activation.
    pub fn add(
        &mut self,
        layers: &[LinearShape],
        norm: Option<NormShape>,
        activation: ActivationParams,
    ) {
        let shape = |part| Shape::of(&layers[part], false, norm, activation);
        self.products.extend(together(layers).into_iter().filter_map(shape));
    }

    /// Adds the product of a gate and what it multiplies: two layers, or one that holds both.
    pub fn add_gated(
        &mut self,
        layers: &[LinearShape],
        norm: NormShape,
        activation: ActivationParams,
    ) {
        let halves = match layers {
            [both] => both.halves().to_vec(),
            several => several.to_vec(),
        };
        self.products.extend(Shape::of(&halves, true, Some(norm), activation));
    }
}

/// How many query heads of a group one block of attention takes at most.
///
/// It divides the group, so that the heads of a block share one key head. The block's arrays, which
/// `attention.cu` declares, fit in the shared memory that every card gives a block: 48 KiB. So does what it joins without a
/// cluster.
pub(super) fn queries_of_block(group: usize, head_size: usize) -> usize {
    let bytes = |queries: usize| {
        4 * (8 * queries * head_size + 48 * queries + 16) + joined(1, queries, head_size)
    };
    let fits = |queries: &usize| group.is_multiple_of(*queries) && bytes(*queries) <= 48 << 10;
    (1..=8).rev().find(fits).unwrap_or(1)
}

/// Shared memory in which a block of attention joins the sums of its cluster, in bytes.
fn joined(cluster: usize, queries: usize, head_size: usize) -> usize {
    4 * cluster * queries * (head_size + 2)
}

/// The kernels of a decoder. A clone shares them.
#[derive(Clone, Debug)]
pub struct DecoderKernels {
    /// What attention was compiled for.
    pub(super) heads: HeadShape,
    pub(super) enter: Kernel,
    /// Attention with one query head per block, and with [`queries_of_block`] of them.
    mix: [Kernel; 2],
    cluster: usize,
    pub(super) turned: Kernel,
    pub(super) choose: Kernel,
    products: BTreeMap<Shape, (Kernel, Divided)>,
}

impl DecoderKernels {
    /// Compiles the kernels, which takes some tenths of a second, or reads them from the image
    /// cache.
    ///
    /// # Errors
    ///
    /// [`GpuError::is_unavailable`] where NVRTC is missing.
    pub fn new(context: &Context, of: &DecoderForms) -> Result<DecoderKernels, GpuError> {
        let copies = context.compute_capability()?.0 >= 9;
        let (multiprocessors, shared) = (context.multiprocessors()?, context.shared_bytes()?);
        let card = Card { multiprocessors, shared, copies };
        let cluster = if copies { CLUSTER } else { 1 };
        let together = queries_of_block(of.heads.group, of.heads.size);
        let sizes = of.heads.constants(together, cluster);
        let lost = |_| Err(GpuError::refused("compile", "a compiling thread panicked"));
        // Models share the parts that do not depend on their heads, so each part is an image of its
        // own. Those that are not in the image cache are compiled at the same time.
        let (shared, attention, products) = thread::scope(|scope| {
            let part = |name: &'static str, sources: Vec<String>| {
                scope.spawn(move || load(context, name, &sources))
            };
            let text = |source: &str| source.to_owned();
            let shared = part("decode_shared.cu", [TOKEN, INPUT, TURNED].map(text).into());
            let attention = part(
                "decode_attention.cu",
                [&sizes, BARRIER, CLUSTERS, HEAD, ATTENTION].map(text).into(),
            );
            let product = |shape: &Shape| {
                let divided = shape.divided(card);
                let constants = shape.constants(divided);
                let sources = [&constants, INPUT, BARRIER, ROWS, PRODUCT].map(text).into();
                (*shape, divided, part("decode_product.cu", sources))
            };
            let products: Vec<_> = of.products.iter().map(product).collect();
            let joined = products.into_iter();
            let joined = joined.map(|(shape, divided, part)| (shape, divided, part.join()));
            let joined: Vec<_> = joined.collect();
            (shared.join(), attention.join(), joined)
        });
        let shared = shared.unwrap_or_else(lost)?;
        let attention = attention.unwrap_or_else(lost)?;
        let mut shaped = BTreeMap::new();
        for (shape, divided, part) in products {
            let kernel = named(&part.unwrap_or_else(lost)?, "product")?;
            shaped.insert(shape, (kernel, divided));
        }
        Ok(DecoderKernels {
            heads: of.heads,
            enter: named(&shared, "enter_token")?,
            mix: [named(&attention, "mix_heads")?, named(&attention, "mix_groups")?],
            turned: named(&shared, "product_turned")?,
            choose: named(&shared, "choose_token")?,
            cluster,
            products: shaped,
        })
    }

    /// The kernel of attention with so many query heads in a block, and the shared memory that it needs, in bytes.
    pub(super) fn mix(&self, together: usize) -> (&Kernel, usize) {
        let kernel = &self.mix[usize::from(together > 1)];
        (kernel, joined(self.cluster, together, self.heads.size))
    }

    /// Keys that a block of attention must have before several clusters share a head's keys.
    pub(super) fn least_keys(&self, together: usize) -> usize {
        self.heads.least_keys(together, self.cluster)
    }

    /// The kernel of a product of this shape, and how the device computes it.
    pub(super) fn product(&self, shape: Shape) -> Result<(&Kernel, Divided), GpuError> {
        let found = self.products.get(&shape).map(|(kernel, divided)| (kernel, *divided));
        found.ok_or_else(|| GpuError::refused("decoder", "no such kernel"))
    }
}

/// Compiles these sources, with what all of them use before them.
fn load(context: &Context, name: &str, sources: &[String]) -> Result<Arc<Module>, GpuError> {
    Module::load(context, name, &(BEFORE.concat() + &sources.concat()))
}

fn named(module: &Arc<Module>, name: &str) -> Result<Kernel, GpuError> {
    let name = CString::new(name).map_err(|_| GpuError::refused("compile", "bad name"))?;
    let kernel = module.kernel(&name)?;
    kernel.prefer_shared()?;
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::LARGEST_HEAD;

    #[test]
    fn a_block_takes_heads_of_one_group_that_fit_in_its_shared_memory() {
        let wanted = [
            ((1, 64), 1),
            ((7, 64), 7),
            ((8, 128), 8),
            ((8, 160), 8),
            ((7, 160), 7),
            ((16, 64), 8),
            ((9, 64), 3),
            ((11, 64), 1),
            ((4, 256), 4),
            ((4, 512), 2),
            ((8, LARGEST_HEAD), 1),
        ];
        for ((group, size), queries) in wanted {
            assert_eq!(queries_of_block(group, size), queries, "{group} heads of {size}");
        }
    }
}
