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

/// Whether all of a range is in the page cache; `None` as above.
pub fn is_cached(file: &File, start: u64, bytes: u64) -> Option<bool> {
    let end = start.saturating_add(bytes).next_multiple_of(PAGE);
    let start = start / PAGE * PAGE;
    cached_bytes(file, start, end - start).map(|cached| cached >= end - start)
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
}
