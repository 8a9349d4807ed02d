//! Compiles the kernels of a decoder step for one model's head size, head groups and weight types.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::sync::Arc;
use std::thread;

use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::GpuError;
use crate::gpu::kernel::tensor_scan::Element;
use crate::gpu::kernel::{Kernel, Module};

use super::description::Affine;

const TOKEN: &str = include_str!("../kernels/decode/token.cu");
const INPUT: &str = include_str!("../kernels/decode/input.cu");
const TURNED: &str = include_str!("../kernels/decode/turned.cu");
const PRODUCT: &str = include_str!("../kernels/decode/product.cu");
const CLUSTERS: &str = include_str!("../kernels/decode/cluster.cu");
const ATTENTION: &str = include_str!("../kernels/decode/attention.cu");

/// Blocks of attention that join their sums in shared memory, on devices that have clusters. Every such device runs
/// eight in one cluster.
pub(super) const CLUSTER: usize = 8;

/// What selects a product's kernel: the weight's element type, and whether a load is 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Form {
    element: u32,
    wide: bool,
}

impl Form {
    /// The form for a weight at this byte offset of an allocation that is aligned to 256 bytes.
    fn at(element: Element, columns: usize, offset: u64) -> Form {
        let wide = (columns * element.bytes()).is_multiple_of(16) && offset.is_multiple_of(16);
        Form { element: element as u32, wide }
    }

    /// The form for a layer's weight.
    pub(super) fn of(layer: &Affine<'_>) -> Form {
        Form::at(layer.weight.element, layer.weight.columns, layer.weight.offset)
    }

    /// Elements that a thread reads with one load.
    pub(super) fn count(self) -> usize {
        match (self.wide, self.element == Element::F32 as u32) {
            (false, _) => 1,
            (true, true) => 4,
            (true, false) => 8,
        }
    }

    fn name(self) -> &'static str {
        match (self.element, self.wide) {
            (0, true) => "F16_true",
            (0, false) => "F16_false",
            (1, true) => "BF16_true",
            (1, false) => "BF16_false",
            (_, true) => "F32_true",
            (_, false) => "F32_false",
        }
    }
}

/// What the kernels of a decoder are compiled for. It is known before any weight is loaded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DecoderForms {
    group: usize,
    head_size: usize,
    forms: BTreeSet<Form>,
}

impl DecoderForms {
    /// For `group` query heads per key head, and heads of this size. Contains no products yet.
    pub fn new(group: usize, head_size: usize) -> Self {
        DecoderForms { group, head_size, forms: BTreeSet::new() }
    }

    /// Adds the product for a weight with this many columns, at this offset in bytes.
    pub fn add(&mut self, element: Element, columns: usize, offset: u64) {
        self.forms.insert(Form::at(element, columns, offset));
    }
}

/// How many query heads of a group one block of attention takes at most.
///
/// It divides the group, so that the heads of a block share one key head. The block's arrays, which
/// `attention.cu` declares, fit in the shared memory that every card gives a block: 48 KiB.
pub(super) fn queries_of_block(group: usize, head_size: usize) -> usize {
    let bytes = |queries: usize| 4 * (9 * queries * head_size + head_size + 64 * queries + 16);
    let fits = |queries: &usize| group.is_multiple_of(*queries) && bytes(*queries) <= 48 << 10;
    (1..=8).rev().find(fits).unwrap_or(1)
}

/// The kernels of a decoder. A clone shares them.
#[derive(Clone, Debug)]
pub struct DecoderKernels {
    pub(super) enter: Kernel,
    /// Attention with one query head per block, and with [`queries_of_block`] of them.
    pub(super) mix: [Kernel; 2],
    pub(super) turned: Kernel,
    pub(super) choose: Kernel,
    products: BTreeMap<Form, (Kernel, Kernel)>,
}

impl DecoderKernels {
    /// Compiles the kernels, which takes some tenths of a second, or reads them from the image
    /// cache.
    ///
    /// # Errors
    ///
    /// [`GpuError::is_unavailable`] where NVRTC is missing.
    pub fn new(context: &Context, of: &DecoderForms) -> Result<DecoderKernels, GpuError> {
        let cluster = if context.compute_capability()?.0 >= 9 { CLUSTER } else { 1 };
        let sizes = format!(
            "#define GROUP {}\n#define TOGETHER {}\n#define SIZE {}\n#define CLUSTER {cluster}\n",
            of.group,
            queries_of_block(of.group, of.head_size),
            of.head_size
        );
        let lost = |_| Err(GpuError::refused("compile", "a compiling thread panicked"));
        // Models share the parts that do not depend on their heads, so each part is an image of its
        // own. Those that are not in the image cache are compiled at the same time.
        let (shared, attention, products) = thread::scope(|scope| {
            let part = |name: &'static str, sources: Vec<String>| {
                scope.spawn(move || load(context, name, &sources))
            };
            let text = |source: &str| source.to_owned();
            let shared = part("decode_shared.cu", [TOKEN, INPUT, TURNED].map(text).into());
            let attention =
                part("decode_attention.cu", vec![sizes, text(CLUSTERS), text(ATTENTION)]);
            let product = |form: &Form| {
                let line = format!("FORMS({})\n", form.name().replace('_', ", "));
                (*form, part("decode_products.cu", vec![text(INPUT), text(PRODUCT), line]))
            };
            let products: Vec<_> = of.forms.iter().map(product).collect();
            let joined = products.into_iter().map(|(form, part)| (form, part.join()));
            let joined: Vec<_> = joined.collect();
            (shared.join(), attention.join(), joined)
        });
        let shared = shared.unwrap_or_else(lost)?;
        let attention = attention.unwrap_or_else(lost)?;
        let mut pairs = BTreeMap::new();
        for (form, part) in products {
            let (part, name) = (part.unwrap_or_else(lost)?, form.name());
            let pair = [format!("product_{name}"), format!("gated_{name}")];
            pairs.insert(form, (named(&part, &pair[0])?, named(&part, &pair[1])?));
        }
        Ok(DecoderKernels {
            enter: named(&shared, "enter_token")?,
            mix: [named(&attention, "mix_heads")?, named(&attention, "mix_groups")?],
            turned: named(&shared, "product_turned")?,
            choose: named(&shared, "choose_token")?,
            products: pairs,
        })
    }

    /// The kernel of one product, or of a gate and up pair if `gated`.
    pub(super) fn product(&self, form: Form, gated: bool) -> Result<&Kernel, GpuError> {
        let pair = self.products.get(&form);
        let (plain, pair) = pair.ok_or_else(|| GpuError::refused("decoder", "no such kernel"))?;
        Ok(if gated { pair } else { plain })
    }
}

/// Compiles these sources, with what all of them use before them.
fn load(context: &Context, name: &str, sources: &[String]) -> Result<Arc<Module>, GpuError> {
    let used = [
        include_str!("../kernels/values.cu"),
        include_str!("../kernels/activation.cu"),
        include_str!("../kernels/early.cu"),
    ];
    Module::load(context, name, &(used.concat() + &sources.concat()))
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
