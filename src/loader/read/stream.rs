//! Reading a range of a file once and in order, with hashing beside it.
//!
//! One thread reads ahead, one hashes the whole or several hash chunks, and the caller's own sees
//! the bytes. They share each piece and hand it back: what is held is a fixed number of pieces.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};

use sha2::{Digest, Sha256};

use crate::contract::seal::MAX_CHUNK;
use crate::contract::{Class, Phase};

use super::file::{MARGIN, OpenFile};
use crate::loader::error::{LoadError, Result};
use crate::loader::host_memory::host_bytes;
use crate::loader::progress::Progress;
use crate::loader::remedies::device_and_memory::NO_THREAD;

/// Bytes read at once. Large enough that calls cost nothing, small enough to stay in the cache
/// between those who look at them. Chunks of a seal never lie across two.
pub const PIECE: u64 = 1 << 20;
const _: () = assert!(PIECE.is_multiple_of(MAX_CHUNK));

/// Pieces that may wait for the hash, which is the slowest; more would only hold memory.
const AHEAD: usize = 8;

/// Data shorter than this is read and hashed in place: threads would cost more than they save.
const WORTH_THREADS: u64 = 2 << 20;

/// What is hashed of the range.
pub enum Hashing<'a> {
    /// Nothing.
    Nothing,
    /// All of it, onto what the hash has taken before.
    Whole(&'a mut Sha256),
    /// Each chunk, the last one as short as it is; digests in order.
    Chunks(u64, &'a mut Vec<[u8; 32]>),
    /// Both.
    Both {
        /// The whole.
        whole: &'a mut Sha256,
        /// Size of a chunk, in bytes.
        chunk_bytes: u64,
        /// Digests of the chunks, in order.
        digests: &'a mut Vec<[u8; 32]>,
    },
}

type Digests<'a> = Option<(u64, &'a mut Vec<[u8; 32]>)>;

impl<'a> Hashing<'a> {
    fn split(self) -> (Option<&'a mut Sha256>, Digests<'a>) {
        match self {
            Hashing::Nothing => (None, None),
            Hashing::Whole(whole) => (Some(whole), None),
            Hashing::Chunks(bytes, digests) => (None, Some((bytes, digests))),
            Hashing::Both { whole, chunk_bytes, digests } => {
                (Some(whole), Some((chunk_bytes, digests)))
            }
        }
    }
}

/// Reads `range` of a file, hashes it, and shows `see` every piece with its place in the range.
///
/// # Errors
/// Those of reading and of `see`; `out_of_host_memory` where there is no thread to be had.
pub fn read_all(
    source: &OpenFile,
    range: Range<u64>,
    hashing: Hashing<'_>,
    progress: &Progress,
    mut see: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let (mut whole, mut chunks) = hashing.split();
    if range.end - range.start < WORTH_THREADS {
        return pieces(source, range, progress, |piece| {
            if let Some(whole) = &mut whole {
                whole.update(piece.bytes());
                progress.verified(piece.bytes().len() as u64);
            }
            if let Some((bytes, digests)) = &mut chunks {
                digests.extend(digests_of(piece, *bytes).map(|(_, digest)| digest));
            }
            see(piece.at, piece.bytes())
        });
    }
    thread::scope(|scope| {
        let (to_see, seen) = sync_channel::<Arc<Piece>>(AHEAD);
        let mut queues = vec![to_see];
        if let Some(whole) = whole {
            let (queue, pieces) = sync_channel::<Arc<Piece>>(AHEAD);
            queues.push(queue);
            spawn(scope, "sha256", move || {
                for piece in pieces {
                    whole.update(piece.bytes());
                    progress.verified(piece.bytes().len() as u64);
                }
            })?;
        }
        let hashed = match chunks {
            None => None,
            Some((bytes, digests)) => {
                let (queue, pieces) = sync_channel::<Arc<Piece>>(AHEAD);
                queues.push(queue);
                Some((hash_chunks(scope, pieces, bytes)?, digests))
            }
        };
        let reader = spawn(scope, "read", move || {
            pieces(source, range, progress, |piece| {
                // A queue whose end is gone means that the caller has seen enough, or a panic that
                // the scope passes on.
                queues
                    .iter()
                    .try_for_each(|queue| queue.send(Arc::clone(piece)))
                    .map_err(|_| LoadError::internal("nobody is there to take a piece"))
            })
        })?;
        let seen: Result<()> = seen.into_iter().try_for_each(|piece| see(piece.at, piece.bytes()));
        let read = join(reader);
        // What stopped the caller stopped the reader too, and is the reason to tell.
        seen.and(read)?;
        if let Some((workers, digests)) = hashed {
            let mut all: Vec<_> = workers.into_iter().flat_map(join).collect();
            all.sort_unstable_by_key(|(index, _)| *index);
            digests.extend(all.into_iter().map(|(_, digest)| digest));
        }
        Ok(())
    })
}

/// A piece of a file, with its place in the range that is read.
struct Piece {
    at: u64,
    memory: Vec<u8>,
    place: Range<usize>,
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        &self.memory[self.place.clone()]
    }
}

/// Reads a range in pieces. One that `take` keeps a share of stays as it is; otherwise its memory
/// is used again.
fn pieces(
    source: &OpenFile,
    range: Range<u64>,
    progress: &Progress,
    mut take: impl FnMut(&Arc<Piece>) -> Result<()>,
) -> Result<()> {
    // As many as can be shared at once, and the one that is being read.
    let mut pool: VecDeque<Arc<Piece>> = VecDeque::new();
    let mut at = range.start;
    while at < range.end {
        let wanted = (range.end - at).min(PIECE) as usize;
        let idle = pool.front().is_some_and(|piece| Arc::strong_count(piece) == 1);
        let mut piece = match idle.then(|| pool.pop_front()).flatten() {
            Some(piece) => piece,
            None => {
                let memory = host_bytes(wanted as u64 + MARGIN as u64)?;
                Arc::new(Piece { at: 0, memory, place: 0..0 })
            }
        };
        let Some(free) = Arc::get_mut(&mut piece) else {
            return Err(LoadError::internal("a piece is in use"));
        };
        free.place = source.piece(at, wanted, &mut free.memory)?;
        free.at = at - range.start;
        progress.read(wanted as u64);
        take(&piece)?;
        pool.push_back(piece);
        at += wanted as u64;
    }
    Ok(())
}

/// Digests of chunks, each with the chunk's number.
type Numbered = Vec<(u64, [u8; 32])>;

/// Starts threads that hash the chunks of pieces, in whatever order they get to them.
fn hash_chunks<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    pieces: Receiver<Arc<Piece>>,
    chunk_bytes: u64,
) -> Result<Vec<ScopedJoinHandle<'scope, Numbered>>> {
    let pieces = Arc::new(Mutex::new(pieces));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    (0..workers)
        .map(|_| {
            let pieces = Arc::clone(&pieces);
            spawn(scope, "sha256", move || {
                let mut digests = Vec::new();
                loop {
                    // The lock is held while waiting: whoever has it takes the next piece.
                    let next = pieces.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(piece) = next else { return digests };
                    digests.extend(digests_of(&piece, chunk_bytes));
                }
            })
        })
        .collect()
}

/// The digests of a piece's chunks, each with its number.
fn digests_of(piece: &Piece, chunk_bytes: u64) -> impl Iterator<Item = (u64, [u8; 32])> {
    let first = piece.at / chunk_bytes;
    (first..)
        .zip(piece.bytes().chunks(chunk_bytes as usize).map(|chunk| Sha256::digest(chunk).into()))
}

fn spawn<'scope, 'env, T: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    thread::Builder::new()
        .name(name.into())
        .spawn_scoped(scope, work)
        .map_err(|error| no_thread(&error))
}

/// What a thread came to; a panic in it is passed on.
pub fn join<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What it means that a thread cannot be started.
pub fn no_thread(error: &std::io::Error) -> LoadError {
    LoadError::new(Class::Resource, Phase::Alloc, NO_THREAD, "no thread to load with")
        .expected("a thread", error)
}

#[cfg(test)]
mod tests;
