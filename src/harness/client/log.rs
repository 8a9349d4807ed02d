//! Records a child's stderr on disk, and its end in memory. Its text never decides a verdict.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::conversation::unblock;

/// How much of the end of stderr is kept in memory, in bytes.
pub const TAIL_BYTES: usize = 64 << 10;

/// How much of stderr is kept on disk, in bytes. Further bytes are counted and dropped.
pub const LOG_BYTES: u64 = 64 << 20;

/// Reads stderr on a thread, so that a loader that writes much never blocks on it.
pub(super) struct Log {
    kept: Arc<Mutex<Kept>>,
    path: PathBuf,
    /// Dropped to end the thread, even if a descendant of the child keeps stderr open.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Kept {
    tail: VecDeque<u8>,
    bytes: u64,
}

impl Log {
    /// Starts to read `stderr` into a new file at `path`.
    ///
    /// # Errors
    /// If the file cannot be created or the thread not started.
    pub(super) fn start(stderr: OwnedFd, path: &Path) -> io::Result<Log> {
        let mut file = File::create(path)?;
        let mut stderr = File::from(stderr);
        unblock(&stderr)?;
        let (stopped, stop) = io::pipe()?;
        let kept = Arc::new(Mutex::new(Kept::default()));
        let shared = Arc::clone(&kept);
        let thread =
            std::thread::Builder::new().name("loader-stderr".to_owned()).spawn(move || {
                loop {
                    let mut watched = [
                        PollFd::new(stderr.as_fd(), PollFlags::POLLIN),
                        PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
                    ];
                    match poll(&mut watched, PollTimeout::NONE) {
                        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                        Err(_) => return,
                    }
                    let last = watched[1].any() == Some(true);
                    // The pipe may still hold what a child wrote before its end. The number of
                    // rounds is limited because a descendant may go on writing.
                    let rounds = if last { 64 } else { 1 };
                    for _ in 0..rounds {
                        match drain(&mut stderr, &mut file, &shared) {
                            Drained::Some => {}
                            Drained::Nothing => break,
                            Drained::End => return,
                        }
                    }
                    if last {
                        return;
                    }
                }
            })?;
        Ok(Log { kept, path: path.to_owned(), stop: Some(stop), thread: Some(thread) })
    }

    /// The last [`TAIL_BYTES`] bytes written so far, as text.
    pub(super) fn tail(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (front, back) = kept.tail.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }

    /// Number of bytes written so far.
    pub(super) fn bytes(&self) -> u64 {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// Path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what the pipe still holds, and ends the thread.
    pub(super) fn close(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // If that thread panicked, the panic was printed, and the log is only shorter.
            let _ = thread.join();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

enum Drained {
    Some,
    Nothing,
    End,
}

fn drain(stderr: &mut File, file: &mut File, shared: &Mutex<Kept>) -> Drained {
    let mut piece = [0; 16 << 10];
    let piece = match stderr.read(&mut piece) {
        Ok(0) => return Drained::End,
        Ok(count) => &piece[..count],
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Drained::Some,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Drained::Nothing,
        Err(_) => return Drained::End,
    };
    let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let room = LOG_BYTES.saturating_sub(kept.bytes);
    kept.bytes += piece.len() as u64;
    kept.tail.extend(piece);
    let excess = kept.tail.len().saturating_sub(TAIL_BYTES);
    kept.tail.drain(..excess);
    drop(kept);
    let written = piece.len().min(usize::try_from(room).unwrap_or(usize::MAX));
    // A full disk must not stop the reading, because the loader would block on its stderr.
    let _ = file.write_all(&piece[..written]);
    Drained::Some
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end_at_hand_and_the_whole_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stderr.log");
        let (reader, mut writer) = io::pipe().unwrap();
        let mut log = Log::start(reader.into(), &path).unwrap();
        for number in 0..20_000 {
            writeln!(writer, "line {number}").unwrap();
        }
        // The writer stays open, because `close` must not wait for an end of file.
        log.close();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(log.bytes(), whole.len() as u64);
        let tail = log.tail();
        assert_eq!(tail.len(), TAIL_BYTES);
        assert!(tail.ends_with("line 19999\n"));
        assert!(whole.ends_with(tail.as_bytes()) && whole.starts_with(b"line 0\n"));
        drop(writer);
    }
}
