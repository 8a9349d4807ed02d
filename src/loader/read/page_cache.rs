//! How much of a file lies in the page cache, asked of the kernel (`cachestat`, Linux 6.5).
//!
//! Reading without waiting (`RWF_NOWAIT`) would ask too, but starts reading ahead what is not there:
//! on the H200 machine a cold load then read everything twice. Mapping the file and asking `mincore`
//! would do on older kernels; there the question stays unanswered, and reads are plain.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::libc;

/// The kernel counts in pages of this size, in bytes.
const PAGE: u64 = 4096;

/// The call's number, the same on every architecture.
const CACHESTAT: libc::c_long = 451;

/// `struct cachestat_range`.
#[repr(C)]
struct Range {
    start: u64,
    length: u64,
}

/// `struct cachestat`, all in pages.
#[repr(C)]
#[derive(Default)]
struct Found {
    cached: u64,
    dirty: u64,
    under_writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Bytes of a range that lie in the page cache, in whole pages; `None` where the kernel cannot be
/// asked.
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

/// Whether all of a range lies in the page cache; `None` as above.
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
            // A kernel that cannot be asked says so of every range.
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
