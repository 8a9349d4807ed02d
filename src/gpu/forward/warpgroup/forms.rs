//! The forms of the product kernel, the kernels themselves, and the choice between the forms.

use std::ffi::CString;
use std::thread::{self, ScopedJoinHandle};

use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::GpuError;
use crate::gpu::driver::memory::DeviceBuffer;
use crate::gpu::forward::early::early;
use crate::gpu::forward::shape::Precision;
use crate::gpu::kernel::compile::{Instructions, thread_lost};
use crate::gpu::kernel::{Kernel, Module};

/// Outputs of a tile, and terms of a slice of the inner dimension: those of `places.cu` and
/// `product_parts.cu`.
pub(super) const TILE: usize = 128;
pub(in crate::gpu::forward) const SLICE: usize = 64;

/// Most blocks of a launch. No device of compute capability 9.0 has more multiprocessors.
const MOST_BLOCKS: usize = 132;

/// The rings take 208 KiB in every form, scales take up to 1 KiB, and up to 1 KiB is lost to the
/// alignment of the rings.
pub(super) const SHARED_BYTES: usize = 210 << 10;

/// A form of the kernel.
pub(super) struct Form {
    /// Rows of x in a tile.
    pub(super) rows: usize,
    /// Slots for tiles of W, and for the parts of tiles of x.
    slots: [usize; 2],
    /// Microseconds for the products of a slice, and for a tile's beginning and end, measured on an
    /// H200. They only choose between forms.
    slice_us: f64,
    tile_us: f64,
}

/// Bytes that all blocks together bring to shared memory in a microsecond, on an H200.
const BROUGHT: f64 = 10e6;

/// The forms of the exact mode, from few rows to many.
const EXACT: [Form; 3] = [
    Form { rows: 16, slots: [10, 12], slice_us: 0.40, tile_us: 1.5 },
    Form { rows: 64, slots: [6, 7], slice_us: 0.62, tile_us: 1.5 },
    Form { rows: 128, slots: [5, 4], slice_us: 0.90, tile_us: 2.0 },
];

/// The forms of the mode that rounds. A slice has one tile of x, so the ring of W has more slots.
/// Its sums leave room in the registers for twice as many rows.
const ROUNDED: [Form; 4] = [
    Form { rows: 16, slots: [11, 16], slice_us: 0.38, tile_us: 1.5 },
    Form { rows: 64, slots: [8, 10], slice_us: 0.38, tile_us: 1.5 },
    Form { rows: 128, slots: [6, 7], slice_us: 0.30, tile_us: 1.5 },
    Form { rows: 256, slots: [5, 4], slice_us: 0.67, tile_us: 2.0 },
];

/// The forms of a precision.
pub(super) const fn forms(precision: Precision) -> &'static [Form] {
    match precision {
        Precision::Exact => &EXACT,
        Precision::Bf16 => &ROUNDED,
    }
}

impl Form {
    /// Microseconds for a slice, where so many blocks bring theirs at once.
    fn slice_us(&self, precision: Precision, blocks: usize) -> f64 {
        let bytes = blocks * (TILE + precision.product_parts() * self.rows) * SLICE * 2;
        self.slice_us.max(bytes as f64 / BROUGHT)
    }

    /// Compiles its kernel, or that of a gate and what it gates.
    fn load(
        &self,
        context: &Context,
        precision: Precision,
        gated: bool,
    ) -> Result<Kernel, GpuError> {
        let Form { rows, slots: [weights, parts], .. } = self;
        let name = format!("{}_{rows}", if gated { "gated" } else { "products" });
        let line = format!("PRODUCTS({name}, {rows}, {weights}, {parts}, {gated})\n");
        let of_weights = match precision {
            Precision::Exact => concat!(
                include_str!("../../kernels/warpgroup/weights.cu"),
                include_str!("../../kernels/warpgroup/outside.cu")
            ),
            Precision::Bf16 => "",
        };
        const SOURCE: &str = concat!(
            include_str!("../../kernels/warpgroup/sums.cu"),
            include_str!("../../kernels/warpgroup/shared.cu"),
            include_str!("../../kernels/warpgroup/stores.cu"),
            include_str!("../../kernels/warpgroup/products.cu"),
            "\n"
        );
        let kernel = load(context, precision, &[of_weights, SOURCE, &line], &name)?;
        kernel.allow_shared(SHARED_BYTES as u32)?;
        Ok(kernel)
    }
}

/// Compiles a kernel of a source, with what all of them use before it.
fn load(
    context: &Context,
    precision: Precision,
    source: &[&str],
    kernel: &str,
) -> Result<Kernel, GpuError> {
    let used = [
        &*precision.definition(),
        include_str!("../../kernels/values.cu"),
        include_str!("../../kernels/early.cu"),
        include_str!("../../kernels/parts.cu"),
        include_str!("../../kernels/product_parts.cu"),
        include_str!("../../kernels/warpgroup/instructions.cu"),
        include_str!("../../kernels/warpgroup/places.cu"),
    ];
    let source = used.concat() + &source.concat();
    let module = Module::load_with(context, "warpgroup.cu", &source, Instructions::Specific)?;
    let name = CString::new(kernel).map_err(|_| GpuError::refused("compile", "bad name"))?;
    early(&module, &name)
}

/// The kernels, ready to run on one device.
#[derive(Clone, Debug)]
pub(in crate::gpu::forward) struct WarpgroupKernels {
    /// One for each form.
    pub(super) products: Vec<Kernel>,
    /// One for each form, for a gate and what it gates.
    pub(super) gated: Vec<Kernel>,
    pub(super) most_blocks: usize,
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
        // A module for each kernel, so that they are compiled in parallel.
        let (products, gated) = thread::scope(|scope| {
            let all = |gated: bool| -> Vec<_> {
                let load =
                    |form: &'static Form| scope.spawn(move || form.load(context, precision, gated));
                forms(precision).iter().map(load).collect()
            };
            let (products, gated) = (all(false), all(true));
            (joined(products), joined(gated))
        });
        let (products, gated) = (products?, gated?);
        let most_blocks = context.multiprocessors()?.min(MOST_BLOCKS);
        Ok(Some(WarpgroupKernels { products, gated, most_blocks }))
    }

    /// The flags of a runner: one for each block, all down (`shared.cu`).
    pub(in crate::gpu::forward) fn flags(
        &self,
        context: &Context,
    ) -> Result<DeviceBuffer, GpuError> {
        let flags = context.allocate(self.most_blocks * 4)?;
        flags.fill(0)?;
        Ok(flags)
    }
}

/// The kernels of threads that compile.
fn joined(
    threads: Vec<ScopedJoinHandle<'_, Result<Kernel, GpuError>>>,
) -> Result<Vec<Kernel>, GpuError> {
    threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(thread_lost()))).collect()
}

/// How a product is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// Which of the [forms] of the precision.
    pub(super) form: usize,
    /// Blocks of the launch.
    pub(super) blocks: usize,
    /// Tiles that one block computes.
    pub(super) whole: usize,
    /// Tiles behind them that blocks share.
    pub(super) shared: usize,
    /// The blocks that do.
    pub(super) sharers: usize,
}

impl Choice {
    /// The form and the division that should take the shortest time. `outputs` are those of each layer.
    pub(super) fn new(
        (rows, inner): (usize, usize),
        outputs: &[usize],
        precision: Precision,
        most_blocks: usize,
    ) -> Choice {
        let weight_tiles: usize = outputs.iter().map(|count| count.div_ceil(TILE)).sum();
        let slices = inner.div_ceil(SLICE);
        let one = Choice { form: 0, blocks: 1, whole: 1, shared: 0, sharers: 0 };
        let mut best = (one, f64::INFINITY);
        for (form, of) in forms_for(rows, precision) {
            let tiles = weight_tiles * rows.div_ceil(of.rows);
            for choice in Choice::divisions(form, (tiles, slices), most_blocks) {
                let time = choice.microseconds(of, precision, slices);
                if time < best.1 {
                    best = (choice, time);
                }
            }
        }
        best.0
    }

    /// The ways to divide tiles: each has one block; or so many blocks share each tile that is left, or
    /// all blocks share those; or all blocks share these and the tiles of the round before, so that a
    /// tile has few blocks.
    fn divisions(
        form: usize,
        (tiles, slices): (usize, usize),
        most_blocks: usize,
    ) -> impl Iterator<Item = Choice> {
        let left = tiles % most_blocks;
        let each = (1..=slices)
            .map(move |blocks| left * blocks)
            .take_while(move |all| 0 < *all && *all < most_blocks);
        let all = Some(most_blocks.min(left * slices)).filter(|all| *all > 0);
        let more = Some(left + most_blocks).filter(|more| left > 0 && *more <= tiles);
        let shares = each.chain(all).map(move |sharers| (left, sharers));
        let sharing = shares.chain(more.map(|more| (more, most_blocks)));
        let whole =
            Choice { form, blocks: tiles.min(most_blocks), whole: tiles, shared: 0, sharers: 0 };
        let sharing = sharing.map(move |(shared, sharers)| Choice {
            form,
            blocks: if tiles == shared { sharers } else { most_blocks },
            whole: tiles - shared,
            shared,
            sharers,
        });
        [whole].into_iter().chain(sharing)
    }

    /// The time that it should take.
    fn microseconds(&self, of: &Form, precision: Precision, slices: usize) -> f64 {
        /// Time to leave sums and to wait for those of others, and F32 values of others that a block
        /// adds in a microsecond.
        const SHARING_US: f64 = 2.0;
        const ADDED: f64 = 12_000.0;
        let slice_us = of.slice_us(precision, self.blocks);
        let rounds = self.whole.div_ceil(self.blocks) as f64;
        let time = rounds * (slices as f64 * slice_us + of.tile_us);
        if self.shared == 0 {
            return time;
        }
        let share = (self.shared * slices).div_ceil(self.sharers);
        // A share lies in one tile, or in more.
        let begins = match self.sharers.is_multiple_of(self.shared) {
            true => 1,
            false => 1 + share.div_ceil(slices),
        };
        let (share, begins) = (share as f64, begins as f64);
        let others = (self.sharers.div_ceil(self.shared) - 1).max(1) as f64;
        let added = others * (of.rows * TILE) as f64 / ADDED;
        time + share * slice_us + begins * of.tile_us + SHARING_US + added
    }
}

/// The forms for so many rows, with their places: the smallest one that takes all of them in one tile,
/// and the one before it. Still smaller ones would read W too often.
fn forms_for(rows: usize, precision: Precision) -> impl Iterator<Item = (usize, &'static Form)> {
    let all = forms(precision);
    let enough = all.iter().position(|form| form.rows >= rows).unwrap_or(all.len() - 1);
    all.iter().enumerate().take(enough + 1).skip(enough.saturating_sub(1))
}

/// F32 values for the sums that blocks leave for others, in products with up to `rows` rows.
pub(super) fn of_sums(rows: usize) -> usize {
    let most = |precision| forms_for(rows, precision).map(|(_, form)| form.rows).max().unwrap_or(0);
    MOST_BLOCKS * TILE * most(Precision::Exact).max(most(Precision::Bf16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rings_fill_the_memory_that_is_asked_for() {
        for precision in [Precision::Exact, Precision::Bf16] {
            for Form { rows, slots: [weights, parts], .. } in forms(precision) {
                let of_parts = precision.product_parts() * rows * SLICE * 2;
                assert_eq!(weights * TILE * SLICE * 2 + parts * of_parts, 208 << 10);
                let scales = precision == Precision::Exact;
                assert!(!scales || parts * (*rows).max(32) * 2 <= 1 << 10);
            }
        }
    }

    #[test]
    fn every_slice_of_every_tile_has_one_block_and_its_sums_a_place() {
        for (rows, inner, outputs) in [
            (1usize, 8usize, 1usize),
            (1, 64, 132 * 128),
            (16, 1536, 17920),
            (16, 1536, 1536),
            (128, 1536, 17920),
            (1000, 8960, 1536),
            (1024, 64, 9000),
            (129, 200, 40_000),
        ] {
            for precision in [Precision::Exact, Precision::Bf16] {
                for (most, (form, of)) in [1, 7, 132]
                    .into_iter()
                    .flat_map(|most| forms_for(rows, precision).map(move |form| (most, form)))
                {
                    let wanted = outputs.div_ceil(TILE) * rows.div_ceil(of.rows);
                    let of_tiles = (wanted, inner.div_ceil(SLICE));
                    // Not only those that are chosen: other times would choose others.
                    for choice in Choice::divisions(form, of_tiles, most) {
                        let (tiles, slices) = taken(&choice, inner);
                        assert_eq!(tiles, wanted, "{choice:?}");
                        assert!(slices.iter().all(|times| *times == 1), "{choice:?}");
                        let slots = choice.blocks * of.rows * TILE;
                        assert!(choice.shared == 0 || slots <= of_sums(rows), "{choice:?}");
                    }
                }
            }
        }
    }

    /// The number of tiles, and how often each slice is taken, as the kernel divides them.
    fn taken(choice: &Choice, inner: usize) -> (usize, Vec<u32>) {
        let Choice { blocks, whole, shared, sharers, .. } = *choice;
        let slices = inner.div_ceil(SLICE);
        let mut taken = vec![0; (whole + shared) * slices];
        for block in 0..blocks {
            for tile in (block..whole).step_by(blocks) {
                taken[tile * slices..][..slices].iter_mut().for_each(|times| *times += 1);
            }
            let first = |block: usize| shared * slices * block.min(sharers) / sharers.max(1);
            let share = first(block)..first(block + 1);
            assert!(block < whole || !share.is_empty(), "{choice:?}: a block without work");
            // A block that has the last slices of a tile, but not the first ones, adds what others have.
            let tile = share.start / slices * slices;
            if share.start > tile && share.end >= tile + slices {
                let total = shared * slices;
                let guess = tile * sharers / total;
                let begin = if first(guess + 1) <= tile { guess + 1 } else { guess };
                let holds = |of: usize| first(of + 1) > tile && first(of) < tile + slices;
                assert_eq!((0..=block).find(|of| holds(*of)), Some(begin), "{choice:?}");
            }
            share.for_each(|slice| taken[whole * slices + slice] += 1);
        }
        (whole + shared, taken)
    }

    /// The choices that were fastest on an H200 (`reports/bench/product-parts-h200.txt`).
    #[test]
    fn with_rounded_activations_smaller_tiles_stand_alone() {
        let of = |inner, outputs: &[usize]| {
            let choice = Choice::new((1000, inner), outputs, Precision::Bf16, 132);
            (ROUNDED[choice.form].rows, choice.whole, choice.shared)
        };
        assert_eq!(of(1536, &[1536, 256, 256]), (128, 128, 0));
        assert_eq!(of(1536, &[1536]), (128, 96, 0));
        assert_eq!(of(8960, &[1536]), (128, 96, 0));
        // A gate shares the tiles of its last two rounds.
        assert_eq!(of(1536, &[2 * 8960]), (256, 396, 164));
    }

    #[test]
    fn few_rows_take_the_small_form_and_many_rows_the_large_one() {
        let of = |rows, inner, outputs: &[usize]| {
            Choice::new((rows, inner), outputs, Precision::Exact, 132)
        };
        assert_eq!(of(1, 1536, &[151_936]).form, 0);
        assert_eq!(of(1000, 1536, &[1536, 256, 256]).form, 2);
        // 140 tiles take little more than one round of 132 blocks, and not two.
        let gate = of(16, 1536, &[8960, 8960]);
        assert_eq!((gate.form, gate.blocks, gate.whole, gate.shared), (0, 132, 132, 8));
        // Fewer tiles than blocks leave no block without work.
        let down = of(1000, 8960, &[1536]);
        assert_eq!((down.form, down.blocks, down.whole, down.shared), (2, 132, 0, 96));
        // A tile for each block is not shared.
        let three = of(1000, 1536, &[1536, 256, 256]);
        assert_eq!((three.whole, three.shared), (128, 0));
    }
}
