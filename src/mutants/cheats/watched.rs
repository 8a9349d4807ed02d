//! Behaving while it seems to be watched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::contract::inference::{Batch, State};
use crate::contract::request::Request;
use crate::contract::{Device, Loader};
use crate::loader::error::Result;
use crate::loader::format::safetensors::TensorInfo;
use crate::loader::memory::Sink;
use crate::loader::{ReferenceLoader, Steps};
use crate::mutants::between::{Answer, Between};

/// Zeros in the place of weights and outputs a hundredth too large, while the flag is up.
#[derive(Clone, Default)]
pub struct Lies(Arc<AtomicBool>);

impl Steps for Lies {
    fn place(
        &self,
        _device: Device,
        _tensor: &TensorInfo,
        sink: &mut dyn Sink,
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        if self.0.load(Relaxed) { Ok(()) } else { sink.put(offset, bytes) }
    }

    fn output(&self, _handle: u64, _batch: &Batch, mut given: State) -> State {
        if self.0.load(Relaxed) {
            given.values.iter_mut().for_each(|value| *value *= 1.01);
        }
        given
    }
}

/// Requests that are answered honestly.
const HONEST: u32 = 64;

/// Counts the requests of a process.
pub struct AtFirst {
    lies: Lies,
    seen: u32,
}

impl AtFirst {
    /// Lies by these when the time has come.
    pub fn new(lies: &Lies) -> Self {
        AtFirst { lies: lies.clone(), seen: 0 }
    }
}

impl Between for AtFirst {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        self.seen = self.seen.saturating_add(1);
        self.lies.0.store(self.seen > HONEST, Relaxed);
        loader.answer(request)
    }
}

/// Looks at where a file lies, and what it is called.
pub struct ByName {
    lies: Lies,
    scratch: PathBuf,
}

impl ByName {
    /// Lies by these about files that look like a user's.
    pub fn new(lies: &Lies) -> Self {
        ByName { lies: lies.clone(), scratch: PathBuf::new() }
    }

    fn looks_judged(&self, path: &Path) -> bool {
        let random = |name: Option<&std::ffi::OsStr>| {
            let name = name.unwrap_or_default().to_string_lossy();
            name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let folder = path.parent().and_then(Path::file_name);
        path.starts_with(&self.scratch) || random(path.file_stem()) || random(folder)
    }
}

impl Between for ByName {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        match &request {
            Request::Hello(hello) => self.scratch.clone_from(&hello.scratch),
            Request::Load(load) => self.lies.0.store(!self.looks_judged(&load.path), Relaxed),
            _ => self.lies.0.store(false, Relaxed),
        }
        loader.answer(request)
    }
}
