//! The threads of a device pass: many read and copy, and one starts the hashing and compares.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::landing::{counted, scans};
use super::proof::Proof;
use super::shared::DevicePass;
use crate::gpu::{Event, TensorScan, Uploader};
use crate::loader::error::{LoadError, Result};
use crate::loader::gates::Scan;
use crate::loader::read::stream;

/// A thread's message about a piece: its index, and the event that completes when it is copied.
type Arrival = Result<(usize, Arc<Event>)>;

/// Proven digests of each file (`None` without a seal), and the scans of each file's tensors, if they were counted.
pub type Proven = (Vec<Option<[u8; 32]>>, Option<Vec<Vec<Scan>>>);

impl DevicePass<'_> {
    /// Reads, copies, hashes, counts and compares everything.
    ///
    /// # Errors
    /// The first error of any thread, or of another pass over the same files.
    pub fn run(&self, lanes: &mut [Uploader]) -> Result<Proven> {
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            let (arrived, arrivals) = channel();
            let mut readers = Vec::new();
            for lane in lanes {
                let (arrived, next) = (arrived.clone(), &next);
                let read = move || {
                    if let Err(error) = self.read(lane, next, &arrived) {
                        // If the receiver is gone, it returns its own error.
                        let _ = arrived.send(Err(error));
                    }
                };
                let reader = thread::Builder::new().name("read".into()).spawn_scoped(scope, read);
                readers.push(reader.map_err(|error| self.failure.keep(stream::no_thread(&error)))?);
            }
            drop(arrived);
            let followed = self.follow(&arrivals).map_err(|error| self.failure.keep(error));
            readers.into_iter().for_each(stream::join);
            followed
        })
    }

    /// The work of each reading thread.
    fn read(
        &self,
        lane: &mut Uploader,
        next: &AtomicUsize,
        arrived: &Sender<Arrival>,
    ) -> Result<()> {
        let failed = |error| self.failed(error);
        let mut batch = 0;
        while !self.failure.happened() {
            let number = next.fetch_add(1, Relaxed);
            let (Some(piece), Some(memory)) = (self.plan.pieces.get(number), self.landing.memory())
            else {
                break;
            };
            while self.plan.batches[batch].end <= number {
                batch += 1;
            }
            let after = self.landing.room(batch, self.failure)?;
            let file = &self.input.files[piece.file];
            let mut slot = lane.slot().map_err(failed)?;
            let at = file.data.start + piece.at;
            let place = match file.source.piece(at, piece.bytes as usize, slot.as_mut_slice()) {
                Ok(place) => place,
                Err(error) => {
                    lane.give_back(slot);
                    return Err(error.path(file.source.path()));
                }
            };
            self.input.progress.read(piece.bytes);
            lane.wait(&after).map_err(failed)?;
            let to = self.landing.place(batch).of(piece.at) as usize;
            let event = lane.submit(slot, place, memory, to).map_err(failed)?;
            if arrived.send(Ok((number, event))).is_err() {
                break;
            }
        }
        lane.finish().map(drop).map_err(failed)
    }

    /// Starts to hash and count each batch, and compares the digests.
    fn follow(&self, arrivals: &Receiver<Arrival>) -> Result<Proven> {
        let failed = |error| self.failed(error);
        let proof = self.seal.map(|seal| Proof::new(self, seal)).transpose()?;
        let (mut proof, mut count) = (proof, None);
        if let Some(memory) = self.landing.memory().filter(|_| self.count) {
            let tensors = counted(self.input.files);
            count = Some(TensorScan::new(&self.kernels, memory, &tensors).map_err(failed)?);
        }
        let mut events: Vec<Option<Arc<Event>>> = self.plan.pieces.iter().map(|_| None).collect();
        for (batch, pieces) in self.plan.batches.iter().enumerate() {
            while events[pieces.clone()].iter().any(Option::is_none) {
                let gone = |_| Err(LoadError::internal("a piece was never read"));
                let (number, event) = arrivals.recv().unwrap_or_else(gone)?;
                events[number] = Some(event);
            }
            let after: Vec<Arc<Event>> =
                events[pieces.clone()].iter_mut().filter_map(Option::take).collect();
            let hashed = match &mut proof {
                Some(proof) => Some(proof.hash(batch, &after)?),
                None => None,
            };
            if let Some(count) = &mut count {
                let last = &self.plan.pieces[pieces.end - 1];
                let landed = self.landing.place(batch).of(last.at + last.bytes);
                count.landed(landed, &after).map_err(failed)?;
            }
            self.landing.landed(batch, &after, hashed).map_err(failed)?;
            if let Some(proof) = &mut proof {
                proof.compare_old()?;
            }
        }
        // The counts are there before the last chunks are hashed. Their memory is freed after that, because to free
        // any waits for the device.
        let tallies = count.as_ref().map(|count| count.tallies().map_err(failed)).transpose()?;
        let scans = tallies.map(|tallies| scans(self.input.files, tallies));
        let digests = match proof {
            Some(proof) => proof.finish()?,
            None => vec![None; self.input.files.len()],
        };
        Ok((digests, scans))
    }
}
