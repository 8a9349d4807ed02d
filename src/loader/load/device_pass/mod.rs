//! The pass over the data on a device, at full width: many threads read and copy, while the device
//! hashes what has landed.
//!
//! Bytes land where they are to stay, in the order and at the distances that they have in the file,
//! wherever the file keeps its tensors at multiples of [`ALIGNMENT`](crate::loader::memory::ALIGNMENT)
//! and nothing is to be widened: nearly every model. Otherwise they land in memory beside the
//! model, are verified there, and are then moved to their places; that memory, as large as
//! the data, is freed before the load is answered.
//!
//! The threads go through the pieces in order. This thread follows them in batches: it reads the
//! seal meanwhile, has every batch hashed and counted once its pieces are there, and compares the
//! digests, oldest batch first, so that the first bad chunk in the file is the one that is told.

mod landing;
mod pieces;
mod proof;
mod shared;
mod threads;

use self::landing::{count_moved, evidence, is_direct, moves, starts};
use self::pieces::{lanes, pieces};
use self::shared::DevicePass;
use super::evidence::{FileEvidence, PassInput};
use crate::gpu::move_elements;
use crate::loader::error::Result;
use crate::loader::memory::block::allocate;
use crate::loader::memory::device_arena::DeviceArena;

/// Lands every file in this arena.
///
/// # Errors
/// Those of reading, of the seal and of the device.
pub fn run(arena: &mut DeviceArena<'_>, input: &PassInput<'_>) -> Result<Vec<FileEvidence>> {
    let files = input.files;
    let pieces = pieces(files);
    arena.take_lanes(lanes(files, pieces.len()))?;
    let (context, kernels, ordinal) = (arena.context()?, arena.kernels()?, arena.ordinal());
    let direct = files.iter().all(is_direct);
    let (starts, bytes) = starts(files, direct);
    let beside = if direct { None } else { allocate(&context, bytes)? };
    let (buffer, lanes) = arena.parts();
    let image = beside.as_ref().or(buffer);
    let count = direct && input.scan;
    let pass = DevicePass { input, pieces, image, starts, count, kernels, ordinal };
    let (digests, mut tallies) = pass.run(lanes)?;
    if let (Some(from), Some(to)) = (&beside, buffer) {
        let failed = |error| pass.failed(error);
        let moves = moves(files, &pass.starts);
        move_elements(&pass.kernels, from, to, &moves).map_err(failed)?;
        if input.scan {
            tallies = count_moved(files, &pass.kernels, to).map_err(failed)?;
        }
    }
    Ok(evidence(files, digests, tallies))
}
