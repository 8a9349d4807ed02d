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

/// Launches that may run at the same time before the oldest is waited for. Their digests are fetched whether or not
/// the seal is read, so that the memory for them does not depend on the model.
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
    /// What was hashed before the seal was read, in order.
    fetched: Vec<Fetched>,
    hashed: usize,
}

/// Digests of chunks that follow each other.
struct Fetched {
    file: usize,
    first: u64,
    digests: Vec<[u8; 32]>,
}

/// Chunks that are being hashed.
struct Queued {
    file: usize,
    first: u64,
    launch: Launch,
}

impl<'a> Proof<'a> {
    /// Prepares the hashing, when the size of a chunk is known.
    ///
    /// # Errors
    /// Those of the device, and of reading the seal.
    pub fn new(pass: &'a DevicePass<'a>, late: &'a LateSeal) -> Result<Proof<'a>> {
        let chunk_bytes = late.chunk_bytes()?;
        let batches = (0..pass.plan.batches.len()).map(|batch| pass.plan.batch(batch).1);
        let most = batches.map(|data| chunks_of(&data, chunk_bytes)).max();
        let digests = most.filter(|most| *most > 0);
        let digests = digests.map(|most| ChunkDigests::new(&pass.kernels, most)).transpose();
        let digests = digests.map_err(|error| pass.failed(error))?;
        let (queue, fetched) = (VecDeque::new(), Vec::new());
        Ok(Proof { pass, late, seal: None, chunk_bytes, digests, queue, fetched, hashed: 0 })
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
            .and_then(|data| digests.hash(data, size, here, after))
            .map_err(|error| pass.failed(error))?;
        self.hashed += count;
        let ended = launch.ended();
        self.queue.push_back(Queued { file, first: chunks.start as u64, launch });
        Ok(ended)
    }

    /// Fetches the oldest batches if enough others are being hashed, and compares them if the seal is read.
    ///
    /// # Errors
    /// `checksum_mismatch`, those of reading the seal, and those of the device.
    pub fn compare_old(&mut self) -> Result<()> {
        while self.queue.len() > LAUNCHES {
            self.fetch_oldest()?;
        }
        if self.seal.is_none()
            && let Some(seal) = self.late.ready()?
        {
            self.open(seal)?;
        }
        match self.seal.clone() {
            Some(seal) => self.compare(&seal),
            None => Ok(()),
        }
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

    fn fetch_oldest(&mut self) -> Result<()> {
        let (Some(digests), Some(oldest)) = (&mut self.digests, self.queue.pop_front()) else {
            return Ok(());
        };
        let Queued { file, first, launch } = oldest;
        let digests = digests.fetch(launch).map_err(|error| self.pass.failed(error))?;
        self.fetched.push(Fetched { file, first, digests });
        Ok(())
    }

    /// Compares everything that was fetched.
    fn compare(&mut self, seal: &Seal) -> Result<()> {
        let input = self.pass.input;
        for Fetched { file, first, digests } in self.fetched.drain(..) {
            let file = &input.files[file];
            let pieces = sealed_of(seal, file)?;
            for (index, digest) in (first..).zip(&digests) {
                compare::chunk(file, seal, pieces, (index, digest), input.decisions)?;
            }
            input.progress.verified(digests.len() as u64 * self.chunk_bytes);
        }
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
        self.compare(&seal)?;
        while !self.queue.is_empty() {
            self.fetch_oldest()?;
            self.compare(&seal)?;
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

/// Number of chunks of a range of a file's data, which begins at a chunk's start.
fn chunks_of(part: &Range<u64>, chunk_bytes: u64) -> usize {
    (part.end.div_ceil(chunk_bytes) - part.start.div_ceil(chunk_bytes)) as usize
}
