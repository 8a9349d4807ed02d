//! Asks the kernel how much of a file is in the page cache (`cachestat`, Linux 6.5).
//!
//! Two alternatives were rejected. A read without waiting (`RWF_NOWAIT`) also starts to read ahead:
//! on a machine with an H200, a cold load then read everything twice. `mincore` on a map would work
//! on older kernels; on those the query is not supported, and reads are plain.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::libc;

/// Page size of the kernel's counts, in bytes.
const PAGE: u64 = 4096;

/// Number of the system call; the same on every architecture.
const CACHESTAT: libc::c_long = 451;

/// `struct cachestat_range`.
#[repr(C)]
struct Range {
    start: u64,
    length: u64,
}

/// `struct cachestat`; all fields count pages.
#[repr(C)]
#[derive(Default)]
struct Found {
    cached: u64,
    dirty: u64,
    under_writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Bytes of a range that are in the page cache, in whole pages; `None` if the kernel does not
/// support the query.
pub fn cached_bytes(file: &File, start: u64, bytes: u64) -> Option<u64> {
    if bytes == 0 {
        return Some(0);
    }
    let range = Range { start, length: bytes };
    let mut found = Found::default();
    // SAFETY: the descriptor is open; both structures are laid out as the kernel declares them and
    // outlive the call; the last argument is the flags, of which there are none.
    let status = unsafe {
        libc::syscall(CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut found, 0u32)
    };
    (status == 0).then_some(found.cached.saturating_mul(PAGE))
}

/// Whether a range is in the page cache; `None` as above.
///
/// Of a range longer than 1 MiB, samples are taken, because the kernel counts page by page: 15 ms
/// for 3 GB, measured on a machine with an H200, where everything else of the load takes 60 ms. So
/// the answer may be wrong for a file that is cached in part. Use it for speed only.
pub fn is_cached(file: &File, start: u64, bytes: u64) -> Option<bool> {
    let end = start.saturating_add(bytes).next_multiple_of(PAGE);
    let start = start / PAGE * PAGE;
    let all = |Range { start, length }| Some(cached_bytes(file, start, length)? >= length);
    for sample in samples(start, end - start) {
        match all(sample) {
            Some(true) => {}
            other => return other,
        }
    }
    Some(true)
}

/// The parts of a range that are looked at: all of a short one, otherwise pages at equal distances,
/// the first and the last ones among them.
fn samples(start: u64, bytes: u64) -> impl Iterator<Item = Range> {
    const SHORT: u64 = 1 << 20;
    const SAMPLE: u64 = 8 * PAGE;
    const MOST: u64 = 64;
    let count = (bytes / SHORT).clamp(1, MOST);
    let length = if count == 1 { bytes } else { SAMPLE };
    (0..count).map(move |at| {
        let offset = (bytes - length) * at / (count - 1).max(1) / PAGE * PAGE;
        Range { start: start + offset, length }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_was_just_written_is_cached_and_what_is_not_there_is_not() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 100_000]).unwrap();
        let file = file.as_file();
        let Some(cached) = cached_bytes(file, 0, 100_000) else {
            // A kernel without the call answers `None` for every range.
            assert_eq!(is_cached(file, 0, 1), None);
            return;
        };
        assert_eq!(cached, 102_400);
        assert_eq!(is_cached(file, 0, 100_000), Some(true));
        assert_eq!(is_cached(file, 5000, 3), Some(true));
        assert_eq!(is_cached(file, 0, 200_000), Some(false));
        assert_eq!(cached_bytes(file, 7, 0), Some(0));
    }

    #[test]
    fn a_long_range_is_sampled_from_its_first_to_its_last_page() {
        for (bytes, count) in [(PAGE, 1), (1 << 20, 1), (4 << 20, 4), (3 << 30, 64)] {
            let samples: Vec<Range> = samples(8 * PAGE, bytes).collect();
            assert_eq!(samples.len(), count);
            let last = &samples[count - 1];
            assert_eq!((samples[0].start, last.start + last.length), (8 * PAGE, 8 * PAGE + bytes));
            assert!(samples.iter().all(|sample| sample.start % PAGE == 0));
            assert!(samples.windows(2).all(|two| two[0].start + two[0].length <= two[1].start));
        }
    }

    #[test]
    fn a_hole_at_the_end_of_a_long_file_is_seen() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![7; 3 << 20]).unwrap();
        let file = file.as_file();
        assert_ne!(is_cached(file, 0, 3 << 20), Some(false));
        file.set_len(6 << 20).unwrap();
        assert_ne!(is_cached(file, 0, 6 << 20), Some(true));
    }
}
