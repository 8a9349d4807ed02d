//! The forms of the kernel for few rows, the kernels themselves, and the choice between the forms.

use std::ffi::CString;
use std::thread;

use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::GpuError;
use crate::gpu::forward::early::early;
use crate::gpu::kernel::compile::thread_lost;
use crate::gpu::kernel::tensor_scan::Element;
use crate::gpu::kernel::{Kernel, Module};

/// The names of the element types in `tiles.cu`, by [`Element`].
const TYPES: [(Element, &str); 3] =
    [(Element::F16, "Half"), (Element::BF16, "Brain"), (Element::F32, "float")];

/// Warps of a block, and the stages of each in shared memory: those of `tiles.cu`.
pub(super) const WARPS: usize = 8;
const STAGES: usize = 2;

/// Columns of the inner dimension in a stage: those of a whole slice, or half of it where the device
/// has too little shared memory.
const PARTS: [usize; 2] = [32, 16];

/// A form of the kernel.
#[derive(Debug)]
pub(super) struct Form {
    /// Rows of x, and outputs of a layer, in a block's tile.
    pub(super) rows: usize,
    pub(super) outputs: usize,
    /// Microseconds for 1,024 terms: for the first block of a multiprocessor and for each one, with
    /// weights of two bytes and of four, measured on an H200. They only choose between forms.
    first_us: [f64; 2],
    each_us: [f64; 2],
}

/// All forms give the same bits, because they add in the same order.
const FORMS: [Form; 4] = [
    Form { rows: 16, outputs: 16, first_us: [2.0, 0.0], each_us: [3.3, 4.0] },
    Form { rows: 16, outputs: 32, first_us: [2.0, 0.0], each_us: [5.5, 6.0] },
    Form { rows: 32, outputs: 32, first_us: [10.0, 0.0], each_us: [7.0, 11.5] },
    Form { rows: 32, outputs: 64, first_us: [0.0, 0.0], each_us: [19.0, 19.0] },
];

impl Form {
    /// Dynamic shared memory with stages of so many columns. A row has 16 bytes more than it needs.
    fn shared_bytes(&self, element: Element, part: usize) -> usize {
        let of_x = self.rows * (part * 4 + 16);
        WARPS * STAGES * (of_x + self.outputs * (part * element.bytes() + 16))
    }

    /// The longest part that fits into a device's shared memory, and the bytes it takes.
    fn fitting(&self, element: Element, available: usize) -> Option<(usize, usize)> {
        let of_part = |part| (part, self.shared_bytes(element, part));
        PARTS.into_iter().map(of_part).find(|(_, bytes)| *bytes <= available)
    }

    fn load(
        &'static self,
        context: &Context,
        (element, name): (Element, &str),
        available: usize,
    ) -> Result<Option<Loaded>, GpuError> {
        let Some((part, shared_bytes)) = self.fitting(element, available) else { return Ok(None) };
        const SOURCE: &str = concat!(
            include_str!("../../kernels/values.cu"),
            include_str!("../../kernels/early.cu"),
            include_str!("../../kernels/activation.cu"),
            include_str!("../../kernels/linear/layers.cu"),
            include_str!("../../kernels/linear/tiles.cu"),
            "\n"
        );
        let Form { rows, outputs, .. } = self;
        let kernel = format!("linear_{rows}_{outputs}");
        let source = format!("{SOURCE}LINEAR({kernel}, {name}, {rows}, {outputs}, {part})\n");
        let module = Module::load(context, "tiles.cu", &source)?;
        let kernel = CString::new(kernel).map_err(|_| GpuError::refused("compile", "bad name"))?;
        let kernel = early(&module, &kernel)?;
        kernel.allow_shared(shared_bytes as u32)?;
        Ok(Some(Loaded { form: self, kernel, shared_bytes: shared_bytes as u32 }))
    }
}

/// The kernel of a form, ready to run.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) form: &'static Form,
    pub(super) kernel: Kernel,
    pub(super) shared_bytes: u32,
}

/// The kernels, ready to run on one device: for each element type, those that fit its shared memory.
#[derive(Clone, Debug)]
pub(in crate::gpu::forward) struct TileKernels {
    of: [Vec<Loaded>; 3],
    multiprocessors: usize,
}

impl TileKernels {
    /// Compiles them, each in a thread of its own.
    pub(in crate::gpu::forward) fn new(context: &Context) -> Result<TileKernels, GpuError> {
        /// What the driver keeps of a multiprocessor's shared memory for a block.
        const KEPT: usize = 1 << 10;
        let available = context.shared_bytes()?.saturating_sub(KEPT);
        let of = thread::scope(|scope| {
            let load = |of| {
                FORMS.each_ref().map(|form: &'static Form| {
                    scope.spawn(move || form.load(context, of, available))
                })
            };
            let threads = TYPES.map(load);
            threads.map(|of| of.map(|one| one.join().unwrap_or_else(|_| Err(thread_lost()))))
        });
        let mut kernels =
            TileKernels { of: Default::default(), multiprocessors: context.multiprocessors()? };
        for (all, loaded) in kernels.of.iter_mut().zip(of) {
            for form in loaded {
                all.extend(form?);
            }
        }
        Ok(kernels)
    }

    /// The kernel that should take the shortest time. `outputs` are those of each layer.
    pub(super) fn choose(
        &self,
        element: Element,
        rows: usize,
        outputs: impl Iterator<Item = usize> + Clone,
    ) -> Option<&Loaded> {
        let time = |of: &&Loaded| {
            microseconds(of.form, element, rows, outputs.clone(), self.multiprocessors)
        };
        self.of[element as usize].iter().min_by(|a, b| time(a).total_cmp(&time(b)))
    }
}

/// The time that a form should take for 1,024 terms.
fn microseconds(
    form: &Form,
    element: Element,
    rows: usize,
    outputs: impl Iterator<Item = usize>,
    multiprocessors: usize,
) -> f64 {
    let wide: usize = outputs.map(|outputs| outputs.div_ceil(form.outputs)).sum();
    let rounds = (wide * rows.div_ceil(form.rows)).div_ceil(multiprocessors);
    let bytes = usize::from(element == Element::F32);
    form.first_us[bytes] + rounds as f64 * form.each_us[bytes]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shared memory of a block on H100 and H200, A100, and the smallest of any device.
    const HOPPER: usize = 227 << 10;
    const AMPERE: usize = 163 << 10;
    const SMALLEST: usize = 63 << 10;

    #[test]
    fn every_device_has_a_form_and_hopper_has_all_with_whole_slices() {
        for (element, _) in TYPES {
            for form in &FORMS {
                assert_eq!(form.fitting(element, HOPPER).map(|(part, _)| part), Some(32));
                assert!(form.fitting(element, AMPERE).is_some());
                // The warps' sums lie where the stages lay.
                let (_, bytes) = form.fitting(element, HOPPER).unwrap_or_default();
                assert!(bytes >= WARPS * form.rows * form.outputs * 4);
                let half = form.shared_bytes(element, 16);
                assert!(half >= WARPS * form.rows * form.outputs * 4);
            }
            assert!(FORMS[0].fitting(element, SMALLEST).is_some());
        }
        assert!(FORMS[3].fitting(Element::F32, SMALLEST).is_none());
    }

    #[test]
    fn larger_tiles_are_chosen_where_they_still_use_the_device() {
        let chosen = |element, rows, outputs: &[usize]| {
            let time =
                |form: &&Form| microseconds(form, element, rows, outputs.iter().copied(), 132);
            let form = FORMS.iter().min_by(|a, b| time(a).total_cmp(&time(b)));
            form.map(|form| (form.rows, form.outputs))
        };
        // As measured on an H200.
        assert_eq!(chosen(Element::F32, 16, &[1024]), Some((16, 16)));
        assert_eq!(chosen(Element::F32, 16, &[4096]), Some((16, 32)));
        assert_eq!(chosen(Element::F32, 128, &[1024]), Some((32, 32)));
        assert_eq!(chosen(Element::F32, 128, &[1024; 3]), Some((32, 32)));
        assert_eq!(chosen(Element::F32, 128, &[4096]), Some((32, 64)));
        assert_eq!(chosen(Element::F16, 128, &[1024]), Some((16, 32)));
        assert_eq!(chosen(Element::F16, 128, &[8960]), Some((32, 32)));
    }
}
