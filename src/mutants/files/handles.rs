//! Mutants that mix up models of one file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::contract::Loader;
use crate::contract::reply::{Loaded, Reply};
use crate::contract::request::{Request, Unload};
use crate::loader::ReferenceLoader;
use crate::mutants::between::{Answer, Between, between};
use crate::mutants::mutant::Mutant;

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "same-file-same-model",
        lie: "gives a file that is loaded again the handle of its first model, which one unload frees",
        seen_in: "caches of models that do not count their users",
        needs_gpu: false,
        make: || between(Mixed { shares: true, ..Mixed::default() }),
    },
    Mutant {
        name: "unloads-by-path",
        lie: "frees every model of a file when one of them is unloaded",
        seen_in: "serving programs that name models by their file",
        needs_gpu: false,
        make: || between(Mixed { frees_all: true, ..Mixed::default() }),
    },
    Mutant {
        name: "held-once-a-path",
        lie: "counts models of one file once when it says what is held",
        seen_in: "registries whose key is the path",
        needs_gpu: false,
        make: || between(Mixed { counts_once: true, ..Mixed::default() }),
    },
];

/// Takes models of one file for one model.
#[derive(Default)]
struct Mixed {
    shares: bool,
    frees_all: bool,
    counts_once: bool,
    /// By handle: the file and the reply to its load.
    loaded: BTreeMap<u64, (PathBuf, Loaded)>,
}

impl Mixed {
    fn first_of(&self, path: &PathBuf) -> Option<&Loaded> {
        self.loaded.values().find(|(other, _)| other == path).map(|(_, loaded)| loaded)
    }
}

impl Between for Mixed {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        match &request {
            Request::Load(load) => {
                let path = load.path.clone();
                if let Some(first) = self.first_of(&path).filter(|_| self.shares) {
                    return Ok(Reply::Load(first.clone()));
                }
                let reply = loader.answer(request)?;
                if let Reply::Load(loaded) = &reply {
                    self.loaded.insert(loaded.handle, (path, loaded.clone()));
                }
                Ok(reply)
            }
            Request::Unload(Unload { handle }) => {
                let gone = self.loaded.remove(handle).map(|(path, _)| path);
                let same =
                    |(_, (path, _)): &(&u64, &(PathBuf, Loaded))| Some(path) == gone.as_ref();
                let others: Vec<u64> = match self.frees_all {
                    true => self.loaded.iter().filter(same).map(|(handle, _)| *handle).collect(),
                    false => Vec::new(),
                };
                for handle in others {
                    self.loaded.remove(&handle);
                    loader.answer(Request::Unload(Unload { handle }))?;
                }
                loader.answer(request)
            }
            Request::Stat(_) => {
                let mut reply = loader.answer(request)?;
                if let (Reply::Stat(held), true) = (&mut reply, self.counts_once) {
                    let mut known = Vec::new();
                    for (path, loaded) in self.loaded.values() {
                        if known.contains(&path) {
                            held.models = held.models.saturating_sub(1);
                            let bytes = match loaded.device.is_gpu() {
                                true => &mut held.device_bytes,
                                false => &mut held.host_bytes,
                            };
                            *bytes = bytes.saturating_sub(loaded.held_bytes);
                        }
                        known.push(path);
                    }
                }
                Ok(reply)
            }
            _ => loader.answer(request),
        }
    }
}
