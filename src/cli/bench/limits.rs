//! The limits of the machine, measured in the same run as the loads that are compared with them.

use std::fs::File;
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::figures::{Limits, OnDisk, Reachable, Width, gbps};
use super::place::Place;
use super::reachable;
use super::together::{TRIES, side_by_side};
use crate::contract::Device;
use crate::gpu;
use crate::loader::seal::DEFAULT_CHUNK;

/// Bytes that a reader takes at once, into a buffer that stays in its processor's cache.
const PIECE: usize = 1 << 20;

/// Bytes hashed from memory by one stream: many times what a cache holds.
const MEMORY: u64 = 256 << 20;

/// Bytes hashed on the device: enough chunks of the default size to keep the whole device busy.
const MEMORY_ON_DEVICE: usize = 2 << 30;

/// Bytes hashed from the cache, again and again.
const IN_CACHE: usize = 256 << 10;

/// 1, 2, 4 and so on, below the number of processors, and then that number itself.
pub fn widths() -> Vec<usize> {
    let most = thread::available_parallelism().map_or(1, usize::from);
    let mut all: Vec<usize> =
        (0..).map(|power| 1 << power).take_while(|width| *width < most).collect();
    all.push(most);
    all
}

/// Measures everything but the direct reads. Files are in the page cache afterwards.
///
/// # Errors
/// Where a file cannot be read, or the device fails.
pub fn measure(
    device: Device,
    places: &[Place],
    bytes: u64,
    tell: &dyn Fn(&str),
) -> Result<Limits, String> {
    let mut limits = Limits::default();
    if let Device::Cuda(ordinal) = device {
        tell("copy limit");
        let context = gpu::Context::open(ordinal).map_err(|error| error.to_string())?;
        let copies = gpu::copy_limit(&context).map_err(|error| error.to_string())?;
        limits.copy_pinned = Some(copies.h2d_pinned_gbps);
        limits.copy_pageable = Some(copies.h2d_pageable_gbps);
        tell("SHA-256 on the device");
        let hashed = device_sha256(&context).map_err(|error| error.to_string())?;
        limits.device_sha256 = Some(hashed);
    }
    for place in places {
        tell(&format!("page cache, {}", place.label));
        warm(&place.file).map_err(|error| place.without_folders(&error.to_string()))?;
        let rates: io::Result<Vec<Width>> = widths()
            .into_iter()
            .map(|threads| Ok(Width { threads, gbps: page_cache(&place.file, threads)? }))
            .collect();
        limits.page_cache.push(OnDisk {
            file_system: place.label.clone(),
            rates: rates.map_err(|error| place.without_folders(&error.to_string()))?,
            skipped: None,
        });
        if let Device::Cuda(ordinal) = device {
            tell(&format!("reading and copying at once, {}", place.label));
            let context = gpu::Context::open(ordinal).map_err(|error| error.to_string())?;
            let tried = reachable::measure(&[context], &place.file)
                .map_err(|error| place.without_folders(&error.to_string()))?;
            limits.reachable.push(Reachable { file_system: place.label.clone(), tried });
        }
    }
    tell("SHA-256");
    // A small model's limits need not take longer than its loads.
    let memory = bytes.clamp(PIECE as u64, MEMORY);
    let widest = widths().last().copied().unwrap_or(1);
    for streams in if widest > 1 { vec![1, widest] } else { vec![1] } {
        limits.sha256.push(Width { threads: streams, gbps: sha256(memory, streams) });
    }
    limits.sha256_in_cache = sha256_in_cache(memory);
    Ok(limits)
}

/// Reads a file once, so that it lies in the page cache.
///
/// # Errors
/// Where it cannot be read.
pub fn warm(path: &Path) -> io::Result<()> {
    read_once(path, widths().last().copied().unwrap_or(1)).map(drop)
}

/// The best rate, in GB/s, at which this number of threads reads a file.
pub fn page_cache(path: &Path, threads: usize) -> io::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..TRIES {
        best = best.min(read_once(path, threads)?);
    }
    Ok(gbps(std::fs::metadata(path)?.len(), best))
}

/// Seconds that `threads` threads take to read a file. Each thread reads every `threads`-th piece.
fn read_once(path: &Path, threads: usize) -> io::Result<f64> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    side_by_side(threads, |thread| {
        let mut piece = vec![0; PIECE];
        for at in (thread as u64 * PIECE as u64..bytes).step_by(threads * PIECE) {
            let part = &mut piece[..(bytes - at).min(PIECE as u64) as usize];
            file.read_exact_at(part, at)?;
            black_box(&*part);
        }
        Ok(())
    })
}

/// GB/s of this number of SHA-256 streams, each over its own share of memory.
fn sha256(bytes: u64, streams: usize) -> f64 {
    // Written, not only reserved: pages that were never touched all map to the same zeros.
    let each = (bytes as usize / if streams == 1 { 1 } else { 4 }).max(PIECE);
    let memory: Vec<Vec<u8>> = (0..streams).map(|_| vec![0x5a; each]).collect();
    best_rate(each as u64 * streams as u64, || {
        side_by_side(streams, |stream| {
            black_box(Sha256::digest(&memory[stream]));
            Ok(())
        })
    })
}

/// GB/s of one SHA-256 stream over memory that is read again and again.
fn sha256_in_cache(bytes: u64) -> f64 {
    let memory = vec![0x5a; IN_CACHE];
    let times = (bytes / IN_CACHE as u64).max(1);
    best_rate(times * IN_CACHE as u64, || {
        let start = Instant::now();
        let mut hasher = Sha256::new();
        for _ in 0..times {
            hasher.update(black_box(&memory));
        }
        black_box(hasher.finalize());
        Ok(start.elapsed().as_secs_f64())
    })
}

fn best_rate(bytes: u64, mut once: impl FnMut() -> io::Result<f64>) -> f64 {
    let best = (0..TRIES).filter_map(|_| once().ok()).fold(f64::INFINITY, f64::min);
    gbps(bytes, best)
}

/// GB/s of SHA-256 over chunks of the usual size in device memory, by the host's clock.
///
/// # Errors
/// Those of the device.
fn device_sha256(context: &gpu::Context) -> Result<f64, gpu::GpuError> {
    let chunk = DEFAULT_CHUNK as usize;
    let chunks = MEMORY_ON_DEVICE / chunk;
    let kernels = gpu::Kernels::new(context)?;
    let buffer = context.allocate(MEMORY_ON_DEVICE)?;
    buffer.fill(0x5a)?;
    let data = buffer.range(0, MEMORY_ON_DEVICE)?;
    let mut digests = gpu::ChunkDigests::new(&kernels, chunks)?;
    let mut best = f64::INFINITY;
    for _ in 0..TRIES {
        let start = Instant::now();
        let launch = digests.hash(data, chunk, 0..chunks, &[])?;
        black_box(digests.fetch(launch)?);
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(gbps(MEMORY_ON_DEVICE as u64, best))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_double_up_to_all() {
        let all = widths();
        assert_eq!(all.first(), Some(&1));
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{all:?}");
    }

    #[test]
    fn every_piece_is_somebodys() {
        use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, vec![1; 5 * PIECE + 3]).unwrap();
        for threads in [1, 3, 8] {
            assert!(read_once(&path, threads).unwrap() > 0.0);
        }
        let seen = AtomicU64::new(0);
        let failed = side_by_side(4, |thread| {
            seen.fetch_add(1, Relaxed);
            if thread == 2 { Err(io::Error::other("x")) } else { Ok(()) }
        });
        assert!(failed.is_err() && seen.into_inner() == 4);
    }
}
