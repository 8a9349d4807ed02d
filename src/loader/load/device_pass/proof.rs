//! Compares the data in device memory with the seal.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::gpu::{ChunkDigests, Event, Launch};
use crate::loader::error::{LoadError, Result};
use crate::loader::seal::Seal;
use crate::loader::seal::compare;

use super::late_seal::LateSeal;
use super::shared::{DevicePass, Place, sealed_of};

/// Launches that may run at the same time before the oldest is waited for.
const LAUNCHES: usize = 6;

/// A comparison in progress. It checks the oldest launch first, so the error names the first bad
/// chunk. Hashing begins when the size of a chunk is known, and comparing when the seal is read.
pub struct Proof<'a> {
    pass: &'a DevicePass<'a>,
    late: &'a LateSeal,
    /// The seal, when it is read.
    seal: Option<Arc<Seal>>,
    /// Size of a chunk, in bytes.
    chunk_bytes: u64,
    /// `None` if no file has data.
    digests: Option<ChunkDigests>,
    queue: VecDeque<Queued>,
    hashed: usize,
}

/// Chunks that are being hashed.
struct Queued {
    file: usize,
    first: u64,
    launch: Launch,
}

impl<'a> Proof<'a> {
    /// Allocates device memory for the chunks' digests, when the size of a chunk is known.
    ///
    /// # Errors
    /// Those of the device, and of reading the seal.
    pub fn new(pass: &'a DevicePass<'a>, late: &'a LateSeal) -> Result<Proof<'a>> {
        let chunk_bytes = late.chunk_bytes()?;
        let chunks = pass.plan.parts.iter().map(|part| chunks_of(part, chunk_bytes)).sum();
        let digests = (chunks > 0).then(|| ChunkDigests::new(&pass.kernels, chunks));
        let digests = digests.transpose().map_err(|error| pass.failed(error))?;
        let queue = VecDeque::new();
        Ok(Proof { pass, late, seal: None, chunk_bytes, digests, queue, hashed: 0 })
    }

    /// Starts to hash the chunks of a batch. The device begins after all events of `after`. The returned event
    /// passes when it has ended.
    ///
    /// # Errors
    /// Those of the device.
    pub fn hash(&mut self, batch: usize, after: &[Arc<Event>]) -> Result<Arc<Event>> {
        let (pass, size) = (self.pass, self.chunk_bytes as usize);
        let (Some(digests), Some(memory)) = (&mut self.digests, pass.landing.memory()) else {
            return Err(LoadError::internal("chunks that are not sealed"));
        };
        let (file, data) = pass.plan.batch(batch);
        let chunks = data.start as usize / size..(data.end as usize).div_ceil(size);
        let Place { start, data } = pass.landing.place(batch);
        let before = data.start as usize / size;
        let here = chunks.start - before..chunks.end - before;
        let count = chunks.len();
        let launch = memory
            .range(start as usize, (data.end - data.start) as usize)
            .and_then(|data| digests.hash(data, size, here, self.hashed, after))
            .map_err(|error| pass.failed(error))?;
        self.hashed += count;
        let ended = launch.ended();
        self.queue.push_back(Queued { file, first: chunks.start as u64, launch });
        Ok(ended)
    }

    /// Compares the oldest batches, if the seal is read and enough others are being hashed.
    ///
    /// # Errors
    /// `checksum_mismatch`, those of reading the seal, and those of the device.
    pub fn compare_old(&mut self) -> Result<()> {
        if self.seal.is_none()
            && let Some(seal) = self.late.ready()?
        {
            self.open(seal)?;
        }
        let Some(seal) = self.seal.clone() else { return Ok(()) };
        while self.queue.len() > LAUNCHES {
            self.compare_oldest(&seal)?;
        }
        Ok(())
    }

    /// Compares the headers with a seal that has just been read.
    fn open(&mut self, seal: Arc<Seal>) -> Result<()> {
        let input = self.pass.input;
        for (file, part) in input.files.iter().zip(&self.pass.plan.parts) {
            let pieces = sealed_of(&seal, file)?;
            // Of a file in several parts, the pass of the first one compares the header.
            if part.start == 0 && (!part.is_empty() || file.data_bytes() == 0) {
                compare::header(file, pieces, input.decisions)?;
            }
        }
        self.seal = Some(seal);
        Ok(())
    }

    fn compare_oldest(&mut self, seal: &Seal) -> Result<()> {
        let (Some(digests), Some(oldest)) = (&self.digests, self.queue.pop_front()) else {
            return Ok(());
        };
        let input = self.pass.input;
        let file = &input.files[oldest.file];
        let pieces = sealed_of(seal, file)?;
        let found = digests.fetch(oldest.launch).map_err(|error| self.pass.failed(error))?;
        for (index, digest) in (oldest.first..).zip(&found) {
            compare::chunk(file, seal, pieces, (index, digest), input.decisions)?;
        }
        input.progress.verified(found.len() as u64 * self.chunk_bytes);
        Ok(())
    }

    /// Compares the remaining chunks. Returns the files' sealed digests, which are now proven.
    ///
    /// # Errors
    /// As for [`compare_old`](Self::compare_old).
    pub fn finish(mut self) -> Result<Vec<Option<[u8; 32]>>> {
        let seal = self.late.wait()?;
        if self.seal.is_none() {
            self.open(Arc::clone(&seal))?;
        }
        while !self.queue.is_empty() {
            self.compare_oldest(&seal)?;
        }
        // The proof is valid only if no chunk was left out, of the files or of the seal.
        let (files, parts) = (self.pass.input.files, &self.pass.plan.parts);
        let wanted: usize = parts.iter().map(|part| chunks_of(part, self.chunk_bytes)).sum();
        if self.hashed != wanted {
            return Err(
                LoadError::internal("not every chunk was hashed").expected(wanted, self.hashed)
            );
        }
        files.iter().map(|file| Ok(Some(sealed_of(&seal, file)?.whole))).collect()
    }
}

/// Number of chunks of the part of a file that a pass brings. A part begins at a chunk's start.
fn chunks_of(part: &Range<u64>, chunk_bytes: u64) -> usize {
    (part.end.div_ceil(chunk_bytes) - part.start.div_ceil(chunk_bytes)) as usize
}
