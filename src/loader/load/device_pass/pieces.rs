//! The pieces that data is read and copied in, and how many threads take them.

use std::ops::Range;
use std::thread;

use crate::gpu::SLOT_BYTES;
use crate::loader::open::files::File;
use crate::loader::read::file::MARGIN;

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

/// Runs of pieces of one file, in order.
pub fn batches(pieces: &[Piece]) -> Vec<Range<usize>> {
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
