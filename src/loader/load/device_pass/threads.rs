//! The threads of a landing: many that read and copy, and one that follows them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::contract::Phase;
use crate::gpu::{DeviceBuffer, Event, GpuError, Kernels, SLOT_BYTES, Tally, TensorScan, Uploader};
use crate::loader::error::{LoadError, Result};
use crate::loader::open::files::File;
use crate::loader::read::file::MARGIN;
use crate::loader::read::stream;
use crate::loader::seal::Seal;

use super::Landing;
use super::proof::Proof;
use crate::loader::device::fault;

/// Reading threads at most. Measured on the H200 machine, which has 16 cores: eight bring 45 to 50
/// GB/s, twelve 51, which is all that copies of this size bring, and more get in each other's way.
const LANES: usize = 12;

/// Reading threads at most where the files have to come from a disk.
const LANES_COLD: usize = 4;

/// Bytes of the first pieces, one a thread, so that the bus has something to do soon.
const FIRST_PIECE: u64 = 1 << 20;

/// Bytes of a piece: what a ring's slot holds, but for what a direct read may be shifted by.
const PIECE: u64 = (SLOT_BYTES - MARGIN) as u64;

/// Pieces that are hashed by one launch: 64 MiB, a thousand chunks of the default size, which land
/// in a millisecond and a half.
const BATCH: usize = 16;

/// Part of a file's data.
pub struct Piece {
    /// The file's number.
    pub file: usize,
    /// Where it begins in the data, in bytes.
    pub at: u64,
    /// Its length, in bytes.
    pub bytes: u64,
}

/// Everything that the threads of one landing share.
pub struct Flight<'a> {
    /// What is to land.
    pub landing: &'a Landing<'a>,
    /// In what pieces, in order.
    pub pieces: Vec<Piece>,
    /// Where to; absent where there is no data.
    pub image: Option<&'a DeviceBuffer>,
    /// Where in it each file's data begins.
    pub starts: Vec<u64>,
    /// Whether to count what the gates ask, where the bytes land.
    pub count: bool,
    /// The device's kernels.
    pub kernels: Kernels,
    /// The device's ordinal.
    pub ordinal: u32,
}

/// What a thread says of a piece: its number, and the event that passes once it is there.
type Arrival = Result<(usize, Arc<Event>)>;

/// What the reading threads take turns by.
#[derive(Default)]
struct Turns {
    next: AtomicUsize,
    stop: AtomicBool,
}

/// Digests by file, proven, where there is a seal; tallies of what was to be counted.
pub type Flown = (Vec<Option<[u8; 32]>>, Vec<Tally>);

/// All data, cut into pieces.
pub fn pieces(files: &[File]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (file, each) in files.iter().enumerate() {
        let (mut at, end) = (0, each.data_bytes());
        while at < end {
            let whole = if pieces.len() < LANES { FIRST_PIECE } else { PIECE };
            let bytes = whole.min(end - at);
            pieces.push(Piece { file, at, bytes });
            at += bytes;
        }
    }
    pieces
}

/// How many threads are to read so many pieces here.
pub fn lanes(files: &[File], pieces: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cached = files.iter().all(|file| file.source.is_cached());
    let most = if cached { LANES } else { LANES_COLD };
    most.min(cores - cores / 4).min(pieces)
}

impl Flight<'_> {
    /// Reads, copies, hashes, counts and compares everything.
    ///
    /// # Errors
    /// The first that any thread met.
    pub fn fly(&self, lanes: &mut [Uploader]) -> Result<Flown> {
        let turns = Turns::default();
        thread::scope(|scope| {
            let (arrived, arrivals) = channel();
            let mut readers = Vec::new();
            for lane in lanes {
                let (arrived, turns) = (arrived.clone(), &turns);
                let read = move || {
                    if let Err(error) = self.read(lane, turns, &arrived) {
                        // Whoever has hung up has an error of his own to tell.
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

    /// What each reading thread does.
    fn read(&self, lane: &mut Uploader, turns: &Turns, arrived: &Sender<Arrival>) -> Result<()> {
        let failed = |error| self.failed(error);
        while !turns.stop.load(Relaxed) {
            let number = turns.next.fetch_add(1, Relaxed);
            let (Some(piece), Some(image)) = (self.pieces.get(number), self.image) else { break };
            let file = &self.landing.files[piece.file];
            let mut slot = lane.slot().map_err(failed)?;
            let at = file.data.start + piece.at;
            let place = match file.source.piece(at, piece.bytes as usize, slot.as_mut_slice()) {
                Ok(place) => place,
                Err(error) => {
                    lane.give_back(slot);
                    return Err(error.path(file.source.path()));
                }
            };
            self.landing.progress.read(piece.bytes);
            let to = (self.starts[piece.file] + piece.at) as usize;
            let event = lane.submit(slot, place, image, to).map_err(failed)?;
            if arrived.send(Ok((number, event))).is_err() {
                break;
            }
        }
        lane.finish().map(drop).map_err(failed)
    }

    /// Follows the pieces: reads the seal, has batches hashed and counted, compares.
    fn follow(&self, arrivals: &Receiver<Arrival>) -> Result<Flown> {
        let failed = |error| self.failed(error);
        let steps = self.landing.steps;
        let seal = self.landing.seal.filter(|_| steps.hashes());
        let seal = seal.map(|seal| Seal::read(seal, steps)).transpose()?;
        let proof = seal.as_ref().map(|seal| Proof::new(self, seal)).transpose()?;
        let (mut proof, mut count) = (proof, None);
        if let Some(image) = self.image.filter(|_| self.count) {
            let tensors = self.landing.counted();
            count = Some(TensorScan::new(&self.kernels, image, &tensors).map_err(failed)?);
        }
        let mut events: Vec<Option<Arc<Event>>> = self.pieces.iter().map(|_| None).collect();
        for batch in self.batches() {
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
                let landed = self.starts[last.file] + last.at + last.bytes;
                count.landed(landed, &after).map_err(failed)?;
            }
        }
        let digests = match proof {
            Some(proof) => proof.finish()?,
            None => vec![None; self.landing.files.len()],
        };
        let tallies = count.map(|count| count.finish().map_err(failed)).transpose()?;
        Ok((digests, tallies.unwrap_or_default()))
    }

    /// Runs of pieces of one file, in order.
    fn batches(&self) -> Vec<Range<usize>> {
        let mut batches = Vec::new();
        let mut start = 0;
        for (at, piece) in self.pieces.iter().enumerate() {
            if piece.file != self.pieces[start].file || at - start == BATCH {
                batches.push(start..at);
                start = at;
            }
        }
        if start < self.pieces.len() {
            batches.push(start..self.pieces.len());
        }
        batches
    }

    /// What a failed call means here.
    pub fn failed(&self, error: GpuError) -> LoadError {
        fault(self.ordinal, Phase::Copy, &error)
    }
}
