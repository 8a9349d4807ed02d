//! Copies device memory to the host at the speed of the bus.
//!
//! The copy engine fills one pinned slot while the processor empties the other. One core copies
//! about 11 GB/s, a fifth of the speed of the bus. So a long read is split over several lanes, each
//! with its own thread, stream and pair of slots.

use std::{mem, panic, thread};

use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::{GpuError, report};
use crate::gpu::driver::memory::DeviceRange;
use crate::gpu::driver::pinned::PinnedBuffer;
use crate::gpu::driver::stream::{Event, Stream};

/// Bytes of a slot: 0.08 ms on the bus, which is long compared with the time to queue a copy.
const SLOT_BYTES: usize = 4 << 20;

/// Most lanes. At 11 GB/s per core, five would be enough if they never waited for each other.
const LANES: usize = 8;

/// Reads shorter than this stay on one lane: starting threads and, the first time, locking the
/// other lanes' slots would cost more than they save.
const SPLIT_BYTES: usize = 32 << 20;

/// Reusable staging for reads of device memory.
#[derive(Debug)]
pub struct Downloader {
    context: Context,
    lanes: Vec<Lane>,
}

impl Downloader {
    /// Staging with one lane; the others are made by the first long read.
    pub fn new(context: &Context) -> Result<Downloader, GpuError> {
        Ok(Downloader { context: context.clone(), lanes: vec![Lane::new(context)?] })
    }

    /// Page-locked host memory, in bytes.
    pub fn staging_bytes(&self) -> usize {
        self.lanes.len() * 2 * SLOT_BYTES
    }

    /// Copies `source` to `destination`, of the same length, and waits for it.
    ///
    /// The caller must already have waited for all work of this process that writes the range.
    pub fn read(
        &mut self,
        source: DeviceRange<'_>,
        destination: &mut [u8],
    ) -> Result<(), GpuError> {
        self.check(source)?;
        if destination.len() != source.bytes() {
            return Err(GpuError::refused(
                "read",
                format!("{} bytes asked for into {}", source.bytes(), destination.len()),
            ));
        }
        if source.bytes() < SPLIT_BYTES {
            return match self.lanes.first_mut() {
                Some(lane) => lane.read(source.pointer(), destination),
                None => Err(GpuError::refused("read", "no lanes")),
            };
        }
        let wanted = thread::available_parallelism().map_or(1, |cores| cores.get()).min(LANES);
        while self.lanes.len() < wanted {
            self.lanes.push(Lane::new(&self.context)?);
        }
        // Whole slots to each lane, so that only the last copy of all can be short.
        let share = source.bytes().div_ceil(self.lanes.len()).next_multiple_of(SLOT_BYTES);
        thread::scope(|scope| {
            let mut pointer = source.pointer();
            let mut running = Vec::new();
            for (lane, part) in self.lanes.iter_mut().zip(destination.chunks_mut(share)) {
                let at = pointer;
                pointer += part.len() as u64;
                running.push(scope.spawn(move || lane.read(at, part)));
            }
            // All are joined before the first error is returned.
            let outcomes: Vec<_> = running
                .into_iter()
                .map(|lane| lane.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
                .collect();
            outcomes.into_iter().collect()
        })
    }

    /// Passes `source` to `see` in pieces, in order, each with its offset, without another copy.
    ///
    /// Uses one lane, so `see` limits the speed if it is slower than the bus.
    pub fn visit(
        &mut self,
        source: DeviceRange<'_>,
        see: impl FnMut(usize, &[u8]),
    ) -> Result<(), GpuError> {
        self.check(source)?;
        match self.lanes.first_mut() {
            Some(lane) => lane.visit(source.pointer(), source.bytes(), see),
            None => Err(GpuError::refused("visit", "no lanes")),
        }
    }

    fn check(&self, source: DeviceRange<'_>) -> Result<(), GpuError> {
        match self.context.is_same(source.context()) {
            true => Ok(()),
            false => Err(GpuError::refused("read", "the memory is on another device")),
        }
    }
}

/// A stream with two slots. Copies are in flight only inside `visit`, or after it has failed.
#[derive(Debug)]
struct Lane {
    stream: Stream,
    slots: Vec<(PinnedBuffer, Event)>,
}

impl Lane {
    fn new(context: &Context) -> Result<Lane, GpuError> {
        let slot = || Ok((PinnedBuffer::allocate(context, SLOT_BYTES)?, Event::new(context)?));
        Ok(Lane { stream: Stream::new(context)?, slots: vec![slot()?, slot()?] })
    }

    fn read(&mut self, pointer: u64, destination: &mut [u8]) -> Result<(), GpuError> {
        let bytes = destination.len();
        self.visit(pointer, bytes, |at, piece| {
            destination[at..at + piece.len()].copy_from_slice(piece);
        })
    }

    /// `pointer` and `bytes` must be a live device range for the duration of the call: both
    /// callers take them from a [`DeviceRange`].
    fn visit(
        &mut self,
        pointer: u64,
        bytes: usize,
        mut see: impl FnMut(usize, &[u8]),
    ) -> Result<(), GpuError> {
        // An earlier call may have left by an error or a panic with copies still queued.
        self.stream.synchronize()?;
        let pieces = bytes.div_ceil(SLOT_BYTES);
        let piece = |index: usize| {
            let at = index * SLOT_BYTES;
            (at, SLOT_BYTES.min(bytes - at))
        };
        for index in 0..=pieces {
            if index < pieces {
                let (at, length) = piece(index);
                let (memory, arrived) = &mut self.slots[index % 2];
                // SAFETY: the slot holds `length` or more; `see` last used it in the previous turn,
                // and nothing uses it before `arrived` has passed. `self` keeps it alive, and its
                // destructor drains the stream. The source lies in the caller's live range.
                unsafe { self.stream.copy_to_host(pointer + at as u64, memory.start(), length) }?;
                arrived.record(&self.stream)?;
            }
            if let Some(earlier) = index.checked_sub(1) {
                let (at, length) = piece(earlier);
                let (memory, arrived) = &self.slots[earlier % 2];
                arrived.synchronize()?;
                see(at, &memory.as_slice()[..length]);
            }
        }
        Ok(())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let drained = self.stream.synchronize();
        if drained.is_err() {
            // The device may still write to the slots, so their memory is leaked.
            mem::forget(mem::take(&mut self.slots));
        }
        report(drained);
    }
}
