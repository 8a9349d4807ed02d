//! Files that are not in the page cache: drops a file from the cache, checks that it is gone, and
//! reads it with direct reads at the full rate of the disk.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};

use super::figures::{OnDisk, Width, gbps};
use super::place::Place;
use super::together::side_by_side;
use crate::loader::read::page_cache::cached_bytes;

/// Alignment of direct reads in file and memory: a multiple of every block size in use.
const ALIGNMENT: usize = 4096;

/// Bytes of one direct read: so many that the cost of a request does not matter.
const PIECE: usize = 4 << 20;

/// Bytes of the file that are read to compare numbers of threads, so that a slow disk does not take
/// minutes.
const SAMPLE: u64 = 512 << 20;

/// Numbers of threads to compare. The requests in flight keep a disk busy, whatever the number of
/// processors.
const WIDTHS: [usize; 4] = [1, 4, 16, 32];

/// Largest share of a file that may be left in the cache for a cold load.
const RESIDUAL: f64 = 0.02;

/// Drops a file from the page cache. Returns the share of it that is still there, if the kernel
/// reports that.
///
/// # Errors
/// Why the file is not cold.
pub fn drop_from_cache(place: &Place) -> Result<Option<f64>, String> {
    if place.in_memory() {
        return Err(format!("{} holds its files in memory: nothing to drop", place.kind));
    }
    let say = |error: io::Error| place.without_folders(&error.to_string());
    let file = File::open(&place.file).map_err(say)?;
    // Pages that are not written to the disk yet would stay in the cache.
    file.sync_all().map_err(say)?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
        .map_err(|error| format!("posix_fadvise: {error}"))?;
    let left = residual(&place.file);
    match left {
        Some(share) if share > RESIDUAL => Err(format!(
            "{} keeps {:.0} % of the file in memory when asked to drop it",
            place.kind,
            share * 100.0
        )),
        _ => Ok(left),
    }
}

/// Share of a file in the page cache; `None` if the kernel does not report it.
pub fn residual(path: &Path) -> Option<f64> {
    let file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    let resident = cached_bytes(&file, 0, size)?;
    // The kernel counts whole pages, so the share of a small file may be more than 1.
    (size > 0).then(|| (resident as f64 / size as f64).min(1.0))
}

/// Measures direct reads with several numbers of threads.
pub fn direct_limits(place: &Place) -> OnDisk {
    let mut found = OnDisk { file_system: place.label.clone(), rates: Vec::new(), skipped: None };
    for threads in WIDTHS {
        match drop_from_cache(place).and_then(|_| direct_read(place, threads, SAMPLE)) {
            Ok((bytes, seconds)) => {
                found.rates.push(Width { threads, gbps: gbps(bytes, seconds) });
            }
            Err(why) => {
                found.skipped = Some(why);
                break;
            }
        }
    }
    found
}

/// The number of threads with which direct reads were fastest.
pub fn best_width(found: &OnDisk) -> Option<usize> {
    let best = found.rates.iter().max_by(|a, b| a.gbps.total_cmp(&b.gbps));
    best.map(|width| width.threads)
}

/// Reads at most `most` bytes with direct reads. Returns the number of bytes and the seconds.
///
/// # Errors
/// Where the file system has no direct reads, or one fails.
pub fn direct_read(place: &Place, threads: usize, most: u64) -> Result<(u64, f64), String> {
    let say = |error: io::Error| {
        place.without_folders(&format!("{} has no direct reads: {error}", place.kind))
    };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_DIRECT.bits())
        .open(&place.file)
        .map_err(say)?;
    let bytes = file.metadata().map_err(say)?.len().min(most);
    let read = |thread: usize| {
        let mut memory = vec![0; PIECE + ALIGNMENT];
        let shift = memory.as_ptr().align_offset(ALIGNMENT);
        let piece = &mut memory[shift..shift + PIECE];
        for at in (thread as u64 * PIECE as u64..bytes).step_by(threads * PIECE) {
            let wanted = (bytes - at).min(PIECE as u64) as usize;
            let mut done = 0;
            while done < wanted {
                // The end of a file need not be aligned, but the requested length must be.
                match file.read_at(&mut piece[done..], at + done as u64)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => done += read,
                }
            }
            black_box(&*piece);
        }
        Ok(())
    };
    Ok((bytes, side_by_side(threads, read).map_err(say)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_file_is_gone_or_it_is_said_why_not() {
        let place = Place::new(&std::env::temp_dir()).unwrap();
        std::fs::write(&place.file, vec![7; (9 << 20) + 5]).unwrap();
        match drop_from_cache(&place) {
            Ok(Some(share)) => assert!(share <= RESIDUAL, "{share}"),
            Ok(None) => assert_eq!(residual(&place.file), None),
            Err(why) => assert!(why.contains(&place.kind), "{why}"),
        }
        match direct_read(&place, 3, u64::MAX) {
            Ok((bytes, seconds)) => assert!(bytes == (9 << 20) + 5 && seconds > 0.0),
            Err(why) => assert!(why.contains("direct"), "{why}"),
        }
    }

    #[test]
    fn memory_is_never_cold() {
        let folder = std::path::Path::new("/dev/shm");
        if !folder.is_dir() {
            return;
        }
        let place = Place::new(folder).unwrap();
        std::fs::write(&place.file, [1]).unwrap();
        if place.in_memory() {
            let why = drop_from_cache(&place).unwrap_err();
            assert!(why.contains("memory"), "{why}");
            assert!(direct_limits(&place).skipped.is_some());
        }
    }
}
