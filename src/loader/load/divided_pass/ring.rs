//! Device memory that a share passes through: a batch lands in it, is hashed there, and its bytes go to the ranks.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::contract::Phase;
use crate::gpu::{DeviceBuffer, Event, GpuError, Move, MoveKind, Moves};
use crate::loader::device::fault;
use crate::loader::error::{LoadError, Result};
use crate::loader::load::device_pass::pieces::{BATCH, PIECE, Piece};
use crate::loader::load::device_pass::shared::{FirstFailure, Landing, Place};
use crate::loader::memory::divided_arena::RankDevice;
use crate::loader::open::files::File;
use crate::loader::parallel::Divided;
use crate::loader::parallel::scatter::needed;

/// Batches that a ring holds, 1 GiB in all. Some seven of them are being hashed, and one or two are arriving.
const PLACES: usize = 16;

/// Most bytes of a batch.
const BATCH_BYTES: u64 = BATCH as u64 * PIECE;

/// How often a thread that waits for room looks whether another pass has failed.
const LOOK: Duration = Duration::from_millis(5);

/// The part of a file that a batch brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The file's index.
    pub file: usize,
    /// The range of its data, in bytes.
    pub data: Range<u64>,
}

/// A ring of places for batches. The batch after the last place takes the first place again.
pub struct Ring<'a> {
    memory: &'a DeviceBuffer,
    batches: Vec<Batch>,
    moves: Moves<'a>,
    /// For each batch that has landed, what must pass before its place is free.
    landed: Mutex<Vec<Vec<Arc<Event>>>>,
    more: Condvar,
}

/// Bytes of the memory of a ring for these batches.
pub fn bytes(batches: &[Batch]) -> u64 {
    let largest = batches.iter().map(|batch| batch.data.end - batch.data.start).max().unwrap_or(0);
    match batches.len() {
        // The places of a ring that is not filled have no more bytes than they need.
        0..=1 => largest,
        count => count.min(PLACES) as u64 * BATCH_BYTES,
    }
}

/// The batches as parts of files.
pub fn parts(pieces: &[Piece], batches: &[Range<usize>]) -> Vec<Batch> {
    let part = |batch: &Range<usize>| {
        let (first, last) = (&pieces[batch.start], &pieces[batch.end - 1]);
        Batch { file: first.file, data: first.at..last.at + last.bytes }
    };
    batches.iter().map(part).collect()
}

impl<'a> Ring<'a> {
    /// A ring in this memory. `ranks` has the memory of each rank; `None` if it holds nothing.
    ///
    /// # Errors
    /// Those of the device; `internal` for bytes that have no place.
    pub fn new(
        device: &RankDevice<'_>,
        memory: &'a DeviceBuffer,
        batches: Vec<Batch>,
        (divided, files): (&Divided, &[File]),
        ranks: &[Option<&'a DeviceBuffer>],
    ) -> Result<Ring<'a>> {
        let mut groups = Vec::new();
        for (number, batch) in batches.iter().enumerate() {
            let first = files[..batch.file].iter().map(|file| file.tensors.len()).sum();
            let (tensors, start) = (&files[batch.file].tensors, place_of(number));
            let mut group = Vec::new();
            for (rank, to) in divided.ranks.iter().zip(ranks) {
                for pieces in needed(rank, first, tensors, &batch.data) {
                    let to =
                        to.ok_or_else(|| LoadError::internal("bytes for a rank without memory"))?;
                    let from = start + (pieces.from - batch.data.start);
                    let rows = Move {
                        rows: pieces.count,
                        from_stride: pieces.stride,
                        to_stride: pieces.to_stride,
                        ..Move::run(from, pieces.to, pieces.bytes, MoveKind::Copy)
                    };
                    group.push((to, rows));
                }
            }
            groups.push(group);
        }
        let moves = Moves::new(&device.kernels, memory, &groups);
        let moves = moves.map_err(|error| fault(device.ordinal, Phase::Copy, &error))?;
        Ok(Ring { memory, batches, moves, landed: Mutex::default(), more: Condvar::new() })
    }

    /// Waits until every rank has what landed.
    ///
    /// # Errors
    /// Those of the device.
    pub fn finish(&self) -> std::result::Result<(), GpuError> {
        self.moves.finish()
    }
}

/// Where the place of a batch begins, in bytes.
fn place_of(batch: usize) -> u64 {
    (batch % PLACES) as u64 * BATCH_BYTES
}

impl Landing for Ring<'_> {
    fn memory(&self) -> Option<&DeviceBuffer> {
        Some(self.memory)
    }

    fn place(&self, batch: usize) -> Place {
        Place { start: place_of(batch), data: self.batches[batch].data.clone() }
    }

    fn room(&self, batch: usize, failure: &FirstFailure) -> Result<Vec<Arc<Event>>> {
        let Some(before) = batch.checked_sub(PLACES) else { return Ok(Vec::new()) };
        let mut landed = self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if failure.happened() {
                return Err(LoadError::internal("a pass ended before its last batch"));
            }
            if let Some(events) = landed.get(before) {
                return Ok(events.clone());
            }
            let waited = self.more.wait_timeout(landed, LOOK);
            landed = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn landed(
        &self,
        batch: usize,
        arrived: &[Arc<Event>],
        hashed: Option<Arc<Event>>,
    ) -> std::result::Result<(), GpuError> {
        let moved = self.moves.launch(batch, arrived)?;
        let mut landed = self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        landed.push(hashed.into_iter().chain([moved]).collect());
        self.more.notify_all();
        Ok(())
    }
}
