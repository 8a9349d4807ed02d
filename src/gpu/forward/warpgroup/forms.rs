//! The forms of the product kernel, the kernels themselves, and the choice between the forms.

use std::ffi::CStr;
use std::sync::Arc;
use std::thread;

use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::GpuError;
use crate::gpu::forward::shape::Precision;
use crate::gpu::kernel::compile::{Instructions, thread_lost};
use crate::gpu::kernel::{Kernel, Module};

/// Outputs of a tile, and terms of a slice of the inner dimension: those of `warpgroup.cu`.
pub(super) const TILE: usize = 128;
pub(super) const SLICE: usize = 64;

/// Most pieces of the inner dimension.
const MOST_PIECES: usize = 16;

/// Most F32 sums of pieces that are stored: 32 MiB.
const MOST_SUMS: usize = 1 << 23;

/// The rings take this many bytes in every form, and up to 1 KiB is lost to their alignment.
pub(super) const SHARED_BYTES: usize = 209 << 10;

/// A form of the kernel.
pub(super) struct Form {
    /// The kernel's name.
    name: &'static CStr,
    /// Rows of x in a tile.
    pub(super) rows: usize,
    /// Slots for tiles of W, and for parts of x.
    slots: [usize; 2],
    /// Microseconds for a slice, and for a tile's beginning and end, on an H200. They only choose
    /// between forms. Those of one part are estimates, by the bytes that a slice brings.
    slice_us: f64,
    tile_us: f64,
}

/// The forms of three parts, from few rows to many.
const EXACT: [Form; 3] = [
    Form { name: c"products_16", rows: 16, slots: [10, 24], slice_us: 0.40, tile_us: 1.5 },
    Form { name: c"products_64", rows: 64, slots: [6, 14], slice_us: 0.62, tile_us: 1.5 },
    Form { name: c"products_128", rows: 128, slots: [4, 9], slice_us: 0.97, tile_us: 1.5 },
];

/// The forms of one part. A slice has one tile of x, so the ring of W has more slots.
/// Its sums leave room in the registers for twice as many rows.
const ROUNDED: [Form; 4] = [
    Form { name: c"products_16", rows: 16, slots: [11, 16], slice_us: 0.38, tile_us: 1.5 },
    Form { name: c"products_64", rows: 64, slots: [8, 10], slice_us: 0.42, tile_us: 1.5 },
    Form { name: c"products_128", rows: 128, slots: [6, 7], slice_us: 0.50, tile_us: 1.5 },
    Form { name: c"products_256", rows: 256, slots: [5, 4], slice_us: 0.74, tile_us: 2.5 },
];

/// The forms of a precision.
pub(super) const fn forms(precision: Precision) -> &'static [Form] {
    match precision {
        Precision::Exact => &EXACT,
        Precision::Bf16 => &ROUNDED,
    }
}

impl Form {
    fn load(&self, context: &Context, precision: Precision) -> Result<Arc<Module>, GpuError> {
        let [weights, parts] = self.slots;
        let source = [
            &precision.definition(),
            include_str!("../../kernels/values.cu"),
            include_str!("../../kernels/activation.cu"),
            include_str!("../../kernels/warpgroup.cu"),
            &format!("PRODUCTS({}, {weights}, {parts})\n", self.rows),
        ];
        let specific = Instructions::Specific;
        Module::load_with(context, "warpgroup.cu", &source.concat(), specific)
    }
}

/// The kernels, ready to run on one device.
#[derive(Clone, Debug)]
pub(in crate::gpu::forward) struct WarpgroupKernels {
    /// One for each form.
    pub(super) products: Vec<Kernel>,
    pub(super) add_pieces: Kernel,
    pub(super) multiprocessors: usize,
}

impl WarpgroupKernels {
    /// The compute capability of the devices that have these tensor cores.
    pub(in crate::gpu::forward) const CAPABILITY: (u32, u32) = (9, 0);

    /// Compiles them; `None` for a device of another compute capability.
    pub(in crate::gpu::forward) fn new(
        context: &Context,
        precision: Precision,
    ) -> Result<Option<WarpgroupKernels>, GpuError> {
        if context.compute_capability()? != Self::CAPABILITY {
            return Ok(None);
        }
        // A module for each form, so that they are compiled in parallel.
        let modules: Vec<Arc<Module>> = thread::scope(|scope| {
            let load = |form: &'static Form| scope.spawn(move || form.load(context, precision));
            let threads: Vec<_> = forms(precision).iter().map(load).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err(thread_lost())))
                .collect::<Result<_, _>>()
        })?;
        let mut products = Vec::new();
        for (module, form) in modules.iter().zip(forms(precision)) {
            let kernel = module.kernel(form.name)?;
            kernel.allow_shared(SHARED_BYTES as u32)?;
            products.push(kernel);
        }
        let add_pieces = modules
            .first()
            .ok_or_else(|| GpuError::refused("compile", "a precision without a form"))?
            .kernel(c"add_pieces")?;
        let multiprocessors = context.multiprocessors()?;
        Ok(Some(WarpgroupKernels { products, add_pieces, multiprocessors }))
    }
}

/// How a product is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// Which of the [forms] of the precision.
    pub(super) form: usize,
    /// Pieces of the inner dimension.
    pub(super) pieces: usize,
}

impl Choice {
    /// The form and number of pieces that should take the shortest time. `outputs` are those of
    /// each layer.
    pub(super) fn new(
        (rows, inner): (usize, usize),
        outputs: &[usize],
        precision: Precision,
        multiprocessors: usize,
    ) -> Choice {
        /// Time of the second launch, and F32 values that it reads in a microsecond.
        const ADDING_US: f64 = 2.5;
        const ADDED: f64 = 600_000.0;
        let slices = inner.div_ceil(SLICE);
        let tiles: usize = outputs.iter().map(|count| count.div_ceil(TILE)).sum();
        let total: usize = outputs.iter().sum();
        let mut best = (Choice { form: 0, pieces: 1 }, f64::INFINITY);
        for (form, of) in forms(precision).iter().enumerate() {
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
pub(super) fn of_sums(rows: usize, outputs: usize) -> usize {
    let one = rows.saturating_mul(outputs);
    one.max(one.saturating_mul(MOST_PIECES).min(MOST_SUMS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rings_fill_the_memory_that_is_asked_for() {
        for Form { rows, slots: [weights, parts], .. } in EXACT.into_iter().chain(ROUNDED) {
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
                for precision in [Precision::Exact, Precision::Bf16] {
                    let choice = Choice::new((fewer, inner), &[outputs], precision, 132);
                    assert!(choice.pieces * fewer * outputs <= of_sums(rows, outputs));
                    assert!(choice.pieces <= inner.div_ceil(SLICE), "a piece without a slice");
                }
            }
        }
    }

    #[test]
    fn few_rows_take_the_small_form_and_many_rows_the_large_one() {
        let of = |rows, inner, outputs: &[usize]| {
            Choice::new((rows, inner), outputs, Precision::Exact, 132)
        };
        assert_eq!(of(1, 1536, &[151_936]), Choice { form: 0, pieces: 1 });
        assert_eq!(of(16, 1536, &[8960, 8960]).form, 0);
        assert_eq!(of(1000, 1536, &[8960, 8960]), Choice { form: 2, pieces: 1 });
        assert_eq!(of(1000, 8960, &[1536]), Choice { form: 2, pieces: 4 });
    }
}
