//! Device memory that a share passes through: a batch lands in it, is hashed there, and its bytes go to the ranks.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::contract::Phase;
use crate::gpu::{DeviceBuffer, Event, GpuError, Move, MoveKind, Moves};
use crate::loader::device::fault;
use crate::loader::error::{LoadError, Result};
use crate::loader::load::device_pass::pieces::{PIECE, ReadPlan, Sizes};
use crate::loader::load::device_pass::shared::{FirstFailure, Landing, Place};
use crate::loader::memory::divided_arena::RankDevice;
use crate::loader::open::files::File;
use crate::loader::parallel::Divided;
use crate::loader::parallel::scatter::{InOrder, needed};

/// Most bytes of a batch: a thousand chunks of the default size.
const BATCH: u64 = 8 * PIECE;

/// Batches that a ring holds. On an H200 a batch arrives in 0.6 to 0.8 ms and is hashed in 1.0 ms. A device that others
/// reach needs 10 ms to allocate 512 MiB or 1 GiB, and 1 ms for these 256 MiB.
const PLACES: usize = 8;

/// How often a thread that waits for room looks whether another pass has failed.
const LOOK: Duration = Duration::from_millis(5);

/// A ring of places for batches. The batch after the last place takes the first place again.
pub struct Ring<'a> {
    memory: &'a DeviceBuffer,
    plan: &'a ReadPlan,
    moves: Moves<'a>,
    /// For each batch that has landed, what must pass before its place is free.
    landed: Mutex<Vec<Vec<Arc<Event>>>>,
    more: Condvar,
}

/// How the data is divided. The pinned slots of all devices together must fit in the processor's caches: on two
/// H200s with 24 threads, pieces of 4 MiB arrive at 52 GB/s, of 2 MiB at 79.
pub fn sizes(devices: usize) -> Sizes {
    Sizes { piece: if devices > 1 { PIECE / 2 } else { PIECE }, batch: BATCH }
}

/// Bytes of the memory of a ring for this plan.
pub fn bytes(plan: &ReadPlan) -> u64 {
    match plan.batches.len() {
        0 => 0,
        1 => plan.pieces.iter().map(|piece| piece.bytes).sum(),
        count => count.min(PLACES) as u64 * BATCH,
    }
}

impl<'a> Ring<'a> {
    /// A ring in this memory. `ranks` has the memory of each rank; `None` if it holds nothing.
    ///
    /// # Errors
    /// Those of the device; `internal` for bytes that have no place.
    pub fn new(
        device: &RankDevice<'_>,
        memory: &'a DeviceBuffer,
        plan: &'a ReadPlan,
        (divided, files): (&Divided, &[File]),
        ranks: &[Option<&'a DeviceBuffer>],
    ) -> Result<Ring<'a>> {
        let in_order: Vec<InOrder> = files.iter().map(|file| InOrder::new(&file.tensors)).collect();
        let mut groups = Vec::new();
        for batch in 0..plan.batches.len() {
            let (file, data) = plan.batch(batch);
            let first = files[..file].iter().map(|file| file.tensors.len()).sum();
            let (tensors, start) = (&in_order[file], place_of(batch));
            let mut group = Vec::new();
            for (rank, to) in divided.ranks.iter().zip(ranks) {
                for pieces in needed(rank, first, tensors, &data) {
                    let to =
                        to.ok_or_else(|| LoadError::internal("bytes for a rank without memory"))?;
                    let from = start + (pieces.from - data.start);
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
        Ok(Ring { memory, plan, moves, landed: Mutex::default(), more: Condvar::new() })
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
    (batch % PLACES) as u64 * BATCH
}

impl Landing for Ring<'_> {
    fn memory(&self) -> Option<&DeviceBuffer> {
        Some(self.memory)
    }

    fn place(&self, batch: usize) -> Place {
        Place { start: place_of(batch), data: self.plan.batch(batch).1 }
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
