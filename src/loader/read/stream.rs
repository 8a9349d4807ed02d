//! Reads a range of a file once and in order, and hashes it on other threads.
//!
//! One thread reads ahead. One thread hashes the whole range, or several hash chunks. The calling
//! thread processes the bytes. They share each piece and then return it, so the memory is a fixed
//! number of pieces.

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

/// Bytes read at once. It is large enough that system calls cost little, and small enough to stay
/// in the processor's cache between the threads. A chunk of a seal is never split over two pieces.
pub const PIECE: u64 = 1 << 20;
const _: () = assert!(PIECE.is_multiple_of(MAX_CHUNK));

/// Pieces that may wait for the hash, the slowest step. More would only use memory.
const AHEAD: usize = 8;

/// Data shorter than this, in bytes, is read and hashed on the calling thread: threads would be
/// slower.
const WORTH_THREADS: u64 = 2 << 20;

/// What to hash.
pub enum Hashing<'a> {
    /// Nothing.
    Nothing,
    /// The whole range, added to a hasher that may already hold earlier bytes.
    Whole(&'a mut Sha256),
    /// Each chunk of this size in bytes; the last one may be shorter. The digests are in order.
    Chunks(u64, &'a mut Vec<[u8; 32]>),
    /// Both.
    Both {
        /// Hasher of the whole range.
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

/// Reads `range` of a file, hashes it, and passes every piece with its offset in the range to
/// `see`.
///
/// # Errors
/// Those of reading and of `see`; `out_of_host_memory` if no thread can be started.
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
                // A closed queue means that the caller has stopped, or that a thread panicked; the
                // scope passes the panic on.
                queues
                    .iter()
                    .try_for_each(|queue| queue.send(Arc::clone(piece)))
                    .map_err(|_| LoadError::internal("the receiver of the pieces is gone"))
            })
        })?;
        let seen: Result<()> = seen.into_iter().try_for_each(|piece| see(piece.at, piece.bytes()));
        let read = join(reader);
        // An error of the caller also stops the reader, so report it first.
        seen.and(read)?;
        if let Some((workers, digests)) = hashed {
            let mut all: Vec<_> = workers.into_iter().flat_map(join).collect();
            all.sort_unstable_by_key(|(index, _)| *index);
            digests.extend(all.into_iter().map(|(_, digest)| digest));
        }
        Ok(())
    })
}

/// A piece of a file, with its offset in the range.
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

/// Reads a range in pieces. The memory of a piece is reused when no other thread shares it.
fn pieces(
    source: &OpenFile,
    range: Range<u64>,
    progress: &Progress,
    mut take: impl FnMut(&Arc<Piece>) -> Result<()>,
) -> Result<()> {
    // All pieces that are shared at once, and the one that is being read.
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

/// Digests of chunks, each with the chunk's index.
type Numbered = Vec<(u64, [u8; 32])>;

/// Starts threads that hash the chunks of pieces, in any order.
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
                    // Hold the lock while waiting: the thread that has it takes the next piece.
                    let next = pieces.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(piece) = next else { return digests };
                    digests.extend(digests_of(&piece, chunk_bytes));
                }
            })
        })
        .collect()
}

/// The digests of a piece's chunks, each with its index.
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

/// Returns a thread's result. A panic of the thread continues here.
pub fn join<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The error for a thread that cannot be started.
pub fn no_thread(error: &std::io::Error) -> LoadError {
    LoadError::new(Class::Resource, Phase::Alloc, NO_THREAD, "no thread to load with")
        .expected("a thread", error)
}

#[cfg(test)]
mod tests;
