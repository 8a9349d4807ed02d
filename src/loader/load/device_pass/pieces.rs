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

/// Size of the first piece of each thread, in bytes. It is small, so that copies start early.
const FIRST_PIECE: u64 = 1 << 20;

/// Size of a piece, in bytes: a slot of the ring, less the shift that a direct read may need.
pub const PIECE: u64 = (SLOT_BYTES - MARGIN) as u64;

/// Pieces in one hash launch. This is 64 MiB, or two thousand chunks of the default size; the copy
/// takes 1.2 ms.
pub const BATCH: usize = 16;

/// Part of a file's data.
pub struct Piece {
    /// The file's index.
    pub file: usize,
    /// Start in the file's data, in bytes.
    pub at: u64,
    /// Length, in bytes.
    pub bytes: u64,
}

/// All data: of each file the whole range.
pub fn everything(files: &[File]) -> Vec<Range<u64>> {
    files.iter().map(|file| 0..file.data_bytes()).collect()
}

/// Splits a part of each file's data into pieces.
pub fn pieces(parts: &[Range<u64>]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (file, part) in parts.iter().enumerate() {
        let Range { start: mut at, end } = *part;
        while at < end {
            let whole = if pieces.len() < LANES { FIRST_PIECE } else { PIECE };
            let bytes = whole.min(end - at);
            pieces.push(Piece { file, at, bytes });
            at += bytes;
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
