//! Compares the data in device memory with the seal.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::gpu::{ChunkDigests, Event, Launch};
use crate::loader::error::{LoadError, Result};
use crate::loader::seal::compare;
use crate::loader::seal::{Pieces, Seal};

use super::shared::{DevicePass, Place, sealed_of};

/// Launches that may run at the same time before the oldest is waited for.
const LAUNCHES: usize = 6;

/// A comparison in progress. It checks the oldest launch first, so the error names the first bad
/// chunk.
pub struct Proof<'a> {
    pass: &'a DevicePass<'a>,
    seal: &'a Seal,
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
    /// Compares the headers, and allocates device memory for the chunks' digests.
    ///
    /// # Errors
    /// `checksum_mismatch`, `invalid_seal`, and those of the device.
    pub fn new(pass: &'a DevicePass<'a>, seal: &'a Seal) -> Result<Proof<'a>> {
        let mut chunks = 0;
        for (file, part) in pass.input.files.iter().zip(&pass.plan.parts) {
            let pieces = sealed_of(seal, file)?;
            // Of a file in several parts, the pass of the first one compares the header.
            if part.start == 0 && (!part.is_empty() || file.data_bytes() == 0) {
                compare::header(file, pieces, pass.input.decisions)?;
            }
            chunks += chunks_of(part, pieces, seal);
        }
        let digests = (chunks > 0).then(|| ChunkDigests::new(&pass.kernels, chunks));
        let digests = digests.transpose().map_err(|error| pass.failed(error))?;
        Ok(Proof { pass, seal, digests, queue: VecDeque::new(), hashed: 0 })
    }

    /// Starts to hash the chunks of a batch. The device begins after all events of `after`. The returned event
    /// passes when it has ended.
    ///
    /// # Errors
    /// Those of the device.
    pub fn hash(&mut self, batch: usize, after: &[Arc<Event>]) -> Result<Arc<Event>> {
        let (pass, size) = (self.pass, self.seal.chunk_bytes as usize);
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

    /// Compares the oldest batch, if enough others are being hashed.
    ///
    /// # Errors
    /// `checksum_mismatch`, and those of the device.
    pub fn compare_old(&mut self) -> Result<()> {
        if self.queue.len() > LAUNCHES { self.compare_oldest() } else { Ok(()) }
    }

    fn compare_oldest(&mut self) -> Result<()> {
        let (Some(digests), Some(oldest)) = (&self.digests, self.queue.pop_front()) else {
            return Ok(());
        };
        let input = self.pass.input;
        let file = &input.files[oldest.file];
        let pieces = sealed_of(self.seal, file)?;
        let found = digests.fetch(oldest.launch).map_err(|error| self.pass.failed(error))?;
        for (index, digest) in (oldest.first..).zip(&found) {
            compare::chunk(file, self.seal, pieces, (index, digest), input.decisions)?;
        }
        input.progress.verified(found.len() as u64 * self.seal.chunk_bytes);
        Ok(())
    }

    /// Compares the remaining chunks. Returns the files' sealed digests, which are now proven.
    ///
    /// # Errors
    /// `checksum_mismatch`, and those of the device.
    pub fn finish(mut self) -> Result<Vec<Option<[u8; 32]>>> {
        while !self.queue.is_empty() {
            self.compare_oldest()?;
        }
        let files = self.pass.input.files;
        let sealed: Vec<&Pieces> =
            files.iter().map(|file| sealed_of(self.seal, file)).collect::<Result<_>>()?;
        // The proof is valid only if no chunk was left out.
        let of_file = |(part, pieces): (&Range<u64>, &&Pieces)| chunks_of(part, pieces, self.seal);
        let wanted: usize = self.pass.plan.parts.iter().zip(&sealed).map(of_file).sum();
        if self.hashed != wanted {
            return Err(
                LoadError::internal("not every chunk was hashed").expected(wanted, self.hashed)
            );
        }
        Ok(sealed.into_iter().map(|pieces| Some(pieces.whole)).collect())
    }
}

/// Number of sealed chunks of the part of a file that a pass brings.
fn chunks_of(part: &Range<u64>, pieces: &Pieces, seal: &Seal) -> usize {
    let chunk = |byte: u64| (byte.div_ceil(seal.chunk_bytes) as usize).min(pieces.chunks.len());
    chunk(part.end) - chunk(part.start)
}
