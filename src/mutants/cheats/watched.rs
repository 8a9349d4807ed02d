//! Mutants that are honest only while they seem to be watched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::contract::inference::{Batch, State};
use crate::contract::request::Request;
use crate::contract::{Device, Loader};
use crate::loader::error::Result;
use crate::loader::format::safetensors::TensorInfo;
use crate::loader::memory::sink::Sink;
use crate::loader::{LoadDecisions, ReferenceLoader};
use crate::mutants::between::{Answer, Between};

/// While the flag is set, loads zeros instead of weights and returns outputs 1 % too large.
#[derive(Clone, Default)]
pub struct Lies(Arc<AtomicBool>);

impl LoadDecisions for Lies {
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

/// How many requests are answered honestly.
const HONEST: u32 = 64;

/// Starts to lie after `HONEST` requests to this process.
pub struct AtFirst {
    lies: Lies,
    seen: u32,
}

impl AtFirst {
    /// Sets the flag of `lies` after `HONEST` requests.
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

/// Lies about files whose path does not look like the judge's.
pub struct ByName {
    lies: Lies,
    scratch: PathBuf,
}

impl ByName {
    /// Sets the flag of `lies` for files outside the scratch folder that have ordinary names.
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
