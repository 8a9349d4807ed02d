//! The pass over the data on a device: many threads read and copy while the device hashes what has
//! arrived.
//!
//! If the file keeps its tensors at multiples of [`ALIGNMENT`](crate::loader::memory::ALIGNMENT)
//! and nothing is widened, the data is copied to its final position, with the order and the gaps of
//! the file. This is the case for nearly every model. Otherwise the data is copied to temporary
//! device memory, verified there, and then moved. The temporary memory is as large as the data, and
//! is freed before the load returns.
//!
//! The reading threads take the pieces in order. The calling thread follows in batches: when all
//! pieces of a batch are copied, it starts to hash and count them. Another thread reads the seal.
//! When it is read, the calling thread compares digests in the order of the batches, so the error
//! names the first bad chunk of the file.

mod landing;
pub(super) mod late_seal;
pub(super) mod pieces;
mod proof;
pub(super) mod shared;
mod threads;

use self::landing::{count_moved, is_direct, moves, places};
pub(super) use self::landing::{evidence, scans};
use self::late_seal::LateSeal;
use self::pieces::{ReadPlan, lanes};
use self::shared::{DevicePass, FirstFailure, Whole};
use super::evidence::{FileEvidence, PassInput};
use crate::gpu::move_rows;
use crate::loader::error::Result;
use crate::loader::memory::block::allocate;
use crate::loader::memory::device_arena::DeviceArena;

/// Copies every file into this arena.
///
/// # Errors
/// Those of reading, of the seal and of the device.
pub fn run(arena: &mut DeviceArena<'_>, input: &PassInput<'_>) -> Result<Vec<FileEvidence>> {
    late_seal::beside(input, |seal| pass(arena, input, seal))
}

fn pass(
    arena: &mut DeviceArena<'_>,
    input: &PassInput<'_>,
    seal: Option<&LateSeal>,
) -> Result<Vec<FileEvidence>> {
    let files = input.files;
    let plan = &ReadPlan::whole(files);
    arena.take_lanes(lanes(files, plan.pieces.len(), 1))?;
    let (context, kernels, ordinal) = (arena.context()?, arena.kernels()?, arena.ordinal());
    let direct = files.iter().all(is_direct);
    let (places, bytes) = places(files, direct);
    let beside = if direct { None } else { allocate(&context, bytes)? };
    let (buffer, lanes) = arena.parts();
    let of_batch = |batch| places[plan.batch(batch).0].clone();
    let landing = Whole {
        memory: beside.as_ref().or(buffer),
        places: (0..plan.batches.len()).map(of_batch).collect(),
    };
    let (landing, failure) = (&landing, &FirstFailure::default());
    let count = direct && input.scan;
    let pass = DevicePass { input, plan, landing, seal, failure, count, kernels, ordinal };
    let (digests, counted) = pass.run(lanes)?;
    let mut tallies = Vec::new();
    if let (Some(from), Some(to)) = (&beside, buffer) {
        let failed = |error| pass.failed(error);
        let moves = moves(files, &places);
        move_rows(&pass.kernels, from, to, &moves).map_err(failed)?;
        if input.scan {
            tallies = count_moved(files, &pass.kernels, to).map_err(failed)?;
        }
    }
    Ok(evidence(digests, counted.unwrap_or_else(|| scans(files, tallies))))
}

#[cfg(test)]
mod tests;
