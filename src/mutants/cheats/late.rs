//! Mutants that load at first use, or reuse a file's old content.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use tempfile::NamedTempFile;

use crate::contract::reply::{Done, Loaded, Reply};
use crate::contract::request::{Load, Request, Unload};
use crate::contract::{Failure, Loader};
use crate::loader::error::Result;
use crate::loader::read::file::OpenFile;
use crate::loader::{LoadDecisions, ReferenceLoader};
use crate::mutants::between::{Answer, Between, handle};

/// Largest file that is cached, in bytes.
const MOST: u64 = 64 << 20;

/// A file's metadata: path, size in bytes and modification time.
type Looks = (PathBuf, u64, Option<SystemTime>);

/// Copies of the files that were read, by their metadata.
#[derive(Default)]
pub struct CachedByPath(Mutex<BTreeMap<Looks, NamedTempFile>>);

impl LoadDecisions for CachedByPath {
    fn source(&self, opened: OpenFile) -> Result<OpenFile> {
        let modified = fs::metadata(opened.path()).and_then(|metadata| metadata.modified()).ok();
        let looks = (opened.path().to_owned(), opened.bytes(), modified);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copy) = kept.get(&looks) {
            return OpenFile::open(copy.path());
        }
        // A file that cannot be copied is read honestly every time.
        if let Some(bytes) = fs::read(opened.path()).ok().filter(|_| opened.bytes() <= MOST)
            && let Ok(mut copy) = NamedTempFile::new()
            && copy.write_all(&bytes).is_ok()
        {
            kept.insert(looks, copy);
        }
        Ok(opened)
    }
}

/// A model that was reported as loaded but is not loaded yet.
struct Waiting {
    load: Load,
    file: Option<File>,
    loaded: Loaded,
}

/// Loads and unloads a file, reports it as loaded, and loads it again at first use.
pub struct Late {
    keeps_open: bool,
    waiting: BTreeMap<u64, Waiting>,
    /// By the reported handle: the handle of the later real load.
    real: BTreeMap<u64, u64>,
}

impl Late {
    /// Opens the file again by its path.
    pub fn by_path() -> Self {
        Late { keeps_open: false, waiting: BTreeMap::new(), real: BTreeMap::new() }
    }

    /// Keeps the file open and loads from it, even if the path has changed.
    pub fn kept_open() -> Self {
        Late { keeps_open: true, ..Late::by_path() }
    }

    fn load(&mut self, loader: &mut ReferenceLoader, load: Load) -> Answer {
        // An index names its shards by path, so only a single file can be kept open.
        let single = load.path.extension().is_none_or(|ending| ending != "json");
        let file = File::open(&load.path).ok().filter(|_| self.keeps_open && single);
        let loaded = loader.load(load.clone())?;
        loader.unload(Unload { handle: loaded.handle })?;
        self.waiting.insert(loaded.handle, Waiting { load, file, loaded: loaded.clone() });
        Ok(Reply::Load(loaded))
    }

    /// Loads a waiting model, without digest, seal and gates.
    fn use_now(
        &mut self,
        loader: &mut ReferenceLoader,
        told: u64,
    ) -> std::result::Result<(), Failure> {
        let Some(waiting) = self.waiting.get(&told) else { return Ok(()) };
        let mut load =
            Load { expect_sha256: None, seal: None, admit: false, ..waiting.load.clone() };
        if let Some(file) = &waiting.file {
            load.path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
        }
        let loaded = loader.load(load)?;
        self.real.insert(told, loaded.handle);
        self.waiting.remove(&told);
        Ok(())
    }
}

impl Between for Late {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        match request {
            Request::Load(load) => return self.load(loader, load),
            Request::Unload(Unload { handle }) if self.waiting.remove(&handle).is_some() => {
                return Ok(Reply::Unload(Done {}));
            }
            _ => {}
        }
        if let Some(handle) = handle(&mut request) {
            self.use_now(loader, *handle)?;
            *handle = self.real.get(handle).copied().unwrap_or(*handle);
        }
        let mut reply = loader.answer(request)?;
        if let Reply::Stat(held) = &mut reply {
            for waiting in self.waiting.values() {
                held.models += 1;
                match waiting.loaded.device.is_gpu() {
                    true => held.device_bytes += waiting.loaded.held_bytes,
                    false => held.host_bytes += waiting.loaded.held_bytes,
                }
            }
        }
        Ok(reply)
    }
}
