//! The kernels of one model's step: compiled for its head size, its groups and its element types.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;

use crate::gpu::context::Context;
use crate::gpu::error::GpuError;
use crate::gpu::kernel::{Kernel, Module};
use crate::gpu::tensor_scan::Element;

use super::{Affine, Decoding};

/// A product's form: its element type, and whether 16 bytes may be read at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Form {
    element: u32,
    wide: bool,
}

impl Form {
    /// The form that suits a layer.
    pub(super) fn of(layer: &Affine<'_>) -> Result<Form, GpuError> {
        let element = layer.weight.element;
        let width = if element == Element::F32 { 4 } else { 2 };
        let row = layer.weight.columns * width;
        let wide = row.is_multiple_of(16) && layer.weight.address()?.is_multiple_of(16);
        Ok(Form { element: element as u32, wide })
    }

    /// Elements that a thread reads at a time.
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

/// The kernels.
#[derive(Clone, Debug)]
pub(super) struct Forms {
    pub(super) enter: Kernel,
    pub(super) mix: Kernel,
    pub(super) turned: Kernel,
    pub(super) choose: Kernel,
    products: BTreeMap<Form, (Kernel, Kernel)>,
}

impl Forms {
    /// Compiles what a model needs.
    pub(super) fn new(context: &Context, of: &Decoding<'_>) -> Result<Forms, GpuError> {
        let mut forms = BTreeSet::new();
        for layer in &of.layers {
            let all = layer.three.iter().chain(&layer.widen).chain([&layer.join, &layer.narrow]);
            for affine in all.filter(|affine| !affine.turned) {
                forms.insert(Form::of(affine)?);
            }
        }
        if !of.head.turned {
            forms.insert(Form::of(&of.head)?);
        }
        let wanted: String =
            forms.iter().map(|form| format!("FORMS({})\n", form.name().replace('_', ", "))).collect();
        let sizes =
            format!("#define GROUP {}\n#define SIZE {}\n", of.heads / of.key_heads, of.head_size);
        let source = [
            include_str!("../kernels/values.cu"),
            include_str!("../kernels/activation.cu"),
            &sizes,
            include_str!("../kernels/decode.cu"),
            &wanted,
        ];
        let module = Module::load(context, "decode.cu", &source.concat())?;
        let named = |name: String| -> Result<Kernel, GpuError> {
            let name = CString::new(name).map_err(|_| GpuError::refused("compile", "a name"))?;
            module.kernel(&name)
        };
        let mut products = BTreeMap::new();
        for form in forms {
            let name = form.name();
            let pair = (named(format!("product_{name}"))?, named(format!("gated_{name}"))?);
            products.insert(form, pair);
        }
        Ok(Forms {
            enter: module.kernel(c"enter_token")?,
            mix: module.kernel(c"mix_token")?,
            turned: module.kernel(c"product_turned")?,
            choose: module.kernel(c"choose_token")?,
            products,
        })
    }

    /// The kernel of a product, or of a gate and what it opens.
    pub(super) fn product(&self, form: Form, gated: bool) -> Result<&Kernel, GpuError> {
        let pair = self.products.get(&form);
        let (plain, pair) = pair.ok_or_else(|| GpuError::refused("decoder", "no such form"))?;
        Ok(if gated { pair } else { plain })
    }
}
