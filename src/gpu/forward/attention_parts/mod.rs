//! Attention on the tensor cores of compute capability 9.0 (`kernels/attention_parts`): one kernel splits
//! keys and values into BF16 parts, and another reads them for every block of queries.

pub(super) mod kernels;

use self::kernels::{PartsKernels, SIZES, THREADS, TILE, form, room_of_tiles, shared_bytes};
use super::mix::Heads;
use super::runner::Runner;
use super::shape::{AttentionParams, Precision, word};
use crate::gpu::driver::error::GpuError;
use crate::gpu::kernel::launch::{BLOCK, argument};

/// Which of the runner's places for parts is that for tiles.
const TILES: usize = 2;

impl Runner {
    /// Upper limit of the memory for attention over one sentence besides its operands, in bytes, on a device that
    /// [multiplies parts](super::ForwardKernels::multiplies_parts).
    pub fn attention_bytes(tokens: usize, key_heads: usize, head_size: usize) -> u64 {
        let room = |form| room_of_tiles(tokens, key_heads, SIZES[form], Precision::Exact);
        (form(tokens, head_size).map_or(0, room) as u64).saturating_mul(4)
    }

    /// Which of [`SIZES`] serves heads on tensor cores, if any does.
    pub(super) fn attends_by_parts(&self, of: &AttentionParams) -> Option<usize> {
        form(of.tokens, of.head_size).filter(|_| self.kernels.attend_parts.is_some())
    }

    /// Attention by the kernels of that size. The caller has checked sizes and ranges.
    pub(super) fn attend_by_parts(
        &mut self,
        form: usize,
        of: &AttentionParams,
        mut heads: Heads,
        [mut q, mut k, mut v, mut seen, mut to]: [u64; 5],
    ) -> Result<(), GpuError> {
        let (size, precision) = (SIZES[form], self.kernels.precision);
        let (rows, wide) = (of.rows * of.tokens, of.heads * of.head_size);
        let mut tiles =
            self.room_for_tiles(room_of_tiles(of.tokens, of.rows * of.key_heads, size, precision))?;
        // A thread stores the parts of two neighbouring columns. Those with scales need all 64 values of
        // a slice in one warp.
        let stores_parts = match precision {
            Precision::Exact => of.head_size == 128,
            Precision::Bf16 => of.head_size.is_multiple_of(2),
        };
        let mut parts = if stores_parts { self.parts_beside(to, rows, wide)? } else { 0 };
        let Some(kernels) = &self.kernels.attend_parts else {
            return Err(GpuError::refused("attend", "no tensor cores of capability 9.0"));
        };
        let PartsKernels { split, attend } = &kernels[form];
        let blocks = of.tokens.div_ceil(TILE);
        // A thread of the first kernel takes eight values.
        let threads = BLOCK as usize * 8;
        let of_tiles = word((blocks * TILE * size).div_ceil(threads))?;
        let grids = [
            [of_tiles, word(2 * of.key_heads)?, word(of.rows)?],
            // The heads come first, so that blocks with many keys of all heads begin before others.
            [word(of.heads)?, word(blocks)?, word(of.rows)?],
        ];
        if grids.iter().any(|grid| grid[1] > 65_535 || grid[2] > 65_535) {
            return Err(GpuError::refused("attend", "too many heads or rows for one launch"));
        }
        let arguments =
            &mut [argument(&mut heads), argument(&mut k), argument(&mut v), argument(&mut tiles)];
        // SAFETY: the arguments are those of the kernel; the caller has checked the ranges of keys and
        // values, and there is room for their tiles.
        unsafe { split.launch_grid(self.queueing(), grids[0], BLOCK, 0, arguments) }?;
        let shared = word(shared_bytes(size, precision))?;
        let arguments = &mut [
            argument(&mut heads),
            argument(&mut q),
            argument(&mut tiles),
            argument(&mut seen),
            argument(&mut to),
            argument(&mut parts),
        ];
        // SAFETY: as above; there is room for the parts, and shared memory of this size was allowed.
        unsafe { attend.launch_grid(self.queueing(), grids[1], THREADS, shared, arguments) }?;
        self.has_parts((to, rows, wide), parts);
        Ok(())
    }

    /// Memory for tiles, in F32 values. Every layer uses the same unless it needs more.
    fn room_for_tiles(&mut self, count: usize) -> Result<u64, GpuError> {
        let room = match self.parts[TILES] {
            Some(room) if Runner::count(room) >= count => room,
            _ => self.floats(count)?,
        };
        self.parts[TILES] = Some(room);
        self.address(room, count)
    }
}
