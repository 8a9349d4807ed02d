//! A lease on a file: the kernel holds back the next open of the file until the lease ends.
//!
//! With it, a change that must come between a loader's open and its first read always does, however
//! busy the machine is. A lease needs a local file system, and a file that nobody else has open.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::libc;

/// The operation that chooses the signal, from Linux's `fcntl.h`; the crate `libc` lacks it.
const F_SETSIG: c_int = 10;

/// A lease that ends when it is dropped.
pub struct Lease(File);

impl Lease {
    /// Takes a lease on the file, against every open.
    ///
    /// # Errors
    /// If somebody has the file open, or its file system has no leases.
    pub fn take(path: &Path) -> io::Result<Lease> {
        let file = File::open(path)?;
        // The kernel tells of a waiting open by a signal. The usual one would end this process; this
        // one is ignored by default.
        control(&file, F_SETSIG, libc::SIGURG)?;
        control(&file, libc::F_SETLEASE, libc::F_WRLCK)?;
        Ok(Lease(file))
    }

    /// Whether an open waits for the end of the lease. The kernel ends it by itself after 45 seconds.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub fn is_awaited(&self) -> io::Result<bool> {
        Ok(control(&self.0, libc::F_GETLEASE, 0)? != libc::F_WRLCK)
    }
}

/// One operation on the file's lease.
fn control(file: &File, operation: c_int, argument: c_int) -> io::Result<c_int> {
    // SAFETY: the file is open while it is borrowed, and all three operations take or return a plain
    // number and no pointer.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), operation, argument) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_waits_until_the_lease_ends() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&path, "old").expect("a file");
        std::fs::write(&other, "new").expect("a file");
        let lease = Lease::take(&path).expect("a lease");
        assert!(!lease.is_awaited().expect("an answer"));
        let reader = std::thread::spawn({
            let path = path.clone();
            move || std::fs::read(path)
        });
        while !lease.is_awaited().expect("an answer") {
            std::thread::yield_now();
        }
        std::fs::rename(&other, &path).expect("replaced");
        drop(lease);
        // The open had found the old file, and only waited.
        assert_eq!(reader.join().expect("no panic").expect("read"), b"old");
        assert_eq!(std::fs::read(&path).expect("read"), b"new");
    }

    #[test]
    fn a_file_that_is_open_has_no_lease() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a");
        std::fs::write(&path, "old").expect("a file");
        let held = File::open(&path).expect("opens");
        assert!(Lease::take(&path).is_err());
        drop(held);
        assert!(Lease::take(&path).is_ok());
    }
}
