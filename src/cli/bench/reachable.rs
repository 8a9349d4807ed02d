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

/// Most bytes of the file that are read for one rate.
const MOST: u64 = 4 << 30;

/// A device, the memory that its pieces go to, and the number of the next piece.
struct Target<'c> {
    context: &'c Context,
    memory: DeviceBuffer,
    next: AtomicU64,
}

/// The rate of every combination, to all these devices together.
///
/// # Errors
/// Where the file cannot be read, or a device fails.
pub fn measure(contexts: &[Context], path: &Path) -> io::Result<Vec<Reached>> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len().min(MOST);
    let largest = PIECES.into_iter().max().unwrap_or(0) as u64;
    let share = bytes.div_ceil(contexts.len().max(1) as u64).next_multiple_of(largest);
    let target = |context| {
        let memory = Context::allocate(context, share as usize)?;
        Ok(Target { context, memory, next: AtomicU64::new(0) })
    };
    let targets: Vec<Target<'_>> =
        contexts.iter().map(target).collect::<Result<_, GpuError>>().map_err(other)?;
    let mut all = Vec::new();
    for threads in threads(targets.len()) {
        for piece_bytes in PIECES {
            for slots in SLOTS {
                let ring = |thread: usize| {
                    let context = targets[thread % targets.len()].context;
                    Uploader::with_slots(context, slots, piece_bytes).map(Mutex::new)
                };
                let rings: Vec<Mutex<Uploader>> =
                    (0..threads).map(ring).collect::<Result<_, _>>().map_err(other)?;
                let mut best = f64::INFINITY;
                for _ in 0..TRIES {
                    best = best.min(once((&file, bytes), &targets, &rings, piece_bytes as u64)?);
                }
                all.push(Reached { threads, piece_bytes, slots, gbps: gbps(bytes, best) });
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

/// Seconds until everything has arrived.
fn once(
    (file, bytes): (&File, u64),
    targets: &[Target<'_>],
    rings: &[Mutex<Uploader>],
    piece: u64,
) -> io::Result<f64> {
    targets.iter().for_each(|target| target.next.store(0, Ordering::Relaxed));
    let devices = targets.len();
    side_by_side(rings.len(), |thread| {
        let (device, target) = (thread % devices, &targets[thread % devices]);
        let mut ring = rings[thread].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        loop {
            let turn = target.next.fetch_add(1, Ordering::Relaxed);
            let at = (turn * devices as u64 + device as u64) * piece;
            if at >= bytes {
                return ring.finish().map(drop).map_err(other);
            }
            let length = (bytes - at).min(piece) as usize;
            let mut slot = ring.slot().map_err(other)?;
            file.read_exact_at(&mut slot.as_mut_slice()[..length], at)?;
            let to = (turn * piece) as usize;
            ring.submit(slot, 0..length, &target.memory, to).map_err(other)?;
        }
    })
}

fn other(error: GpuError) -> io::Error {
    io::Error::other(error.to_string())
}
