//! A file that is opened once and read once: the first bytes in order, the data in pieces by any
//! thread.
//!
//! The file is read, not mapped. If a mapped file is cut short, the next access raises SIGBUS and
//! ends the process. And a map shows later writes in bytes that were already hashed. A read returns
//! how many bytes there are, and copies them to memory that no other process can change.
//!
//! A piece is read from the page cache if all of it is cached. If not, it is read from the disk
//! with direct reads, past the cache: a model is read once, so caching it would only displace other
//! data. One system call per piece asks the kernel which case applies.
//!
//! Measured on a machine with an H200, with a file of 3 GB. From the cache: 57 GB/s and more with
//! twelve threads, 8 GB/s with one. Direct reads from its disk: 3.1 GB/s with four threads, 2.3 to
//! 2.9 with one, 2.5 to 3.1 with sixteen. So neither io_uring nor a deeper queue would help.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use crate::contract::{Class, Phase};

use super::page_cache::is_cached;
use crate::loader::error::{LoadError, Result, quote};
use crate::loader::remedies::files::{
    DISK_FAULT, FILE_CHANGED, FILE_NOT_FOUND, IS_A_DIRECTORY, LINK_LEADS_NOWHERE,
    LINKS_IN_A_CIRCLE, NO_MEMORY_TO_OPEN, NOT_A_REGULAR_FILE, NOT_OPENED, NOT_PERMITTED,
    PATH_TOO_LONG, READ_FAILED, TOO_MANY_OPEN_FILES,
};

/// Number of first bytes that are kept, to recognise the format.
const HEAD: u64 = 512;

/// Alignment of direct reads in file and memory, in bytes: a multiple of every block size in use.
const PAGE: usize = 4096;

/// Extra memory for a piece, in bytes: its start and both ends of the file's range may move to be
/// aligned.
pub const MARGIN: usize = 3 * PAGE;

/// An open file, its size when it was opened, and how far it has been read.
#[derive(Debug)]
pub struct OpenFile {
    path: PathBuf,
    file: File,
    stamp: Stamp,
    head: Vec<u8>,
    at: u64,
    /// The same file opened for direct reads, at the first use; `None` if that is not possible.
    direct: OnceLock<Option<File>>,
    /// Whether direct reads are not possible or failed, so that all reads use the page cache.
    plain: AtomicBool,
}

/// Properties that show a change of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
    inode: (u64, u64),
}

impl OpenFile {
    /// Opens a regular file, also through symbolic links.
    ///
    /// # Errors
    /// `not_found`, `unreadable`; `not_a_file` for directories, FIFOs, sockets and devices. Does
    /// not block on any of them.
    pub fn open(path: &Path) -> Result<OpenFile> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
            .open(path)
            .map_err(|error| cannot_open(path, &error))?;
        let metadata = file.metadata().map_err(|error| cannot_open(path, &error))?;
        if !metadata.is_file() {
            let kind = metadata.file_type();
            let actual = if kind.is_dir() {
                "a directory"
            } else if kind.is_fifo() {
                "a FIFO"
            } else {
                "a device or a socket"
            };
            return Err(not_a_file(path, actual));
        }
        let stamp = Stamp::of(&metadata);
        let mut source = OpenFile {
            path: path.into(),
            file,
            stamp,
            head: Vec::new(),
            at: 0,
            direct: OnceLock::new(),
            plain: AtomicBool::new(false),
        };
        let mut head = vec![0; source.bytes().min(HEAD) as usize];
        source.fill(&mut head, 0)?;
        source.head = head;
        Ok(source)
    }

    /// The path with which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size when it was opened, in bytes.
    pub fn bytes(&self) -> u64 {
        self.stamp.bytes
    }

    /// Bytes not read yet.
    pub fn left(&self) -> u64 {
        self.stamp.bytes - self.at
    }

    /// The first 512 bytes, or all if there are fewer. These bytes are not read again.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Reads the next bytes, exactly as many as `into` holds.
    ///
    /// # Errors
    /// `file_changed` if the file has become too short, `read_failed`.
    pub fn read(&mut self, into: &mut [u8]) -> Result<()> {
        let kept = self.head.get(self.at as usize..).unwrap_or_default();
        let kept = &kept[..kept.len().min(into.len())];
        let (first, rest) = into.split_at_mut(kept.len());
        first.copy_from_slice(kept);
        self.at += first.len() as u64;
        let at = self.at;
        self.fill(rest, at)?;
        self.at += rest.len() as u64;
        Ok(())
    }

    /// Reads `bytes` bytes at offset `at` into `memory`. Returns their range in `memory`.
    ///
    /// `memory` must be longer by [`MARGIN`]. Its other bytes are undefined afterwards.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn piece(&self, at: u64, bytes: usize, memory: &mut [u8]) -> Result<Range<usize>> {
        let start = memory.as_ptr().align_offset(PAGE);
        let short = || LoadError::internal("memory for a piece is too short");
        if memory.len() < start + bytes {
            return Err(short());
        }
        let place = start..start + bytes;
        // If the kernel does not support the query, use plain reads.
        let cached = || is_cached(&self.file, at, bytes as u64) != Some(false);
        if !self.plain.load(Relaxed) && !cached() {
            let from = at / PAGE as u64 * PAGE as u64;
            let shift = (at - from) as usize;
            let whole = (shift + bytes).next_multiple_of(PAGE);
            let aligned = memory.get_mut(start..start + whole).ok_or_else(short)?;
            if self.direct(from, shift + bytes, aligned)? {
                return Ok(start + shift..start + shift + bytes);
            }
        }
        self.fill(&mut memory[place.clone()], at)?;
        Ok(place)
    }

    /// Whether the file is in the page cache, judged by samples; true if the kernel cannot tell.
    pub fn is_cached(&self) -> bool {
        is_cached(&self.file, 0, self.bytes()) != Some(false)
    }

    /// Reads from the disk into `aligned` until `needed` bytes are read. Returns false if the file
    /// system has no direct reads.
    fn direct(&self, from: u64, needed: usize, aligned: &mut [u8]) -> Result<bool> {
        let Some(file) = self.direct.get_or_init(|| self.reopen_direct()) else {
            self.plain.store(true, Relaxed);
            return Ok(false);
        };
        let mut read = 0;
        while read < needed {
            match file.read_at(&mut aligned[read..], from + read as u64) {
                Ok(0) => return Err(self.ended(from + read as u64)),
                Ok(more) => read += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The file was opened, but the read was refused. This happens after a short read
                // that is not aligned.
                Err(error) if error.kind() == ErrorKind::InvalidInput => {
                    self.plain.store(read == 0, Relaxed);
                    return Ok(false);
                }
                Err(error) => return Err(self.failed(from + read as u64, &error)),
            }
        }
        Ok(true)
    }

    /// Opens the same file again, even if its path now leads to another file.
    fn reopen_direct(&self) -> Option<File> {
        OpenOptions::new()
            .read(true)
            .custom_flags(nix::fcntl::OFlag::O_DIRECT.bits())
            .open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
            .ok()
    }

    /// Checks that the file was not written since it was opened, and that its path still leads to
    /// it.
    ///
    /// # Errors
    /// `file_changed`.
    pub fn unchanged(&self) -> Result<()> {
        let now = self.file.metadata().map(|metadata| Stamp::of(&metadata));
        if now.as_ref().ok() != Some(&self.stamp) {
            return Err(self.changed("size or modification time differ"));
        }
        match std::fs::metadata(&self.path) {
            Ok(metadata) if Stamp::of(&metadata).inode == self.stamp.inode => Ok(()),
            _ => Err(self.changed("the path no longer leads to it")),
        }
    }

    /// Fills `into` from offset `at`.
    fn fill(&self, mut into: &mut [u8], mut at: u64) -> Result<()> {
        while !into.is_empty() {
            match self.file.read_at(into, at) {
                Ok(0) => return Err(self.ended(at)),
                Ok(read) => {
                    into = &mut into[read..];
                    at += read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(at, &error)),
            }
        }
        Ok(())
    }

    fn ended(&self, at: u64) -> LoadError {
        self.changed(&format!("the file now ends at byte {at}"))
    }

    fn failed(&self, at: u64, error: &io::Error) -> LoadError {
        let message = format!("reading failed at byte {at}");
        LoadError::new(Class::Resource, Phase::Copy, READ_FAILED, message)
            .expected("bytes", error)
            .path(&self.path)
    }

    fn changed(&self, how: &str) -> LoadError {
        LoadError::refused(Phase::Copy, FILE_CHANGED, "file changed while it was loaded")
            .expected(format!("{} bytes, unmodified", self.bytes()), how)
            .path(&self.path)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Stamp {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            inode: (metadata.dev(), metadata.ino()),
        }
    }
}

fn cannot_open(path: &Path, error: &io::Error) -> LoadError {
    if error.kind() == ErrorKind::NotFound
        && let Ok(target) = std::fs::read_link(path)
    {
        let target = quote(&target.display().to_string());
        let cause = LINK_LEADS_NOWHERE.about([&target]);
        return LoadError::refused(Phase::Open, cause, "a symbolic link leads nowhere")
            .expected("a link to a readable file", format!("a link to {target}, which is missing"))
            .path(path);
    }
    refused_by_system("cannot open the file", "a readable file", error).path(path)
}

/// Converts the system's error for a file or folder that cannot be opened.
pub fn refused_by_system(message: &str, expected: &str, error: &io::Error) -> LoadError {
    use nix::libc;
    let (class, cause) = match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => (Class::Refused, FILE_NOT_FOUND),
        Some(libc::ENXIO | libc::ENODEV) => (Class::Refused, NOT_A_REGULAR_FILE),
        Some(libc::EISDIR) => (Class::Refused, IS_A_DIRECTORY),
        Some(libc::EMFILE | libc::ENFILE) => (Class::Resource, TOO_MANY_OPEN_FILES),
        Some(libc::ENOMEM) => (Class::Resource, NO_MEMORY_TO_OPEN),
        Some(libc::EACCES | libc::EPERM) => (Class::Refused, NOT_PERMITTED),
        Some(libc::ELOOP) => (Class::Refused, LINKS_IN_A_CIRCLE),
        Some(libc::ENAMETOOLONG) => (Class::Refused, PATH_TOO_LONG),
        Some(libc::EIO | libc::ESTALE) => (Class::Refused, DISK_FAULT),
        _ => (Class::Refused, NOT_OPENED),
    };
    LoadError::new(class, Phase::Open, cause, message).expected(expected, error)
}

fn not_a_file(path: &Path, actual: &str) -> LoadError {
    let cause = if actual == "a directory" { IS_A_DIRECTORY } else { NOT_A_REGULAR_FILE };
    LoadError::refused(Phase::Open, cause, format!("not a regular file: {actual}"))
        .expected("a regular file", actual)
        .path(path)
}

#[cfg(test)]
mod tests;
