//! SHA-256 of many chunks of device memory, computed on the device.
//!
//! The kernel writes the digests to pinned host memory itself, so they are there when a launch has ended: no memory of
//! the device is needed, and no copy has to be asked for and waited for. Streams and pinned memory are kept for the
//! next user, because making them delays the first copies of a load, which other threads queue meanwhile, and freeing
//! them its end.

use std::mem;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use super::Kernels;
use super::hash_tools::Tools;
use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::{GpuError, report};
use crate::gpu::driver::memory::DeviceRange;
use crate::gpu::driver::pinned::PinnedBuffer;
use crate::gpu::driver::stream::{Event, Stream};

/// Bytes of a digest.
const DIGEST: usize = 32;

/// Chunks of a block. There are fewer chunks than the device has threads, and small blocks spread
/// them over all multiprocessors.
const CHUNKS: usize = 32;

/// Threads of a block: one warp prepares words, and another does the rounds.
const THREADS: u32 = 64;

/// Streams, and so launches that run at the same time. A launch takes as long as one chunk: 1.0 ms for 32 KiB on an
/// H200, when one warp did everything, and in that time a bus brings 55 MB. So one is not enough for batches of that
/// size.
const STREAMS: usize = 4;

/// Hashes chunks as they arrive on the device.
#[derive(Debug)]
pub struct ChunkDigests {
    kernels: Kernels,
    tools: Tools,
    /// Digests of the largest launch.
    most: usize,
    /// Indices of the places that no launch has.
    free: Vec<usize>,
    launched: usize,
}

/// A launch. Its digests can be fetched after it has ended.
#[derive(Debug)]
pub struct Launch {
    place: usize,
    count: usize,
    ended: Arc<Event>,
}

impl Launch {
    /// Passes when it has ended.
    pub fn ended(&self) -> Arc<Event> {
        Arc::clone(&self.ended)
    }
}

impl ChunkDigests {
    /// For launches of up to `most` chunks; `most` must be above zero.
    pub fn new(kernels: &Kernels, most: usize) -> Result<ChunkDigests, GpuError> {
        let bytes = most.checked_mul(DIGEST).filter(|bytes| *bytes > 0);
        let bytes = bytes.ok_or_else(|| GpuError::refused("new", "no chunks, or too many"))?;
        let kept = kernels.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut tools = match kept {
            Some(tools) => tools,
            None => {
                let stream = |_| Stream::new(kernels.context());
                let streams = (0..STREAMS).map(stream).collect::<Result<_, _>>()?;
                Tools { streams, places: Vec::new() }
            }
        };
        tools.places.retain(|place| place.bytes() >= bytes);
        let free = (0..tools.places.len()).collect();
        Ok(ChunkDigests { kernels: kernels.clone(), tools, most, free, launched: 0 })
    }

    /// Queues the hashing of some chunks of `data`, to begin after all events in `after`. Each
    /// chunk has `chunk_bytes` bytes; the last one of `data` may be shorter.
    ///
    /// # Errors
    ///
    /// Refused if the chunks do not exist, if there are more than a launch may have, if chunks do not
    /// begin at multiples of 16 bytes, or if the data is on another device.
    pub fn hash(
        &mut self,
        data: DeviceRange<'_>,
        chunk_bytes: usize,
        chunks: Range<usize>,
        after: &[Arc<Event>],
    ) -> Result<Launch, GpuError> {
        let refuse = |why: &str| Err(GpuError::refused("hash", why));
        let count = chunks.len();
        if chunk_bytes == 0 || !chunk_bytes.is_multiple_of(16) || !data.pointer().is_multiple_of(16)
        {
            return refuse("chunks must begin at multiples of 16 bytes");
        }
        if count == 0 || count > self.most || chunks.end > data.bytes().div_ceil(chunk_bytes) {
            return refuse("no such chunks");
        }
        if !self.context().is_same(data.context()) {
            return refuse("on another device");
        }
        let blocks = u32::try_from(count.div_ceil(CHUNKS))
            .map_err(|_| GpuError::refused("hash", "too many chunks for one launch"))?;
        let ended = Event::new(self.context())?;
        if self.free.is_empty() {
            let place = PinnedBuffer::allocate(self.context(), self.most * DIGEST)?;
            self.free.push(self.tools.places.len());
            self.tools.places.push(place);
        }
        let Some(place) = self.free.pop() else { return refuse("no memory for digests") };
        let stream = &self.tools.streams[self.launched % self.tools.streams.len()];
        self.launched += 1;
        let (mut pointer, mut bytes) = (data.pointer(), data.bytes() as u64);
        let (mut size, mut first, mut number) =
            (chunk_bytes as u64, chunks.start as u64, count as u64);
        // Pinned memory has the same address on the device.
        let mut target = self.tools.places[place].start() as u64;
        // If this fails, the place is not used again: the device may write there all the same.
        after.iter().try_for_each(|event| stream.wait(event))?;
        // SAFETY: six arguments of eight bytes each, as the kernel declares them. It reads the
        // chunks, which were checked to lie in a live range, and buffers drain the device before
        // they free their memory. It writes the digests to a place of at least that size, which
        // nobody reads before the launch has ended, or frees before the streams have ended.
        unsafe {
            self.kernels.sha256_chunks.launch(
                stream,
                blocks,
                THREADS,
                &mut [
                    (&raw mut pointer).cast(),
                    (&raw mut bytes).cast(),
                    (&raw mut size).cast(),
                    (&raw mut first).cast(),
                    (&raw mut number).cast(),
                    (&raw mut target).cast(),
                ],
            )
        }?;
        ended.record(stream)?;
        Ok(Launch { place, count, ended: Arc::new(ended) })
    }

    /// Waits for a launch of this object and fetches its digests.
    ///
    /// # Errors
    ///
    /// The driver's, also those of the launch.
    pub fn fetch(&mut self, launch: Launch) -> Result<Vec<[u8; 32]>, GpuError> {
        launch.ended.synchronize()?;
        let refused = || GpuError::refused("fetch", "a launch of something else");
        let place = self.tools.places.get(launch.place).ok_or_else(refused)?;
        let digests = place.as_slice().get(..launch.count * DIGEST).ok_or_else(refused)?;
        let digests = digests.as_chunks().0.to_vec();
        self.free.push(launch.place);
        Ok(digests)
    }

    fn context(&self) -> &Context {
        self.kernels.context()
    }
}

impl Drop for ChunkDigests {
    fn drop(&mut self) {
        let tools = Tools {
            streams: mem::take(&mut self.tools.streams),
            places: mem::take(&mut self.tools.places),
        };
        // Launches that nobody fetched must not write what the next user reads.
        let fetched = self.free.len() == tools.places.len();
        let drained = match fetched {
            true => Ok(()),
            false => tools.streams.iter().try_for_each(Stream::synchronize),
        };
        if drained.is_ok() {
            self.kernels.spare.lock().unwrap_or_else(PoisonError::into_inner).push(tools);
        } else {
            // The device may still write the places, so they are leaked.
            mem::forget(tools.places);
        }
        report(drained);
    }
}
