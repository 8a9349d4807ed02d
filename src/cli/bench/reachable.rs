//! The limit of a load from the page cache: reading and copying at once, and nothing else.
//!
//! The threads take pieces of the file in order, read each into a pinned slot, and copy it to a device. Several
//! devices have the same number of threads each, and take turns at the pieces. The number of threads, the size of a
//! piece and the number of slots are searched, because which are best depends on the machine's caches and on the
//! speed of its memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::figures::{Reached, gbps};
use super::together::{TRIES, side_by_side};
use crate::gpu::{Context, DeviceBuffer, GpuError, Uploader};

/// Bytes that a thread reads and copies at once.
const PIECES: [usize; 4] = [512 << 10, 1 << 20, 2 << 20, 4 << 20];

/// Pinned slots of a thread: it fills one while the others are copied.
const SLOTS: [usize; 2] = [2, 3];

/// Most bytes of the file that are read for one rate of the search.
const MOST: u64 = 4 << 30;

/// Most memory of a device that pieces go to. Pieces behind it go to the same places again.
const ROOM: u64 = 1 << 30;

/// The memory of a device that pieces go to, and the number of the next piece.
struct Target {
    memory: DeviceBuffer,
    next: AtomicU64,
}

/// Threads that read a file and copy it to devices, each with pinned slots of its own.
pub struct Together {
    file: File,
    /// Size of the file.
    bytes: u64,
    targets: Vec<Target>,
    rings: Vec<Mutex<Uploader>>,
    piece: u64,
}

impl Together {
    /// So many threads and slots, and pieces of such a size.
    ///
    /// # Errors
    /// Where the file cannot be opened, or a device has no room.
    pub fn new(contexts: &[Context], path: &Path, how: &Reached) -> io::Result<Together> {
        let file = File::open(path)?;
        let (bytes, piece) = (file.metadata()?.len(), how.piece_bytes as u64);
        let share = bytes.div_ceil(contexts.len().max(1) as u64).min(ROOM);
        let target = |context| {
            let memory = Context::allocate(context, share.next_multiple_of(piece) as usize)?;
            Ok(Target { memory, next: AtomicU64::new(0) })
        };
        let targets = contexts.iter().map(target).collect::<Result<_, GpuError>>();
        let ring = |thread: usize| {
            let context = &contexts[thread % contexts.len()];
            Uploader::with_slots(context, how.slots, how.piece_bytes).map(Mutex::new)
        };
        let rings = (0..how.threads).map(ring).collect::<Result<_, GpuError>>();
        Ok(Together {
            file,
            bytes,
            targets: targets.map_err(other)?,
            rings: rings.map_err(other)?,
            piece,
        })
    }

    /// Seconds until the whole file has arrived.
    ///
    /// # Errors
    /// Where the file cannot be read, or a device fails.
    pub fn all(&self) -> io::Result<f64> {
        self.once(self.bytes)
    }

    /// Seconds until the first bytes of the file have arrived.
    fn once(&self, bytes: u64) -> io::Result<f64> {
        self.targets.iter().for_each(|target| target.next.store(0, Ordering::Relaxed));
        let (devices, piece) = (self.targets.len(), self.piece);
        side_by_side(self.rings.len(), |thread| {
            let (device, target) = (thread % devices, &self.targets[thread % devices]);
            let mut ring =
                self.rings[thread].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            loop {
                let turn = target.next.fetch_add(1, Ordering::Relaxed);
                let at = (turn * devices as u64 + device as u64) * piece;
                if at >= bytes {
                    return ring.finish().map(drop).map_err(other);
                }
                let length = (bytes - at).min(piece) as usize;
                let mut slot = ring.slot().map_err(other)?;
                self.file.read_exact_at(&mut slot.as_mut_slice()[..length], at)?;
                let to = (turn * piece) as usize % target.memory.bytes();
                ring.submit(slot, 0..length, &target.memory, to).map_err(other)?;
            }
        })
    }
}

/// The rate of every combination, to all these devices together.
///
/// # Errors
/// Where the file cannot be read, or a device fails.
pub fn measure(contexts: &[Context], path: &Path) -> io::Result<Vec<Reached>> {
    let mut all = Vec::new();
    for threads in threads(contexts.len()) {
        for piece_bytes in PIECES {
            for slots in SLOTS {
                let mut how = Reached { threads, piece_bytes, slots, gbps: 0.0 };
                let together = Together::new(contexts, path, &how)?;
                let bytes = together.bytes.min(MOST);
                let mut best = f64::INFINITY;
                for _ in 0..TRIES {
                    best = best.min(together.once(bytes)?);
                }
                how.gbps = gbps(bytes, best);
                all.push(how);
            }
        }
    }
    Ok(all)
}

/// Numbers of threads of all devices together, from a quarter of the processors to all.
fn threads(devices: usize) -> Vec<usize> {
    let all = thread::available_parallelism().map_or(1, usize::from);
    let eighths = [2, 3, 4, 6, 8];
    let mut threads = eighths.map(|eighth| (all * eighth / 8).next_multiple_of(devices)).to_vec();
    threads.retain(|threads| *threads > 0);
    threads.dedup();
    if threads.is_empty() { vec![devices] } else { threads }
}

fn other(error: GpuError) -> io::Error {
    io::Error::other(error.to_string())
}
