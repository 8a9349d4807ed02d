//! Mutants that return cached answers, or answer after unload.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::contract::Loader;
use crate::contract::inference::{Inference, Input};
use crate::contract::reply::{Done, Loaded, Reply};
use crate::contract::request::{Load, Request};
use crate::loader::ReferenceLoader;
use crate::mutants::between::{Answer, Between};

/// Caches replies, and the output files written with them.
pub struct Kept {
    everything: bool,
    models: BTreeMap<u64, String>,
    answers: BTreeMap<String, (Reply, Vec<u8>)>,
}

impl Kept {
    /// The cache key is the file's digest and the input.
    pub fn by_digest() -> Self {
        Kept { everything: false, models: BTreeMap::new(), answers: BTreeMap::new() }
    }

    /// The cache key also holds configuration, head, dtype and device. Unloaded models are
    /// forgotten.
    pub fn by_everything() -> Self {
        Kept { everything: true, ..Kept::by_digest() }
    }

    fn model(&self, load: &Load, loaded: &Loaded) -> String {
        let digest = loaded.sha256.clone().unwrap_or_default();
        let Some(inference) = load.inference.as_ref().filter(|_| self.everything) else {
            return digest;
        };
        let Inference { config, head, .. } = inference;
        let config = config.as_ref().and_then(|path| fs::read(path).ok());
        format!("{digest} {config:?} {head:?} {:?} {}", load.keep, load.device)
    }

    /// Returns the cache key of a request and its output path; `None` if it is not cached.
    fn question(&self, request: &Request) -> Option<(String, Option<PathBuf>)> {
        Some(match request {
            Request::Forward(asked) => {
                let model = self.models.get(&asked.handle)?;
                let input = match &asked.input {
                    Input::File(path) => format!("{:?}", fs::read(path).ok()?),
                    texts => format!("{texts:?}"),
                };
                (format!("{model} forward {} {input}", asked.trace), Some(asked.into.clone()))
            }
            Request::Generate(asked) => {
                let model = self.models.get(&asked.handle)?;
                let (limit, sampling) = (asked.limit, &asked.sampling);
                let how = format!("{} {limit} {sampling:?}", asked.into.is_some());
                (format!("{model} generate {how} {:?}", asked.prompt), asked.into.clone())
            }
            _ => return None,
        })
    }
}

impl Between for Kept {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        if let Some((question, into)) = self.question(&request) {
            if let Some((reply, written)) = self.answers.get(&question) {
                // If the write fails, the reply names a file that does not exist: the judge
                // notices.
                into.iter().for_each(|into| drop(fs::write(into, written)));
                return Ok(reply.clone());
            }
            let reply = loader.answer(request)?;
            let written = into.and_then(|into| fs::read(into).ok()).unwrap_or_default();
            self.answers.insert(question, (reply.clone(), written));
            return Ok(reply);
        }
        match request {
            Request::Load(load) => {
                let reply = loader.answer(Request::Load(load.clone()))?;
                if let Reply::Load(loaded) = &reply {
                    self.models.insert(loaded.handle, self.model(&load, loaded));
                }
                Ok(reply)
            }
            Request::Unload(unload) if self.everything => {
                self.models.remove(&unload.handle);
                loader.answer(Request::Unload(unload))
            }
            request => loader.answer(request),
        }
    }
}

/// Keeps unloaded models, and leaves them out of the totals that `stat` reports.
#[derive(Default)]
pub struct Undead {
    sizes: BTreeMap<u64, (bool, u64)>,
    dead: BTreeSet<u64>,
}

impl Between for Undead {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        match request {
            Request::Unload(unload) if self.dead.insert(unload.handle) => {
                match self.sizes.contains_key(&unload.handle) {
                    true => Ok(Reply::Unload(Done {})),
                    false => loader.answer(Request::Unload(unload)),
                }
            }
            Request::Stat(stat) => {
                let mut reply = loader.answer(Request::Stat(stat))?;
                if let Reply::Stat(held) = &mut reply {
                    let dead = self.dead.iter().filter_map(|handle| self.sizes.get(handle));
                    for (on_gpu, bytes) in dead {
                        held.models = held.models.saturating_sub(1);
                        let total = match on_gpu {
                            true => &mut held.device_bytes,
                            false => &mut held.host_bytes,
                        };
                        *total = total.saturating_sub(*bytes);
                    }
                }
                Ok(reply)
            }
            request => {
                let reply = loader.answer(request)?;
                if let Reply::Load(loaded) = &reply {
                    let size = (loaded.device.is_gpu(), loaded.held_bytes);
                    self.sizes.insert(loaded.handle, size);
                }
                Ok(reply)
            }
        }
    }
}
