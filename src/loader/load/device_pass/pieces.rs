//! Splits the data into pieces to read and copy, and sets the number of reading threads.

use std::ops::Range;
use std::thread;

use crate::gpu::SLOT_BYTES;
use crate::loader::open::files::File;
use crate::loader::read::file::MARGIN;

/// Most reading threads of a device. Measured on a machine with an H200 and 16 cores: eight threads reach 45 to
/// 50 GB/s, twelve reach 51, which is the limit for copies of this size. More threads are slower.
const LANES: usize = 12;

/// Most reading threads of a device if the files are not in the page cache.
const LANES_COLD: usize = 4;

/// Size of a small piece, in bytes. The first piece of each thread is small, so that copies start early. The last two
/// of each are small, so that all threads end at the same time: twelve threads at the limit of copies read 4 MiB in 0.9 ms
/// each, and whoever ends first would have nothing to do for that long.
const SMALL_PIECE: u64 = 1 << 20;

/// Size of a piece, in bytes: a slot of the ring, less the shift that a direct read may need.
pub const PIECE: u64 = (SLOT_BYTES - MARGIN) as u64;

/// Most bytes of a batch, which is hashed by one launch: two thousand chunks of the default size. The copy takes
/// 1.2 ms.
const BATCH: u64 = 16 * PIECE;

/// How the data is divided for reading, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Most bytes of a piece.
    pub piece: u64,
    /// Most bytes of a batch.
    pub batch: u64,
}

impl Sizes {
    /// For one device that has room for all data.
    pub const ONE: Sizes = Sizes { piece: PIECE, batch: BATCH };
}

/// Part of a file's data.
pub struct Piece {
    /// The file's index.
    pub file: usize,
    /// Start in the file's data, in bytes.
    pub at: u64,
    /// Length, in bytes.
    pub bytes: u64,
}

/// What a pass reads, and in which order.
pub struct ReadPlan {
    /// The part of each file's data that it brings, in bytes.
    pub parts: Vec<Range<u64>>,
    /// The pieces, in order. Those of a file follow each other.
    pub pieces: Vec<Piece>,
    /// The pieces of each batch. A batch belongs to one file.
    pub batches: Vec<Range<usize>>,
}

impl ReadPlan {
    /// A plan for these parts: one for each file.
    pub fn of(parts: Vec<Range<u64>>, sizes: Sizes) -> ReadPlan {
        let pieces = pieces(&parts, sizes.piece);
        let batches = batches(&pieces, sizes.batch);
        ReadPlan { parts, pieces, batches }
    }

    /// A plan for all data.
    pub fn whole(files: &[File]) -> ReadPlan {
        ReadPlan::of(files.iter().map(|file| 0..file.data_bytes()).collect(), Sizes::ONE)
    }

    /// A batch: the file's index, and the range of its data, in bytes.
    pub fn batch(&self, batch: usize) -> (usize, Range<u64>) {
        let pieces = &self.batches[batch];
        let (first, last) = (&self.pieces[pieces.start], &self.pieces[pieces.end - 1]);
        (first.file, first.at..last.at + last.bytes)
    }
}

/// Splits a part of each file's data into pieces.
fn pieces(parts: &[Range<u64>], most: u64) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut left: u64 = parts.iter().map(|part| part.end - part.start).sum();
    for (file, part) in parts.iter().enumerate() {
        let Range { start: mut at, end } = *part;
        while at < end {
            let small = pieces.len() < LANES || left <= 2 * LANES as u64 * SMALL_PIECE;
            let bytes = if small { SMALL_PIECE } else { most }.min(end - at);
            pieces.push(Piece { file, at, bytes });
            at += bytes;
            left -= bytes;
        }
    }
    pieces
}

/// Returns the number of threads that read `pieces` pieces for each of `devices` devices. All devices
/// together leave a quarter of the processors to others.
pub fn lanes(files: &[File], pieces: usize, devices: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cached = files.iter().all(|file| file.source.is_cached());
    let most = if cached { LANES } else { LANES_COLD };
    most.min((cores - cores / 4) / devices.max(1)).max(1).min(pieces)
}

/// Groups the pieces into batches. Each batch belongs to one file.
pub fn batches(pieces: &[Piece], most: u64) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let mut start = 0;
    for (at, piece) in pieces.iter().enumerate() {
        let first = &pieces[start];
        let is_full = || at > start && piece.at + piece.bytes - first.at > most;
        if piece.file != first.file || is_full() {
            batches.push(start..at);
            start = at;
        }
    }
    if start < pieces.len() {
        batches.push(start..pieces.len());
    }
    batches
}
