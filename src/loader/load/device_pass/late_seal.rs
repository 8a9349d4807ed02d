//! A seal that a thread of its own reads while the data already arrives and is hashed.
//!
//! The seal of a large model is large: 2 MB for each GB. Before the whole of it is read, hashed and parsed, its
//! first bytes tell the size of the chunks, which is all that hashing needs. Nothing is believed for that: when the
//! seal has proved to be the pinned one, its chunk size must be the one that was told.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::contract::request;
use crate::loader::decisions::LoadDecisions;
use crate::loader::error::{LoadError, Result};
use crate::loader::load::evidence::PassInput;
use crate::loader::read::stream;
use crate::loader::remedies::index_and_seal::SEAL_BROKEN;
use crate::loader::seal::{Seal, invalid};

/// What is known of a seal.
#[derive(Default)]
pub struct LateSeal {
    known: Mutex<Known>,
    more: Condvar,
}

#[derive(Default)]
struct Known {
    chunk_bytes: Option<u64>,
    seal: Option<Result<Arc<Seal>>>,
}

/// Runs passes while a thread reads the seal. They get none if nothing is compared with one.
///
/// # Errors
/// Those of the passes.
pub fn beside<T>(
    input: &PassInput<'_>,
    passes: impl FnOnce(Option<&LateSeal>) -> Result<T>,
) -> Result<T> {
    let Some(named) = input.seal.filter(|_| input.decisions.hashes()) else {
        return passes(None);
    };
    let seal = LateSeal::default();
    thread::scope(|scope| {
        let read = || seal.read(named, input.decisions);
        let thread = thread::Builder::new().name("seal".to_owned()).spawn_scoped(scope, read);
        let thread = thread.map_err(|error| stream::no_thread(&error))?;
        let done = passes(Some(&seal));
        stream::join(thread);
        done
    })
}

impl LateSeal {
    /// Reads it.
    fn read(&self, named: &request::Seal, decisions: &dyn LoadDecisions) {
        // Nobody waits for ever, even if reading panics.
        let _end = End(self);
        let tell = |chunk_bytes| self.tell(|known| known.chunk_bytes = Some(chunk_bytes));
        let seal = Seal::read_telling(named, decisions, tell).map(Arc::new);
        self.tell(|known| known.seal = Some(seal));
    }

    /// Waits for the size of a chunk, in bytes. It is not proved before [`wait`](Self::wait) returns.
    ///
    /// # Errors
    /// Those of reading the seal.
    pub fn chunk_bytes(&self) -> Result<u64> {
        let mut known = self.lock();
        loop {
            match &*known {
                Known { chunk_bytes: Some(bytes), .. } => return Ok(*bytes),
                Known { seal: Some(seal), .. } => return seal.clone().map(|seal| seal.chunk_bytes),
                _ => known = self.more.wait(known).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// The seal; `None` if it is not read yet.
    ///
    /// # Errors
    /// Those of reading it; `invalid_seal` if its first bytes told another size of a chunk.
    pub fn ready(&self) -> Result<Option<Arc<Seal>>> {
        let known = self.lock();
        let Some(seal) = known.seal.clone().transpose()? else { return Ok(None) };
        match known.chunk_bytes {
            Some(told) if told != seal.chunk_bytes => {
                Err(invalid(SEAL_BROKEN, "chunk_bytes is there twice")
                    .expected(seal.chunk_bytes, told))
            }
            _ => Ok(Some(seal)),
        }
    }

    /// The seal, when it is read.
    ///
    /// # Errors
    /// As for [`ready`](Self::ready).
    pub fn wait(&self) -> Result<Arc<Seal>> {
        let unread = |known: &mut Known| known.seal.is_none();
        drop(self.more.wait_while(self.lock(), unread).unwrap_or_else(PoisonError::into_inner));
        self.ready()?.ok_or_else(|| LoadError::internal("a seal that was read is not there"))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, what: impl FnOnce(&mut Known)) {
        what(&mut self.lock());
        self.more.notify_all();
    }
}

/// The end of the thread that reads a seal.
struct End<'s>(&'s LateSeal);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.tell(|known| {
            let never = || Err(LoadError::internal("the seal was never read"));
            known.seal.get_or_insert_with(never);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    fn late(told: Option<u64>, seal: Option<Result<Arc<Seal>>>) -> LateSeal {
        LateSeal { known: Mutex::new(Known { chunk_bytes: told, seal }), more: Condvar::new() }
    }

    fn sealed(chunk_bytes: u64) -> Arc<Seal> {
        Arc::new(Seal::of_nothing(chunk_bytes))
    }

    #[test]
    fn hashing_needs_the_chunk_size_alone_and_comparing_the_seal() {
        let begun = late(Some(4096), None);
        assert_eq!(begun.chunk_bytes(), Ok(4096));
        assert!(begun.ready().expect("no error").is_none());
        let told_at_the_end = late(None, Some(Ok(sealed(8192))));
        assert_eq!(told_at_the_end.chunk_bytes(), Ok(8192));
        assert_eq!(told_at_the_end.wait().expect("read").chunk_bytes, 8192);
    }

    #[test]
    fn another_chunk_size_than_was_told_is_refused() {
        let twice = late(Some(4096), Some(Ok(sealed(8192))));
        for error in [twice.ready().map(drop), twice.wait().map(drop)] {
            assert_eq!(error.expect_err("two sizes").code(), Code::InvalidSeal);
        }
        assert_eq!(late(Some(8192), Some(Ok(sealed(8192)))).wait().expect("one").chunk_bytes, 8192);
    }

    #[test]
    fn who_waits_learns_why_there_is_no_seal() {
        let failed = late(None, Some(Err(LoadError::internal("gone"))));
        assert_eq!(failed.chunk_bytes().expect_err("no seal").code(), Code::Internal);
        let waited = LateSeal::default();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| (waited.chunk_bytes(), waited.wait().map(drop)));
            drop(End(&waited));
            let (size, seal) = waiting.join().expect("no panic");
            assert!(size.is_err() && seal.is_err());
        });
    }
}
