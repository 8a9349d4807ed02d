//! The limit of a load from the page cache: reading and copying at once, and nothing else.
//!
//! The threads take pieces of the file in order, read each into a pinned slot, and copy it to the device. The
//! number of threads, the size of a piece and the number of slots are searched, because which are best depends
//! on the machine's caches and on the speed of its memory.

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

/// The rate of every combination.
///
/// # Errors
/// Where the file cannot be read, or the device fails.
pub fn measure(context: &Context, path: &Path) -> io::Result<Vec<Reached>> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let device = context.allocate(bytes as usize).map_err(other)?;
    let mut all = Vec::new();
    for threads in threads() {
        for piece_bytes in PIECES {
            for slots in SLOTS {
                let ring = |_| Uploader::with_slots(context, slots, piece_bytes).map(Mutex::new);
                let rings: Vec<Mutex<Uploader>> =
                    (0..threads).map(ring).collect::<Result<_, _>>().map_err(other)?;
                let mut best = f64::INFINITY;
                for _ in 0..TRIES {
                    best = best.min(once((&file, bytes), &device, &rings, piece_bytes)?);
                }
                all.push(Reached { threads, piece_bytes, slots, gbps: gbps(bytes, best) });
            }
        }
    }
    Ok(all)
}

/// Numbers of threads, from a quarter of the processors to all.
fn threads() -> Vec<usize> {
    let all = thread::available_parallelism().map_or(1, usize::from);
    let eighths = [2, 3, 4, 6, 8];
    let mut threads = eighths.map(|eighth| (all * eighth / 8).max(1)).to_vec();
    threads.dedup();
    threads
}

/// Seconds until the whole file has arrived.
fn once(
    (file, bytes): (&File, u64),
    device: &DeviceBuffer,
    rings: &[Mutex<Uploader>],
    piece: usize,
) -> io::Result<f64> {
    let next = AtomicU64::new(0);
    side_by_side(rings.len(), |thread| {
        let mut ring = rings[thread].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        loop {
            let at = next.fetch_add(piece as u64, Ordering::Relaxed);
            if at >= bytes {
                return ring.finish().map(drop).map_err(other);
            }
            let length = (bytes - at).min(piece as u64) as usize;
            let mut slot = ring.slot().map_err(other)?;
            file.read_exact_at(&mut slot.as_mut_slice()[..length], at)?;
            ring.submit(slot, 0..length, device, at as usize).map_err(other)?;
        }
    })
}

fn other(error: GpuError) -> io::Error {
    io::Error::other(error.to_string())
}
