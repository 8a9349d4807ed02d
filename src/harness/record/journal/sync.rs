//! Synchronises a journal to the disk on a thread of its own, so that no case waits for the disk.

use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A thread that synchronises a file after each write. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    written: bool,
    closed: bool,
    error: Option<io::Error>,
}

impl Syncer {
    /// Starts the thread for a file.
    ///
    /// # Errors
    /// If the file cannot be shared with the thread, or the thread not started.
    pub(super) fn start(file: &File) -> io::Result<Syncer> {
        let (file, shared) = (file.try_clone()?, Arc::new(Shared::default()));
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || of_thread.work(&|| file.sync_data()))?;
        Ok(Syncer { shared, thread: Some(thread) })
    }

    /// Says that the file was written to. Returns the error of an earlier synchronisation, once.
    ///
    /// # Errors
    /// That error.
    pub(super) fn written(&self) -> io::Result<()> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.written = true;
        self.shared.changed.notify_one();
        state.error.take().map_or(Ok(()), Err)
    }
}

impl Shared {
    fn work(&self, sync: &dyn Fn() -> io::Result<()>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.written {
                state.written = false;
                drop(state);
                let done = sync();
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = done {
                    state.error = Some(error);
                }
            } else if state.closed {
                return;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // If that thread panicked, the panic was printed.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_last_write_is_synchronised_and_an_error_is_told_once() {
        let (shared, count) = (Arc::new(Shared::default()), Arc::new(AtomicUsize::new(0)));
        let (of_thread, counted) = (Arc::clone(&shared), Arc::clone(&count));
        let thread = std::thread::spawn(move || {
            of_thread.work(&|| match counted.fetch_add(1, Ordering::SeqCst) {
                0 => Err(io::Error::from(io::ErrorKind::StorageFull)),
                _ => Ok(()),
            });
        });
        let syncer = Syncer { shared: Arc::clone(&shared), thread: Some(thread) };
        assert!(syncer.written().is_ok());
        while shared.state.lock().unwrap().error.is_none() {
            std::thread::yield_now();
        }
        assert_eq!(syncer.written().map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull));
        drop(syncer);
        assert_eq!(count.load(Ordering::SeqCst), 2, "the write before the end is not forgotten");
    }
}
