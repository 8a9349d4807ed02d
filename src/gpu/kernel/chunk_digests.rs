//! SHA-256 of many chunks of device memory, computed on the device.

use std::ops::Range;
use std::sync::Arc;

use super::Kernels;
use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::GpuError;
use crate::gpu::driver::memory::{DeviceBuffer, DeviceRange};
use crate::gpu::driver::stream::{Event, Stream};

/// Bytes of a digest.
const DIGEST: usize = 32;

/// Threads of a block: one warp. There are fewer chunks than the device has threads, and small
/// blocks spread them over all multiprocessors.
const THREADS: u32 = 32;

/// Streams, and so launches that run at the same time. A launch takes as long as one thread needs for one chunk: 1.0 ms
/// for 32 KiB on an H200, in which a bus brings 55 MB. So one is not enough for batches of that size.
const STREAMS: usize = 4;

/// Hashes chunks as they arrive on the device.
#[derive(Debug)]
pub struct ChunkDigests {
    kernels: Kernels,
    streams: Vec<Stream>,
    digests: DeviceBuffer,
    launched: usize,
}

/// A launch. Its digests can be fetched after it has ended.
#[derive(Debug)]
pub struct Launch {
    digests: Range<usize>,
    ended: Arc<Event>,
}

impl Launch {
    /// Passes when it has ended.
    pub fn ended(&self) -> Arc<Event> {
        Arc::clone(&self.ended)
    }
}

impl ChunkDigests {
    /// Allocates device memory for `chunks` digests; `chunks` must be above zero.
    pub fn new(kernels: &Kernels, chunks: usize) -> Result<ChunkDigests, GpuError> {
        let context = kernels.context();
        let bytes = chunks.checked_mul(DIGEST);
        let bytes = bytes.ok_or_else(|| GpuError::refused("new", "too many chunks"))?;
        Ok(ChunkDigests {
            kernels: kernels.clone(),
            streams: (0..STREAMS).map(|_| Stream::new(context)).collect::<Result<_, _>>()?,
            digests: context.allocate(bytes)?,
            launched: 0,
        })
    }

    /// Queues the hashing of some chunks of `data`, to begin after all events in `after`. Each
    /// chunk has `chunk_bytes` bytes; the last one of `data` may be shorter. The digests are stored
    /// from index `into` on.
    ///
    /// # Errors
    ///
    /// Refused if the chunks or the indices do not exist, if chunks do not begin at multiples of 16
    /// bytes, or if the data is on another device.
    pub fn hash(
        &mut self,
        data: DeviceRange<'_>,
        chunk_bytes: usize,
        chunks: Range<usize>,
        into: usize,
        after: &[Arc<Event>],
    ) -> Result<Launch, GpuError> {
        let refuse = |why: &str| Err(GpuError::refused("hash", why));
        let count = chunks.len();
        if chunk_bytes == 0 || !chunk_bytes.is_multiple_of(16) || !data.pointer().is_multiple_of(16)
        {
            return refuse("chunks must begin at multiples of 16 bytes");
        }
        if count == 0 || chunks.end > data.bytes().div_ceil(chunk_bytes) {
            return refuse("no such chunks");
        }
        if !self.context().is_same(data.context()) {
            return refuse("on another device");
        }
        let digests = self.digests.range(into * DIGEST, count * DIGEST)?;
        let stream = &self.streams[self.launched % self.streams.len()];
        self.launched += 1;
        after.iter().try_for_each(|event| stream.wait(event))?;
        let blocks = u32::try_from(count.div_ceil(THREADS as usize))
            .map_err(|_| GpuError::refused("hash", "too many chunks for one launch"))?;
        let (mut pointer, mut bytes) = (data.pointer(), data.bytes() as u64);
        let (mut size, mut first, mut count) =
            (chunk_bytes as u64, chunks.start as u64, count as u64);
        let mut target = digests.pointer();
        // SAFETY: six arguments of eight bytes each, as the kernel declares them. It reads the
        // chunks, which were checked to lie in a live range, and writes the digests, which do too;
        // buffers drain the device before they free their memory.
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
                    (&raw mut count).cast(),
                    (&raw mut target).cast(),
                ],
            )
        }?;
        let ended = Event::new(self.context())?;
        ended.record(stream)?;
        Ok(Launch { digests: into..into + chunks.len(), ended: Arc::new(ended) })
    }

    /// Waits for a launch of this object and fetches its digests.
    pub fn fetch(&self, launch: Launch) -> Result<Vec<[u8; 32]>, GpuError> {
        launch.ended.synchronize()?;
        let mut bytes = vec![0; launch.digests.len() * DIGEST];
        self.digests.read(launch.digests.start * DIGEST, &mut bytes)?;
        Ok(bytes.as_chunks().0.to_vec())
    }

    fn context(&self) -> &Context {
        self.kernels.context()
    }
}
