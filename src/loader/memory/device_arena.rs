//! A model's memory on a device while a load fills it.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::block::{Block, allocate};
use super::sink::Sink;
use crate::contract::Phase;
use crate::contract::reply::Transfer;
use crate::gpu::{Context, DeviceBuffer, Kernels, Slot, Uploader};
use crate::loader::device::{Gpus, fault};
use crate::loader::error::{LoadError, Result};

/// Device memory that a load fills. Dropping it before [`finish`](Self::finish) frees everything.
#[derive(Debug)]
pub struct DeviceArena<'g> {
    gpus: &'g mut Gpus,
    ordinal: u32,
    // Declared before the buffer, so that it is dropped first: pending copies end before memory is
    // freed.
    lanes: Vec<Uploader>,
    buffer: Option<DeviceBuffer>,
    alloc: Duration,
    began: Instant,
    /// Bytes that the rings had copied before this load.
    copied_before: u64,
}

impl<'g> DeviceArena<'g> {
    /// Allocates the arena.
    ///
    /// # Errors
    /// Those of [`allocate`] and of opening the device.
    pub fn new(gpus: &'g mut Gpus, ordinal: u32, bytes: u64) -> Result<Self> {
        let context = gpus.context(ordinal)?;
        let start = Instant::now();
        let buffer = allocate(&context, bytes)?;
        let began = Instant::now();
        let alloc = began - start;
        Ok(DeviceArena { gpus, ordinal, lanes: Vec::new(), buffer, alloc, began, copied_before: 0 })
    }

    /// Creates a sink for each part. Each sink has its own pinned ring.
    ///
    /// # Errors
    /// Those of reserving pinned memory.
    pub fn sinks(&mut self, parts: &[Range<u64>]) -> Result<Vec<DeviceSink<'_>>> {
        self.take_lanes(parts.len())?;
        let buffer = self.buffer.as_ref();
        let lanes = self.lanes.iter_mut().zip(parts);
        let sink = |(lane, part): (_, &Range<u64>)| {
            DeviceSink::new(self.ordinal, lane, buffer, part.clone())
        };
        Ok(lanes.map(sink).collect())
    }

    pub(crate) fn take_lanes(&mut self, count: usize) -> Result<()> {
        let missing = count.saturating_sub(self.lanes.len());
        let mut fresh = self.gpus.take_lanes(self.ordinal, missing)?;
        self.copied_before += copied(self.ordinal, &mut fresh)?;
        self.lanes.append(&mut fresh);
        Ok(())
    }

    pub(crate) fn ordinal(&self) -> u32 {
        self.ordinal
    }

    pub(crate) fn context(&mut self) -> Result<Context> {
        self.gpus.context(self.ordinal)
    }

    pub(crate) fn kernels(&mut self) -> Result<Kernels> {
        self.gpus.kernels(self.ordinal)
    }

    /// The memory, `None` for an empty model, and the rings that were taken.
    pub(crate) fn parts(&mut self) -> (Option<&DeviceBuffer>, &mut [Uploader]) {
        (self.buffer.as_ref(), &mut self.lanes)
    }

    /// Waits until every byte is copied.
    ///
    /// # Errors
    /// `device_fault`.
    pub fn finish(mut self) -> Result<(Block, Transfer)> {
        let copied = copied(self.ordinal, &mut self.lanes)? - self.copied_before;
        let transfer = Transfer {
            asynchronous: true,
            pinned: true,
            bytes: copied,
            copy_us: micros(self.began.elapsed()),
            alloc_us: micros(self.alloc),
            staging_bytes: self.lanes.iter().map(|lane| lane.staging_bytes() as u64).sum(),
        };
        let block = Block { ordinal: self.ordinal, buffer: self.buffer.take(), store: None };
        Ok((block, transfer))
    }
}

impl Drop for DeviceArena<'_> {
    fn drop(&mut self) {
        // Do not reuse a ring whose copies failed.
        let sound =
            self.lanes.drain(..).filter_map(|mut lane| lane.finish().is_ok().then_some(lane));
        self.gpus.return_lanes(self.ordinal, sound);
    }
}

/// Writes one part of an arena through a pinned ring. Joins adjacent pieces, so that slots are
/// full.
#[derive(Debug)]
pub struct DeviceSink<'a> {
    ordinal: u32,
    lane: &'a mut Uploader,
    buffer: Option<&'a DeviceBuffer>,
    part: Range<u64>,
    slot: Option<Filling>,
}

#[derive(Debug)]
struct Filling {
    slot: Slot,
    offset: u64,
    bytes: usize,
}

impl<'a> DeviceSink<'a> {
    /// Creates a sink into this part of a device's memory.
    pub(super) fn new(
        ordinal: u32,
        lane: &'a mut Uploader,
        buffer: Option<&'a DeviceBuffer>,
        part: Range<u64>,
    ) -> Self {
        DeviceSink { ordinal, lane, buffer, part, slot: None }
    }

    fn flush(&mut self) -> Result<()> {
        let Some(Filling { slot, offset, bytes }) = self.slot.take() else { return Ok(()) };
        let Some(buffer) = self.buffer else {
            return Err(LoadError::internal("bytes for an empty model"));
        };
        let at = (self.part.start + offset) as usize;
        let queued = self.lane.submit(slot, 0..bytes, buffer, at);
        queued.map(drop).map_err(|error| fault(self.ordinal, Phase::Copy, &error))
    }

    /// Returns the slot for the byte at `offset`, and the byte's position in it. The slot has free
    /// space.
    fn room(&mut self, offset: u64) -> Result<(&mut Filling, usize)> {
        let size = self.lane.slot_bytes() as u64;
        let fits = |filling: &Filling| {
            let end = filling.offset + filling.bytes as u64;
            // Begin a new slot after a gap: the bytes of the gap may have been written before.
            offset == end && offset - filling.offset < size
        };
        if !self.slot.as_ref().is_some_and(fits) {
            self.flush()?;
            let slot =
                self.lane.slot().map_err(|error| fault(self.ordinal, Phase::Copy, &error))?;
            self.slot = Some(Filling { slot, offset, bytes: 0 });
        }
        let filling = self.slot.as_mut().ok_or_else(|| LoadError::internal("no slot"))?;
        let at = (offset - filling.offset) as usize;
        Ok((filling, at))
    }
}

impl Sink for DeviceSink<'_> {
    fn put(&mut self, mut offset: u64, mut bytes: &[u8]) -> Result<()> {
        let held = self.part.end - self.part.start;
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > held) {
            return Err(LoadError::internal("range outside a model"));
        }
        while !bytes.is_empty() {
            let (filling, at) = self.room(offset)?;
            let target = &mut filling.slot.as_mut_slice()[at..];
            let taken = target.len().min(bytes.len());
            target[..taken].copy_from_slice(&bytes[..taken]);
            filling.bytes = at + taken;
            offset += taken as u64;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.flush()?;
        self.lane.finish().map(drop).map_err(|error| fault(self.ordinal, Phase::Copy, &error))
    }
}

impl Drop for DeviceSink<'_> {
    fn drop(&mut self) {
        if let Some(Filling { slot, .. }) = self.slot.take() {
            self.lane.give_back(slot);
        }
    }
}

/// Waits for the copies of these rings. Returns the bytes that they have copied since they were
/// made.
pub(super) fn copied(ordinal: u32, lanes: &mut [Uploader]) -> Result<u64> {
    lanes.iter_mut().try_fold(0, |sum, lane| {
        Ok(sum + lane.finish().map_err(|error| fault(ordinal, Phase::Copy, &error))?)
    })
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
