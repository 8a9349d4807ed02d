//! Compiles the kernels of a decoder step for one model's head size, head groups and weight types.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;

use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::GpuError;
use crate::gpu::kernel::tensor_scan::Element;
use crate::gpu::kernel::{Kernel, Module};

use super::description::Affine;

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

/// The kernels of a decoder. A clone shares them.
#[derive(Clone, Debug)]
pub struct DecoderKernels {
    pub(super) enter: Kernel,
    /// Attention with one query head per block, and with one group of query heads per block.
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
        let forms = &of.forms;
        let wanted: String = forms
            .iter()
            .map(|form| format!("FORMS({})\n", form.name().replace('_', ", ")))
            .collect();
        let sizes = format!("#define GROUP {}\n#define SIZE {}\n", of.group, of.head_size);
        let source = [
            include_str!("../kernels/values.cu"),
            include_str!("../kernels/activation.cu"),
            &sizes,
            include_str!("../kernels/decode.cu"),
            &wanted,
        ];
        let module = Module::load(context, "decode.cu", &source.concat())?;
        let named = |name: String| -> Result<Kernel, GpuError> {
            let name = CString::new(name).map_err(|_| GpuError::refused("compile", "bad name"))?;
            let kernel = module.kernel(&name)?;
            kernel.prefer_shared()?;
            Ok(kernel)
        };
        let mut products = BTreeMap::new();
        for form in forms {
            let name = form.name();
            let pair = (named(format!("product_{name}"))?, named(format!("gated_{name}"))?);
            products.insert(*form, pair);
        }
        Ok(DecoderKernels {
            enter: named("enter_token".to_owned())?,
            mix: [named("mix_heads".to_owned())?, named("mix_groups".to_owned())?],
            turned: named("product_turned".to_owned())?,
            choose: named("choose_token".to_owned())?,
            products,
        })
    }

    /// The kernel of one product, or of a gate and up pair if `gated`.
    pub(super) fn product(&self, form: Form, gated: bool) -> Result<&Kernel, GpuError> {
        let pair = self.products.get(&form);
        let (plain, pair) = pair.ok_or_else(|| GpuError::refused("decoder", "no such kernel"))?;
        Ok(if gated { pair } else { plain })
    }
}
