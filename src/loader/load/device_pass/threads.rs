//! The threads of a device pass: many read and copy, and one starts the hashing and compares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::landing::counted;
use super::pieces::batches;
use super::proof::Proof;
use super::shared::DevicePass;
use crate::gpu::{Event, Tally, TensorScan, Uploader};
use crate::loader::error::{LoadError, Result};
use crate::loader::read::stream;

/// A thread's message about a piece: its index, and the event that completes when it is copied.
type Arrival = Result<(usize, Arc<Event>)>;

/// Distributes the pieces to the reading threads.
#[derive(Default)]
struct Turns {
    next: AtomicUsize,
    stop: AtomicBool,
}

/// Proven digests of each file (`None` without a seal), and the counts for the gates.
pub type Proven = (Vec<Option<[u8; 32]>>, Vec<Tally>);

impl DevicePass<'_> {
    /// Reads, copies, hashes, counts and compares everything.
    ///
    /// # Errors
    /// The first error of any thread.
    pub fn run(&self, lanes: &mut [Uploader]) -> Result<Proven> {
        let turns = Turns::default();
        thread::scope(|scope| {
            let (arrived, arrivals) = channel();
            let mut readers = Vec::new();
            for lane in lanes {
                let (arrived, turns) = (arrived.clone(), &turns);
                let read = move || {
                    if let Err(error) = self.read(lane, turns, &arrived) {
                        // If the receiver is gone, it returns its own error.
                        let _ = arrived.send(Err(error));
                    }
                };
                let reader = thread::Builder::new().name("read".into()).spawn_scoped(scope, read);
                readers.push(reader.map_err(|error| {
                    turns.stop.store(true, Relaxed);
                    stream::no_thread(&error)
                })?);
            }
            drop(arrived);
            let followed = self.follow(&arrivals);
            turns.stop.store(followed.is_err(), Relaxed);
            readers.into_iter().for_each(stream::join);
            followed
        })
    }

    /// The work of each reading thread.
    fn read(&self, lane: &mut Uploader, turns: &Turns, arrived: &Sender<Arrival>) -> Result<()> {
        let failed = |error| self.failed(error);
        while !turns.stop.load(Relaxed) {
            let number = turns.next.fetch_add(1, Relaxed);
            let (Some(piece), Some(image)) = (self.pieces.get(number), self.image) else { break };
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
            let place_of = &self.places[piece.file];
            let to = (place_of.start + piece.at - place_of.data.start) as usize;
            let event = lane.submit(slot, place, image, to).map_err(failed)?;
            if arrived.send(Ok((number, event))).is_err() {
                break;
            }
        }
        lane.finish().map(drop).map_err(failed)
    }

    /// Reads the seal, then starts to hash and count each batch and compares the digests.
    fn follow(&self, arrivals: &Receiver<Arrival>) -> Result<Proven> {
        let failed = |error| self.failed(error);
        let seal = self.seal.read(self.input)?;
        let proof = seal.as_ref().map(|seal| Proof::new(self, seal)).transpose()?;
        let (mut proof, mut count) = (proof, None);
        if let Some(image) = self.image.filter(|_| self.count) {
            let tensors = counted(self.input.files);
            count = Some(TensorScan::new(&self.kernels, image, &tensors).map_err(failed)?);
        }
        let mut events: Vec<Option<Arc<Event>>> = self.pieces.iter().map(|_| None).collect();
        for batch in batches(&self.pieces) {
            while events[batch.clone()].iter().any(Option::is_none) {
                let gone = |_| Err(LoadError::internal("a piece was never read"));
                let (number, event) = arrivals.recv().unwrap_or_else(gone)?;
                events[number] = Some(event);
            }
            let after: Vec<Arc<Event>> =
                events[batch.clone()].iter_mut().filter_map(Option::take).collect();
            let (first, last) = (&self.pieces[batch.start], &self.pieces[batch.end - 1]);
            if let Some(proof) = &mut proof {
                proof.hash(first, last, &after)?;
            }
            if let Some(count) = &mut count {
                let landed = self.places[last.file].start + last.at + last.bytes;
                count.landed(landed, &after).map_err(failed)?;
            }
        }
        let digests = match proof {
            Some(proof) => proof.finish()?,
            None => vec![None; self.input.files.len()],
        };
        let tallies = count.map(|count| count.finish().map_err(failed)).transpose()?;
        Ok((digests, tallies.unwrap_or_default()))
    }
}
