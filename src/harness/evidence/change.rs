//! Changes a file right after the loader has opened it, or does something else at this moment.
//!
//! The kernel reports the open (inotify), so the change happens while the loader reads the open
//! file, usually before it could open the path a second time. The time of the change is recorded,
//! so that the caller can check when it happened.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::harness::regular;

/// The change to make.
#[derive(Clone, Debug)]
pub enum Change {
    /// This file is renamed over the path.
    Replace(PathBuf),
    /// The file is truncated to this many bytes in place.
    Cut(u64),
}

/// A change that waits for the file to be opened.
pub struct Ambush {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Option<Instant>>>,
}

impl Change {
    fn make(&self, path: &Path) -> io::Result<()> {
        match self {
            Change::Replace(other) => std::fs::rename(other, path),
            Change::Cut(bytes) => regular::open_to_write(path)?.set_len(*bytes),
        }
    }
}

impl Ambush {
    /// Watches `path` and changes it when it is first opened.
    ///
    /// # Errors
    /// If inotify is not available.
    pub fn lay(path: &Path, change: Change) -> io::Result<Ambush> {
        let at = path.to_owned();
        Ambush::at_open(path, move || change.make(&at))
    }

    /// Watches `path` and does something when it is first opened.
    ///
    /// # Errors
    /// If inotify is not available.
    pub fn at_open(
        path: &Path,
        does: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<Ambush> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        inotify.add_watch(path, AddWatchFlags::IN_OPEN)?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || wait_and_do(&inotify, does, &stop)
        });
        Ok(Ambush { stop, thread })
    }

    /// Stops watching. Returns when the change began, or `None` if the file was never opened.
    ///
    /// # Errors
    /// If watching or changing the file failed.
    pub fn end(self) -> io::Result<Option<Instant>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the watching thread panicked")))
    }
}

fn wait_and_do(
    inotify: &Inotify,
    does: impl FnOnce() -> io::Result<()>,
    stop: &AtomicBool,
) -> io::Result<Option<Instant>> {
    while !stop.load(Ordering::Relaxed) {
        let mut waiting = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
        let pause = PollTimeout::try_from(Duration::from_millis(20)).unwrap_or(PollTimeout::ZERO);
        if poll(&mut waiting, pause)? > 0 {
            let began = Instant::now();
            does()?;
            return Ok(Some(began));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_changes_once_it_is_opened_and_not_before() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&path, "old").expect("a file");
        std::fs::write(&other, "new").expect("a file");
        let ambush = Ambush::lay(&path, Change::Replace(other)).expect("inotify");
        assert_eq!(std::fs::metadata(&path).expect("still there").len(), 3);
        let opened = std::fs::File::open(&path).expect("opens");
        let begin = Instant::now();
        while std::fs::read(&path).expect("reads") != b"new" {
            assert!(begin.elapsed() < Duration::from_secs(10), "the change never came");
        }
        drop(opened);
        assert!(ambush.end().expect("watched").is_some());
    }

    #[test]
    fn a_file_that_nobody_opens_stays() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a");
        std::fs::write(&path, "old").expect("a file");
        let ambush = Ambush::lay(&path, Change::Cut(0)).expect("inotify");
        assert!(ambush.end().expect("watched").is_none());
        assert_eq!(std::fs::read(&path).expect("reads"), b"old");
    }
}
