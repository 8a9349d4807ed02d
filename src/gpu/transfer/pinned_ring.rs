//! Uploads through a small ring of pinned slots on a stream of their own.
//!
//! A slot is always in one of three states: free in the ring, lent to the caller to fill (from any
//! thread), or in flight. It becomes free again only when the event recorded after its copy has
//! passed, so no slot is ever written to while the device reads it.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::{GpuError, check_range, report};
use crate::gpu::driver::memory::DeviceBuffer;
use crate::gpu::driver::pinned::PinnedBuffer;
use crate::gpu::driver::stream::{Event, Stream};

/// Slots of a default ring: one is copied while the other is filled. A load with several reading
/// threads uses one ring per thread, so that no thread waits for another's slot.
pub const SLOTS: usize = 2;

/// Bytes of a default slot: 4 MiB, and three pages by which a direct read may be shifted. Measured
/// on the H200 machine with twelve rings of two slots, reading included: slots of 256 KiB reach 26
/// GB/s, 1 MiB 43, 2 MiB 48, and 4 MiB 51, which is the speed of copies alone. More slots are
/// slower, because the ring no longer fits in the processor's cache. Locking costs about 0.4 ms per
/// MiB, once.
pub const SLOT_BYTES: usize = (4 << 20) + (12 << 10);

/// A ring of pinned slots that uploads bytes in the order submitted.
#[derive(Debug)]
pub struct Uploader {
    context: Context,
    stream: Stream,
    free: Vec<Slot>,
    in_flight: VecDeque<Slot>,
    slots: usize,
    slot_bytes: usize,
    copied: u64,
}

/// A lent slot of a ring: pinned bytes to fill, from any thread.
///
/// Dropping it instead of submitting it takes the slot out of the ring for good.
#[derive(Debug)]
pub struct Slot {
    memory: PinnedBuffer,
    end: Arc<Event>,
    bytes: usize,
}

impl Uploader {
    /// A ring of [`SLOTS`] slots of [`SLOT_BYTES`].
    pub fn new(context: &Context) -> Result<Uploader, GpuError> {
        Uploader::with_slots(context, SLOTS, SLOT_BYTES)
    }

    /// A ring with this number of slots of this size in bytes; both must be above zero.
    pub fn with_slots(
        context: &Context,
        slots: usize,
        slot_bytes: usize,
    ) -> Result<Uploader, GpuError> {
        if slots == 0 {
            return Err(GpuError::refused("with_slots", "zero slots asked for"));
        }
        let free = (0..slots)
            .map(|_| {
                Ok(Slot {
                    memory: PinnedBuffer::allocate(context, slot_bytes)?,
                    end: Arc::new(Event::new(context)?),
                    bytes: 0,
                })
            })
            .collect::<Result<_, GpuError>>()?;
        Ok(Uploader {
            context: context.clone(),
            stream: Stream::new(context)?,
            free,
            in_flight: VecDeque::with_capacity(slots),
            slots,
            slot_bytes,
            copied: 0,
        })
    }

    /// Page-locked host memory of the ring, in bytes.
    pub fn staging_bytes(&self) -> usize {
        self.slots * self.slot_bytes
    }

    /// Bytes one slot holds.
    pub fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    /// Lends the next free slot, waiting for the oldest copy if none is free.
    ///
    /// # Errors
    ///
    /// Refused if every slot is lent, because the wait would never end.
    pub fn slot(&mut self) -> Result<Slot, GpuError> {
        if let Some(slot) = self.free.pop() {
            return Ok(slot);
        }
        self.reclaim_oldest()?;
        self.free.pop().ok_or_else(|| GpuError::refused("slot", "every slot of the ring is lent"))
    }

    /// Takes back a slot that was lent and is not needed after all.
    ///
    /// A slot of another size or device is freed instead.
    pub fn give_back(&mut self, slot: Slot) {
        if slot.memory.bytes() == self.slot_bytes && self.context.is_same(slot.memory.context()) {
            self.free.push(slot);
        }
    }

    /// Makes the copies that are submitted from now on begin after these events.
    pub fn wait(&self, after: &[Arc<Event>]) -> Result<(), GpuError> {
        after.iter().try_for_each(|event| self.stream.wait(event))
    }

    /// Queues the copy of part of a filled slot to `buffer` at `offset`, and takes the slot back.
    /// The returned event passes when the bytes have arrived.
    ///
    /// # Errors
    ///
    /// Refused if the part lies outside the slot or the buffer, if ring, slot and buffer are not on
    /// one device, or if the slot is of another size. A slot of this ring returns to it in any
    /// case.
    pub fn submit(
        &mut self,
        mut slot: Slot,
        part: Range<usize>,
        buffer: &DeviceBuffer,
        offset: usize,
    ) -> Result<Arc<Event>, GpuError> {
        let bytes = part.len();
        let checked = self.check(&slot, &part, buffer, offset);
        let arrived = Arc::clone(&slot.end);
        if checked.is_err() || bytes == 0 {
            self.give_back(slot);
            return checked.map(|()| arrived);
        }
        slot.bytes = bytes;
        let from = slot.memory.as_slice()[part].as_ptr();
        let to = buffer.pointer() + offset as u64;
        // SAFETY: the part lies in the slot, which moves to `in_flight` or is leaked, so its memory
        // is neither written nor freed before its end event has passed. The target range was
        // checked, and a buffer drains the device before it frees its memory.
        let queued = unsafe { self.stream.copy_to_device(from, to, bytes) };
        let queued = queued.and_then(|()| slot.end.record(&self.stream));
        match queued {
            Ok(()) => self.in_flight.push_back(slot),
            // The copy may have been queued, but no event reports its end, so drain the stream.
            Err(error) => {
                match self.stream.synchronize() {
                    Ok(()) => self.free.push(slot),
                    Err(_) => mem::forget(slot),
                }
                return Err(error);
            }
        }
        Ok(arrived)
    }

    /// Copies `source`, of any length and alignment, to `buffer` at `offset`.
    ///
    /// Returns when the last byte has left `source`, not when it has arrived: see
    /// [`finish`](Self::finish). If no slot is free, it waits for the oldest copy.
    pub fn send(
        &mut self,
        source: &[u8],
        buffer: &DeviceBuffer,
        offset: usize,
    ) -> Result<(), GpuError> {
        check_range("send", offset, source.len(), buffer.bytes())?;
        let mut offset = offset;
        for chunk in source.chunks(self.slot_bytes) {
            let mut slot = self.slot()?;
            slot.as_mut_slice()[..chunk.len()].copy_from_slice(chunk);
            self.submit(slot, 0..chunk.len(), buffer, offset)?;
            offset += chunk.len();
        }
        Ok(())
    }

    /// Waits until everything submitted has arrived. Returns the number of bytes copied since the
    /// ring was made.
    pub fn finish(&mut self) -> Result<u64, GpuError> {
        while !self.in_flight.is_empty() {
            self.reclaim_oldest()?;
        }
        Ok(self.copied)
    }

    /// Waits for the oldest copy, if there is one, and frees its slot.
    fn reclaim_oldest(&mut self) -> Result<(), GpuError> {
        let Some(oldest) = self.in_flight.front() else { return Ok(()) };
        // After an error the slot stays in flight, because the device may still read it.
        oldest.end.synchronize()?;
        if let Some(slot) = self.in_flight.pop_front() {
            self.copied += slot.bytes as u64;
            self.free.push(slot);
        }
        Ok(())
    }

    fn check(
        &self,
        slot: &Slot,
        part: &Range<usize>,
        buffer: &DeviceBuffer,
        offset: usize,
    ) -> Result<(), GpuError> {
        if slot.memory.bytes() != self.slot_bytes {
            return Err(GpuError::refused("submit", "the slot is from a ring with another size"));
        }
        check_range("submit", part.start, part.len(), self.slot_bytes)?;
        check_range("submit", offset, part.len(), buffer.bytes())?;
        let same =
            self.context.is_same(slot.memory.context()) && self.context.is_same(buffer.context());
        match same {
            true => Ok(()),
            false => Err(GpuError::refused("submit", "ring, slot or buffer on another device")),
        }
    }
}

impl Drop for Uploader {
    fn drop(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let drained = self.stream.synchronize();
        if drained.is_err() {
            // The device may still read the slots, so their memory is leaked.
            mem::forget(mem::take(&mut self.in_flight));
        }
        report(drained);
    }
}

impl Slot {
    /// Its bytes, which may still hold data of an earlier use.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.memory.as_mut_slice()
    }
}
