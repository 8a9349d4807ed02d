//! Landing at full width: many threads read and copy, while the device hashes what has landed.
//!
//! Bytes land where they are to stay, in the order and at the distances that they have in the file,
//! wherever the file keeps its tensors at multiples of [`ALIGNMENT`](crate::loader::memory::ALIGNMENT)
//! and nothing is to be widened: nearly every model. Otherwise they land in memory beside the
//! model, are verified there, and are then moved to their places; that memory, as large as
//! the data, is freed before the load is answered.
//!
//! The threads go through the pieces in order. This thread follows them in batches: it reads the
//! seal meanwhile, has every batch hashed and counted once its pieces are there, and compares the
//! digests, oldest batch first, so that the first bad chunk in the file is the one that is told.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::contract::{DType, Phase, request};
use crate::gpu::{
    ChunkDigests, DeviceBuffer, Element, Event, Kernels, Launch, Move, MoveKind, ScanTensor, Tally,
    TensorScan, Uploader, move_elements,
};
use crate::loader::admit::{Scan, windows};
use crate::loader::error::{LoadError, Result};
use crate::loader::files::File;
use crate::loader::progress::Progress;
use crate::loader::seal::Seal;
use crate::loader::source::MARGIN;
use crate::loader::steps::Steps;
use crate::loader::{sealed, stream};

use super::arena::DeviceArena;
use super::{allocate, fault};

/// Reading threads at most. Measured on the H200 machine, 16 cores: eight bring 45 to 50 GB/s, twelve 51,
/// which is all that the bus takes, and more only get in each other's way.
const LANES: usize = 12;

/// Bytes of a piece: what a ring's slot holds, but for what a direct read may be shifted by.
const PIECE: u64 = 4 << 20;
const _: () = assert!(PIECE as usize + MARGIN <= crate::gpu::SLOT_BYTES);

/// Pieces that are hashed by one launch: 64 MiB, a thousand chunks of the default size, which land
/// in a millisecond and a half.
const BATCH: usize = 16;

/// Launches that may run side by side before the oldest is waited for.
const LAUNCHES: usize = 6;

/// What is to land.
pub struct Landing<'a> {
    /// The files, in order.
    pub files: &'a [File],
    /// Decides.
    pub steps: &'a dyn Steps,
    /// What the bytes are compared with; nothing, where nothing is hashed.
    pub seal: Option<&'a request::Seal>,
    /// Whether the gates will want to know.
    pub scan: bool,
    /// Told how far it is.
    pub progress: &'a Progress,
}

/// A file that has landed.
pub struct Landed {
    /// Its sealed digest, which is thereby proven.
    pub digest: Option<[u8; 32]>,
    /// What the gates need to know of its tensors; nothing was seen where that was not wanted.
    pub scans: Vec<Scan>,
}

/// Part of a file's data.
struct Piece {
    file: usize,
    at: u64,
    bytes: u64,
}

/// What a thread says of a piece: its number, and the event that passes once it is there.
type Arrival = Result<(usize, Arc<Event>)>;

impl DeviceArena<'_> {
    /// Lands every file in this arena.
    ///
    /// # Errors
    /// Those of reading, of the seal and of the device.
    pub fn land(&mut self, landing: &Landing<'_>) -> Result<Vec<Landed>> {
        let pieces = landing.pieces();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let lanes = LANES.min(cores - cores / 4).min(pieces.len());
        self.take_lanes(lanes)?;
        let context = self.context()?;
        let kernels = self.kernels()?;
        let ordinal = self.ordinal();
        let failed = |error| fault(ordinal, Phase::Copy, &error);
        let direct = landing.files.iter().all(is_direct);
        let (starts, bytes) = landing.starts(direct);
        let beside = if direct { None } else { allocate(&context, bytes)? };
        let (buffer, lanes) = self.parts();
        let image = beside.as_ref().or(buffer);
        let landed = landing.run(&pieces, lanes, image, &starts, direct, &kernels, &failed)?;
        let (digests, tallies) = landed;
        let tallies = match (tallies, &beside, buffer) {
            (Some(tallies), _, _) => Some(tallies),
            (None, Some(from), Some(to)) => {
                let moves = landing.moves(&starts);
                move_elements(&kernels, from, to, &moves).map_err(failed)?;
                drop(beside);
                landing.scan.then(|| landing.count_all(&kernels, to)).transpose().map_err(failed)?
            }
            (None, ..) => None,
        };
        Ok(landing.found(digests, tallies.unwrap_or_default()))
    }
}

/// Digests by file, and tallies in the order of [`Landing::counted`], where they are there already.
type Run = (Vec<Option<[u8; 32]>>, Option<Vec<Tally>>);

impl Landing<'_> {
    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (file, each) in self.files.iter().enumerate() {
            let (mut at, end) = (0, each.data.end - each.data.start);
            while at < end {
                let bytes = PIECE.min(end - at);
                pieces.push(Piece { file, at, bytes });
                at += bytes;
            }
        }
        pieces
    }

    /// Where each file's data lands, and how much memory that takes.
    fn starts(&self, direct: bool) -> (Vec<u64>, u64) {
        let mut end = 0u64;
        let starts = self.files.iter().map(|file| {
            let start = if direct { file.part.start } else { end.next_multiple_of(256) };
            end = start + (file.data.end - file.data.start);
            start
        });
        (starts.collect(), end)
    }

    #[expect(clippy::too_many_arguments, reason = "what the arena lends, each by its own name")]
    fn run(
        &self,
        pieces: &[Piece],
        lanes: &mut [Uploader],
        image: Option<&DeviceBuffer>,
        starts: &[u64],
        direct: bool,
        kernels: &Kernels,
        failed: &(dyn Fn(crate::gpu::GpuError) -> LoadError + Sync),
    ) -> Result<Run> {
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let (arrived, arrivals) = channel();
            let mut readers = Vec::new();
            for lane in lanes {
                let (arrived, next, stop) = (arrived.clone(), &next, &stop);
                let read = move || {
                    let Some(image) = image else { return };
                    let told =
                        self.read(pieces, lane, image, starts, (next, stop), &arrived, failed);
                    if let Err(error) = told {
                        stop.store(true, Relaxed);
                        // Whoever has hung up has an error of his own to tell.
                        let _ = arrived.send(Err(error));
                    }
                };
                let reader = thread::Builder::new().name("read".into()).spawn_scoped(scope, read);
                readers.push(reader.map_err(|error| {
                    stop.store(true, Relaxed);
                    stream::no_thread(&error)
                })?);
            }
            drop(arrived);
            let followed = self.follow(pieces, &arrivals, image, starts, direct, kernels, failed);
            stop.store(followed.is_err(), Relaxed);
            readers.into_iter().for_each(stream::join);
            followed
        })
    }

    /// What each reading thread does.
    #[expect(clippy::too_many_arguments, reason = "as above")]
    fn read(
        &self,
        pieces: &[Piece],
        lane: &mut Uploader,
        image: &DeviceBuffer,
        starts: &[u64],
        (next, stop): (&AtomicUsize, &AtomicBool),
        arrived: &Sender<Arrival>,
        failed: &dyn Fn(crate::gpu::GpuError) -> LoadError,
    ) -> Result<()> {
        while !stop.load(Relaxed) {
            let number = next.fetch_add(1, Relaxed);
            let Some(piece) = pieces.get(number) else { break };
            let file = &self.files[piece.file];
            let mut slot = lane.slot().map_err(failed)?;
            let at = file.data.start + piece.at;
            let place = file.source.piece(at, piece.bytes as usize, slot.as_mut_slice());
            let place = match place {
                Ok(place) => place,
                Err(error) => {
                    lane.give_back(slot);
                    return Err(error.path(file.source.path()));
                }
            };
            self.progress.read(piece.bytes);
            let to = (starts[piece.file] + piece.at) as usize;
            let event = lane.submit(slot, place, image, to).map_err(failed)?;
            if arrived.send(Ok((number, event))).is_err() {
                break;
            }
        }
        lane.finish().map(drop).map_err(failed)
    }

    /// Follows the pieces: reads the seal, has batches hashed and counted, compares.
    #[expect(clippy::too_many_arguments, reason = "as above")]
    fn follow(
        &self,
        pieces: &[Piece],
        arrivals: &Receiver<Arrival>,
        image: Option<&DeviceBuffer>,
        starts: &[u64],
        direct: bool,
        kernels: &Kernels,
        failed: &dyn Fn(crate::gpu::GpuError) -> LoadError,
    ) -> Result<Run> {
        let seal = self.seal.filter(|_| self.steps.hashes());
        let seal = seal.map(|seal| Seal::read(seal, self.steps)).transpose()?;
        let mut proof =
            seal.as_ref().map(|seal| Proof::new(self, seal, kernels, failed)).transpose()?;
        let mut count = match image.filter(|_| direct && self.scan) {
            Some(image) => {
                Some(TensorScan::new(kernels, image, &self.counted(true)).map_err(failed)?)
            }
            None => None,
        };
        let mut events: Vec<Option<Arc<Event>>> = pieces.iter().map(|_| None).collect();
        for batch in batches(pieces) {
            let image = image.ok_or_else(|| LoadError::internal("pieces for an empty model"))?;
            while events[batch.clone()].iter().any(Option::is_none) {
                let (number, event) = arrivals
                    .recv()
                    .unwrap_or_else(|_| Err(LoadError::internal("a piece was never read")))?;
                events[number] = Some(event);
            }
            let after: Vec<Arc<Event>> =
                events[batch.clone()].iter_mut().filter_map(Option::take).collect();
            let (first, last) = (&pieces[batch.start], &pieces[batch.end - 1]);
            if let Some(proof) = &mut proof {
                proof.hash(image, starts[first.file], first, last, &after)?;
            }
            if let Some(count) = &mut count {
                let landed = starts[last.file] + last.at + last.bytes;
                count.landed(landed, &after).map_err(failed)?;
            }
        }
        let digests = match proof {
            Some(proof) => proof.finish()?,
            None => vec![None; self.files.len()],
        };
        let tallies = count.map(|count| count.finish().map_err(failed)).transpose()?;
        Ok((digests, tallies))
    }

    /// The tensors that the gates count, in order; with `stored` element types or those in memory.
    fn counted(&self, stored: bool) -> Vec<ScanTensor> {
        let tensors = self.files.iter().flat_map(|file| {
            file.tensors.iter().filter_map(move |tensor| {
                let element = element(if stored { tensor.info.dtype } else { tensor.dtype })?;
                let elements = tensor.info.elements().filter(|count| *count > 0)?;
                let offset = file.part.start + tensor.offset;
                Some(ScanTensor { offset, elements, element, windows: windows(elements) })
            })
        });
        tensors.collect()
    }

    /// Counts tensors that have been moved to their places.
    fn count_all(
        &self,
        kernels: &Kernels,
        buffer: &DeviceBuffer,
    ) -> std::result::Result<Vec<Tally>, crate::gpu::GpuError> {
        let mut count = TensorScan::new(kernels, buffer, &self.counted(false))?;
        count.landed(u64::MAX, &[])?;
        count.finish()
    }

    /// How bytes that landed beside the model get to their places.
    fn moves(&self, starts: &[u64]) -> Vec<Move> {
        let moves = self.files.iter().zip(starts).flat_map(|(file, start)| {
            file.tensors.iter().filter(|tensor| tensor.bytes > 0).map(move |tensor| {
                let kind = match (tensor.info.dtype, tensor.dtype) {
                    (DType::F16, DType::F32) => MoveKind::WidenF16,
                    (DType::BF16, DType::F32) => MoveKind::WidenBf16,
                    _ => MoveKind::Copy,
                };
                let count = match kind {
                    MoveKind::Copy => tensor.bytes,
                    _ => tensor.bytes / 4,
                };
                let from = start + tensor.info.begin;
                Move { from, to: file.part.start + tensor.offset, count, kind }
            })
        });
        moves.collect()
    }

    /// Puts everything together by file.
    fn found(&self, digests: Vec<Option<[u8; 32]>>, tallies: Vec<Tally>) -> Vec<Landed> {
        let mut tallies = tallies.into_iter();
        let landed = self.files.iter().zip(digests).map(|(file, digest)| {
            let scans = file.tensors.iter().map(|tensor| {
                let info = &tensor.info;
                let is_counted =
                    element(info.dtype).is_some() && info.elements().is_some_and(|count| count > 0);
                match is_counted.then(|| tallies.next()).flatten() {
                    Some(tally) => Scan::counted(info, &tally),
                    None => Scan::new(info),
                }
            });
            Landed { digest, scans: scans.collect() }
        });
        landed.collect()
    }
}

/// The comparison of what has landed with the seal.
struct Proof<'a> {
    landing: &'a Landing<'a>,
    seal: &'a Seal,
    digests: Option<ChunkDigests>,
    queue: VecDeque<(usize, u64, Launch)>,
    hashed: usize,
    failed: &'a dyn Fn(crate::gpu::GpuError) -> LoadError,
}

impl<'a> Proof<'a> {
    /// Compares the headers, and makes room for the chunks' digests.
    fn new(
        landing: &'a Landing<'a>,
        seal: &'a Seal,
        kernels: &Kernels,
        failed: &'a dyn Fn(crate::gpu::GpuError) -> LoadError,
    ) -> Result<Proof<'a>> {
        let mut chunks = 0;
        for file in landing.files {
            let pieces = seal.file(file.source.path(), file.source.bytes())?;
            sealed::header(file, pieces, landing.steps)?;
            chunks += pieces.chunks.len();
        }
        let digests = match chunks {
            0 => None,
            chunks => Some(ChunkDigests::new(kernels, chunks).map_err(failed)?),
        };
        Ok(Proof { landing, seal, digests, queue: VecDeque::new(), hashed: 0, failed })
    }

    /// Has the chunks from piece `first` to piece `last` of one file hashed.
    fn hash(
        &mut self,
        image: &DeviceBuffer,
        start: u64,
        first: &Piece,
        last: &Piece,
        after: &[Arc<Event>],
    ) -> Result<()> {
        let file = &self.landing.files[first.file];
        let size = self.seal.chunk_bytes;
        let chunks = first.at / size..(last.at + last.bytes).div_ceil(size);
        let digests = self.digests.as_mut();
        let digests = digests.ok_or_else(|| LoadError::internal("chunks that are not sealed"))?;
        let data = (file.data.end - file.data.start) as usize;
        let range = chunks.start as usize..chunks.end as usize;
        let launch = image
            .range(start as usize, data)
            .and_then(|data| digests.hash(data, size as usize, range.clone(), self.hashed, after))
            .map_err(self.failed)?;
        self.hashed += range.len();
        self.queue.push_back((first.file, chunks.start, launch));
        if self.queue.len() > LAUNCHES { self.compare_oldest() } else { Ok(()) }
    }

    fn compare_oldest(&mut self) -> Result<()> {
        let (Some(digests), Some((file, first, launch))) = (&self.digests, self.queue.pop_front())
        else {
            return Ok(());
        };
        let file = &self.landing.files[file];
        let pieces = self.seal.file(file.source.path(), file.source.bytes())?;
        let found = digests.fetch(launch).map_err(self.failed)?;
        for (index, digest) in (first..).zip(&found) {
            sealed::chunk(file, self.seal, pieces, (index, digest), self.landing.steps)?;
        }
        self.landing.progress.verified(found.len() as u64 * self.seal.chunk_bytes);
        Ok(())
    }

    /// Compares the rest. Gives the files' sealed digests, which are thereby proven.
    fn finish(mut self) -> Result<Vec<Option<[u8; 32]>>> {
        while !self.queue.is_empty() {
            self.compare_oldest()?;
        }
        let sealed = |file: &File| self.seal.file(file.source.path(), file.source.bytes());
        let digests = self.landing.files.iter().map(|file| Ok(Some(sealed(file)?.whole)));
        let all: Result<Vec<_>> = digests.collect();
        if self.digests.is_some() && self.hashed == 0 {
            return Err(LoadError::internal("no chunk was hashed"));
        }
        all
    }
}

/// Whether bytes may stay where they land: at the offsets that they have in the file.
fn is_direct(file: &File) -> bool {
    file.tensors.iter().all(|tensor| {
        tensor.bytes == 0
            || (tensor.dtype == tensor.info.dtype && tensor.offset == tensor.info.begin)
    })
}

/// Runs of pieces of one file, in order.
fn batches(pieces: &[Piece]) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let mut start = 0;
    for (at, piece) in pieces.iter().enumerate() {
        if piece.file != pieces[start].file || at - start == BATCH {
            batches.push(start..at);
            start = at;
        }
    }
    if start < pieces.len() {
        batches.push(start..pieces.len());
    }
    batches
}

const fn element(dtype: DType) -> Option<Element> {
    match dtype {
        DType::F16 => Some(Element::F16),
        DType::BF16 => Some(Element::BF16),
        DType::F32 => Some(Element::F32),
        _ => None,
    }
}
