//! Mutants that remember what a load found, and find it again by too little: by a name, by a header, by a
//! time, by the weights alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempDir};

use crate::contract::Loader;
use crate::contract::inference::Inference;
use crate::contract::reply::{GateReport, Reply};
use crate::contract::request::{DtypePolicy, Load, Request};
use crate::loader::error::Result;
use crate::loader::format::safetensors::{PREFIX, TensorInfo};
use crate::loader::gates::{self, Scan};
use crate::loader::read::file::OpenFile;
use crate::loader::{LoadDecisions, ReferenceLoader};
use crate::mutants::between::{Answer, Between, between};
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "weights-by-header",
        lie: "reuses the weights of an earlier file whose header was the same",
        seen_in: "caches whose key is the cheap part of a file",
        needs_gpu: false,
        make: || {
            reference(Weights::by(|opened| Some(header(opened.path())?.escape_ascii().to_string())))
        },
    },
    Mutant {
        name: "weights-by-file-name",
        lie: "reuses the weights of an earlier file of the same name and size in another folder",
        seen_in: "caches that forget the folder",
        needs_gpu: false,
        make: || {
            reference(Weights::by(|opened| {
                let name = opened.path().file_name()?.to_string_lossy().into_owned();
                Some(format!("{name} {}", opened.bytes()))
            }))
        },
    },
    Mutant {
        name: "weights-by-first-bytes",
        lie: "reuses the weights of an earlier file that begins with the same 64 KiB and is as large",
        seen_in: "quick digests of large files",
        needs_gpu: false,
        make: || {
            reference(Weights::by(|opened| {
                let bytes = fs::read(opened.path()).ok()?;
                let first = &bytes[..bytes.len().min(64 << 10)];
                (bytes.len() > first.len())
                    .then(|| format!("{} {:?}", bytes.len(), Sha256::digest(first)))
            }))
        },
    },
    Mutant {
        name: "digest-by-time",
        lie: "reuses the digest of an earlier file of the same path, size and time",
        seen_in: "build tools that look at times",
        needs_gpu: false,
        make: || reference(DigestByTime::default()),
    },
    Mutant {
        name: "gates-by-header",
        lie: "does not judge weights again whose header was admitted before",
        seen_in: "results that are kept for a model's shape",
        needs_gpu: false,
        make: || reference(GatesByHeader::default()),
    },
    Mutant {
        name: "keep-of-the-first-load",
        lie: "keeps a file's halves as the first load of that path asked for",
        seen_in: "options that are read once",
        needs_gpu: false,
        make: || between(FirstOptions::default()),
    },
    Mutant {
        name: "admitted-since-unchecked",
        lie: "does not judge a file that was loaded before without gates",
        seen_in: "caches of loaded files",
        needs_gpu: false,
        make: || between(Unjudged::default()),
    },
    Mutant {
        name: "seal-by-time",
        lie: "does not compare a file with a seal again if one of the same path, size and time was compared",
        seen_in: "verifiers that keep a list of verified files",
        needs_gpu: false,
        make: || between(SealByTime::default()),
    },
    Mutant {
        name: "config-by-weights",
        lie: "reads one configuration for all files with the same weights",
        seen_in: "caches of models by their digest",
        needs_gpu: false,
        make: || between(Documents::of(|known, asked| asked.config.clone_from(&known.config))),
    },
    Mutant {
        name: "tokenizer-by-weights",
        lie: "uses the first tokenizer that came with the same weights",
        seen_in: "caches of models by their digest",
        needs_gpu: false,
        make: || {
            between(Documents::of(|known, asked| {
                if asked.tokenizer.is_some() {
                    asked.tokenizer.clone_from(&known.tokenizer);
                }
            }))
        },
    },
    Mutant {
        name: "template-by-weights",
        lie: "uses the first chat template that came with the same weights",
        seen_in: "caches of models by their digest",
        needs_gpu: false,
        make: || {
            between(Documents::of(|known, asked| {
                if asked.template.is_some() {
                    asked.template.clone_from(&known.template);
                }
            }))
        },
    },
    Mutant {
        name: "config-by-path",
        lie: "reads a configuration once for each path, size and time",
        seen_in: "caches of parsed files",
        needs_gpu: false,
        make: || {
            let at = |load: &Load| {
                Some(format!("{:?}", looks(load.inference.as_ref()?.config.as_ref()?)?))
            };
            between(Documents::by(at, |known, asked| asked.config.clone_from(&known.config)))
        },
    },
    Mutant {
        name: "tokenizer-by-folder",
        lie: "reads a tokenizer once for each folder",
        seen_in: "caches of tokenizers by the name of a model",
        needs_gpu: false,
        make: || {
            let at =
                |load: &Load| Some(format!("{:?}", load.inference.as_ref()?.tokenizer.as_ref()?));
            between(Documents::by(at, |known, asked| asked.tokenizer.clone_from(&known.tokenizer)))
        },
    },
    Mutant {
        name: "template-by-folder",
        lie: "reads a chat template once for each folder",
        seen_in: "caches of tokenizers by the name of a model",
        needs_gpu: false,
        make: || {
            let at =
                |load: &Load| Some(format!("{:?}", load.inference.as_ref()?.template.as_ref()?));
            between(Documents::by(at, |known, asked| asked.template.clone_from(&known.template)))
        },
    },
    Mutant {
        name: "head-by-weights",
        lie: "makes the output that was first asked for of the same weights",
        seen_in: "caches of models by their digest",
        needs_gpu: false,
        make: || between(Documents::of(|known, asked| asked.head.clone_from(&known.head))),
    },
];

/// Most bytes of a file that is kept.
const MOST: u64 = 64 << 20;

/// What a file is remembered by.
type Key = fn(&OpenFile) -> Option<String>;

/// Copies of files, by a key that says too little.
struct Weights {
    key: Key,
    kept: Mutex<BTreeMap<String, NamedTempFile>>,
}

impl Weights {
    fn by(key: Key) -> Weights {
        Weights { key, kept: Mutex::default() }
    }
}

impl LoadDecisions for Weights {
    fn source(&self, opened: OpenFile) -> Result<OpenFile> {
        let key = (self.key)(&opened).filter(|_| opened.bytes() <= MOST);
        let Some(key) = key else { return Ok(opened) };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copy) = kept.get(&key) {
            return OpenFile::open(copy.path());
        }
        // A file that cannot be copied is read honestly every time.
        if let Ok(bytes) = fs::read(opened.path())
            && let Ok(mut copy) = NamedTempFile::new()
            && copy.write_all(&bytes).is_ok()
        {
            kept.insert(key, copy);
        }
        Ok(opened)
    }
}

/// The header of a safetensors file, with its length.
fn header(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = fs::read(path).ok()?;
    let length = u64::from_le_bytes(*bytes.first_chunk()?).checked_add(PREFIX)?;
    let whole = bytes.len() as u64;
    bytes.truncate(usize::try_from(length).ok()?);
    (length <= whole).then_some(bytes)
}

/// A file's path, size and time of modification.
type Looks = (PathBuf, u64, Option<SystemTime>);

fn looks(path: &Path) -> Option<Looks> {
    let metadata = fs::metadata(path).ok()?;
    Some((path.to_owned(), metadata.len(), metadata.modified().ok()))
}

#[derive(Default)]
struct DigestByTime(Mutex<BTreeMap<Looks, [u8; 32]>>);

impl LoadDecisions for DigestByTime {
    fn digest(&self, path: &Path, used: [u8; 32]) -> [u8; 32] {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks(path).map_or(used, |looks| *known.entry(looks).or_insert(used))
    }
}

/// Headers that were admitted, as text.
#[derive(Default)]
struct GatesByHeader(Mutex<BTreeSet<String>>);

impl LoadDecisions for GatesByHeader {
    fn admit(&self, tensors: &[(&TensorInfo, &Scan)]) -> Result<Vec<GateReport>> {
        let infos: Vec<&TensorInfo> = tensors.iter().map(|(info, _)| *info).collect();
        let key = format!("{infos:?}");
        let mut admitted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = admitted.contains(&key);
        let reports = gates::run(tensors.iter().copied(), |gate, tensor, scan| match known {
            true => Ok(()),
            false => gates::judge(gate, tensor, scan),
        })?;
        admitted.insert(key);
        Ok(reports)
    }
}

/// By path and digest: how the first load kept its halves.
#[derive(Default)]
struct FirstOptions(BTreeMap<PathBuf, DtypePolicy>);

impl Between for FirstOptions {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let Request::Load(load) = &mut request {
            load.keep = *self.0.entry(load.path.clone()).or_insert(load.keep);
        }
        loader.answer(request)
    }
}

/// Files that were loaded without gates.
#[derive(Default)]
struct Unjudged(BTreeSet<PathBuf>);

impl Between for Unjudged {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        let Request::Load(load) = &mut request else { return loader.answer(request) };
        let path = load.path.clone();
        let asked = load.admit;
        load.admit = asked && !self.0.contains(&path);
        let reply = loader.answer(request)?;
        if !asked {
            self.0.insert(path);
        }
        Ok(reply)
    }
}

/// Files that were compared with a seal.
#[derive(Default)]
struct SealByTime(BTreeSet<Looks>);

impl Between for SealByTime {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        let Request::Load(load) = &mut request else { return loader.answer(request) };
        let Some(looks) = load.seal.as_ref().and_then(|_| looks(&load.path)) else {
            return loader.answer(request);
        };
        if self.0.contains(&looks) {
            load.seal = None;
            return loader.answer(request);
        }
        let reply = loader.answer(request)?;
        self.0.insert(looks);
        Ok(reply)
    }
}

/// Puts what is known into a request's place.
type Put = fn(&Inference, &mut Inference);

/// Copies of the documents that came first with the same key.
struct Documents {
    key: fn(&Load) -> Option<String>,
    put: Put,
    known: BTreeMap<String, (TempDir, Inference)>,
}

impl Documents {
    /// The key is the digest of the weights.
    fn of(put: Put) -> Documents {
        Documents::by(weights, put)
    }

    fn by(key: fn(&Load) -> Option<String>, put: Put) -> Documents {
        Documents { key, put, known: BTreeMap::new() }
    }
}

impl Between for Documents {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        let Request::Load(load) = &mut request else { return loader.answer(request) };
        let Some(key) = (self.key)(load) else { return loader.answer(request) };
        let Some(asked) = &mut load.inference else { return loader.answer(request) };
        if let Some((_, known)) = self.known.get(&key) {
            (self.put)(known, asked);
            return loader.answer(request);
        }
        let copied = copied(asked);
        let reply = loader.answer(request)?;
        if let (Reply::Load(_), Some(copied)) = (&reply, copied) {
            self.known.insert(key, copied);
        }
        Ok(reply)
    }
}

/// The digest of the weights' file.
fn weights(load: &Load) -> Option<String> {
    let bytes = fs::read(&load.path).ok()?;
    Some(format!("{:?}", Sha256::digest(bytes)))
}

/// The documents of a request in a folder of their own, with what lies beside them.
fn copied(asked: &Inference) -> Option<(TempDir, Inference)> {
    let folder = tempfile::tempdir().ok()?;
    let beside = asked.config.as_ref().or(asked.template.as_ref())?.parent()?;
    for entry in fs::read_dir(beside).ok()?.flatten() {
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if text.ends_with(".json") || text.ends_with(".jinja") {
            fs::copy(entry.path(), folder.path().join(&name)).ok()?;
        }
    }
    let moved = |path: &Option<PathBuf>| {
        path.as_ref().and_then(|path| Some(folder.path().join(path.file_name()?)))
    };
    let known = Inference {
        config: moved(&asked.config),
        tokenizer: moved(&asked.tokenizer),
        template: moved(&asked.template),
        generation: moved(&asked.generation),
        head: asked.head.clone(),
        compute: asked.compute,
    };
    Some((folder, known))
}
