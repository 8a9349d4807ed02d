//! Mutants that believe an index or a header what a careful reader would not.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::contract::reply::Reply;
use crate::contract::request::Request;
use crate::contract::{Code, Loader};
use crate::loader::error::{LoadError, Result};
use crate::loader::format::safetensors::{self, Header};
use crate::loader::remedies::index_and_seal::INDEX_TOO_LONG;
use crate::loader::{LoadDecisions, ReferenceLoader};
use crate::mutants::between::{Answer, Between, between};
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "index-paths-followed",
        lie: "follows a path in an index out of the index's folder",
        seen_in: "loaders that join a folder and whatever name they are given",
        needs_gpu: false,
        make: || {
            between(Reindexed(|index, text| {
                let index: &Path = index;
                let map = map(serde_json::from_str(text).ok()?)?;
                let folder = index.parent()?;
                Some(map.into_iter().map(|(tensor, name)| (tensor, folder.join(name))).collect())
            }))
        },
    },
    Mutant {
        name: "index-last-key-wins",
        lie: "takes the last of two places that an index gives to one tensor",
        seen_in: "parsers that fill a dictionary",
        needs_gpu: false,
        make: || {
            between(Reindexed(|index, text| {
                let map = map(serde_json::from_str(text).ok()?)?;
                inside(index, map)
            }))
        },
    },
    Mutant {
        name: "index-rest-ignored",
        lie: "reads the first object of an index, and ignores the text behind it",
        seen_in: "parsers that stop where they have what they need",
        needs_gpu: false,
        make: || {
            between(Reindexed(|index, text| {
                let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
                inside(index, map(values.next()?.ok()?)?)
            }))
        },
    },
    Mutant {
        name: "shard-folders-flattened",
        lie: "looks for every shard in the index's own folder, whatever folder the index names",
        seen_in: "tools that download all files into one folder",
        needs_gpu: false,
        make: || {
            between(Reindexed(|index, text| {
                let map = map(serde_json::from_str(text).ok()?)?;
                let folder = index.parent()?;
                let found = |name: &str| {
                    let own = Path::new(name).file_name()?;
                    // Downloaded, the last file of a name is left.
                    let same = |other: &&String| Path::new(other.as_str()).file_name() == Some(own);
                    let last = map.values().filter(same).max()?;
                    Some(folder.join(last))
                };
                // What the other files of that name held is not there.
                let kept = |(tensor, name): (&String, &String)| {
                    let place = found(name)?;
                    (place == folder.join(name)).then(|| (tensor.clone(), place))
                };
                Some(map.iter().filter_map(kept).collect())
            }))
        },
    },
    Mutant {
        name: "single-file-preferred",
        lie: "loads model.safetensors beside an index, although the index was named",
        seen_in: "loaders that look for the usual file first",
        needs_gpu: false,
        make: || between(SingleFile),
    },
    Mutant {
        name: "indexes-bounded",
        lie: "refuses an index of more than 1 MiB",
        seen_in: "parsers with a bound that small models never meet",
        needs_gpu: false,
        make: || between(BoundedIndex),
    },
    Mutant {
        name: "unnamed-file-unsealed",
        lie: "loads a model of several files unchecked if its seal does not name all of them",
        seen_in: "verifiers that check what they find in a list",
        needs_gpu: false,
        make: || between(UnnamedUnsealed),
    },
    Mutant {
        name: "sizes-of-the-first-file",
        lie: "reports the bytes of the first of several files as those of all",
        seen_in: "replies that were written for one file",
        needs_gpu: false,
        make: || between(FirstSizes),
    },
    Mutant {
        name: "gate-counts-of-the-first-file",
        lie: "reports what the gates counted in the first of several files",
        seen_in: "replies that were written for one file",
        needs_gpu: false,
        make: || between(FirstCounts),
    },
    Mutant {
        name: "header-last-key-wins",
        lie: "takes the last of two values that a header gives to one key",
        seen_in: "parsers that fill a dictionary",
        needs_gpu: false,
        make: || reference(LastKey),
    },
];

/// The file of each tensor.
type Places = BTreeMap<String, PathBuf>;

/// Loads the shards that an index names, as it reads the index.
struct Reindexed(fn(&Path, &str) -> Option<Places>);

impl Between for Reindexed {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        let Request::Load(load) = &mut request else { return loader.answer(request) };
        let text = fs::read_to_string(&load.path).ok().filter(|_| is_index(&load.path));
        let places = text.and_then(|text| (self.0)(&load.path, &text));
        // Removed after the load.
        let Some((_folder, index)) = places.and_then(|places| rewritten(&places)) else {
            return loader.answer(request);
        };
        load.path = index;
        loader.answer(request)
    }
}

/// A folder with links to the shards, and an index of them.
fn rewritten(places: &Places) -> Option<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir().ok()?;
    let mut names: BTreeMap<&PathBuf, String> = BTreeMap::new();
    for path in places.values() {
        names.entry(path).or_default();
    }
    for (at, (path, name)) in names.iter_mut().enumerate() {
        *name = format!("part-{at:05}.safetensors");
        symlink(std::path::absolute(path).ok()?, folder.path().join(&*name)).ok()?;
    }
    let map: BTreeMap<&String, &String> =
        places.iter().map(|(tensor, path)| (tensor, &names[path])).collect();
    let index = folder.path().join("model.safetensors.index.json");
    fs::write(&index, json!({"metadata": {}, "weight_map": map}).to_string()).ok()?;
    Some((folder, index))
}

/// The names of an index's shards, by tensor.
fn map(index: Value) -> Option<BTreeMap<String, String>> {
    serde_json::from_value(index.get("weight_map")?.clone()).ok()
}

/// The paths of shards that lie where the index does.
fn inside(index: &Path, map: BTreeMap<String, String>) -> Option<Places> {
    let plain = |name: &String| !name.starts_with('/') && !name.contains("..");
    let folder = index.parent()?;
    let place = |(tensor, name): (String, String)| {
        let path = folder.join(&name);
        plain(&name).then_some((tensor, path))
    };
    map.into_iter().map(place).collect()
}

/// Whether a request loads an index.
fn is_index(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".safetensors.index.json")
}

struct SingleFile;

impl Between for SingleFile {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let Request::Load(load) = &mut request {
            let single = load.path.with_file_name("model.safetensors");
            if is_index(&load.path) && single.exists() {
                load.path = single;
            }
        }
        loader.answer(request)
    }
}

struct BoundedIndex;

impl Between for BoundedIndex {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        if let Request::Load(load) = &request
            && is_index(&load.path)
            && let Ok(bytes) = fs::metadata(&load.path).map(|metadata| metadata.len())
            && bytes > 1 << 20
        {
            let error = LoadError::header(INDEX_TOO_LONG, "too long for an index");
            return Err(error.expected("at most 1048576 bytes", bytes).into());
        }
        loader.answer(request)
    }
}

struct UnnamedUnsealed;

impl Between for UnnamedUnsealed {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        let answer = loader.answer(request.clone());
        let Request::Load(load) = &mut request else { return answer };
        let unnamed = answer.as_ref().is_err_and(|failure| failure.code == Code::InvalidSeal);
        if unnamed && is_index(&load.path) {
            load.seal = None;
            return loader.answer(request);
        }
        answer
    }
}

struct FirstSizes;

impl Between for FirstSizes {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let first = first_share(&request);
        let mut reply = loader.answer(request)?;
        if let (Reply::Load(loaded), Some((share, of))) = (&mut reply, first) {
            loaded.held_bytes = loaded.held_bytes / of * share;
            loaded.file_bytes = loaded.file_bytes / of * share;
        }
        Ok(reply)
    }
}

struct FirstCounts;

impl Between for FirstCounts {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let first = first_share(&request);
        let mut reply = loader.answer(request)?;
        if let (Reply::Load(loaded), Some((share, of))) = (&mut reply, first) {
            for gate in &mut loaded.gates {
                for count in [&mut gate.checked, &mut gate.exempt, &mut gate.elements] {
                    *count = *count * share / of;
                }
            }
        }
        Ok(reply)
    }
}

/// How many of an index's tensors lie in its first file, and how many there are. `None` for one file.
fn first_share(request: &Request) -> Option<(u64, u64)> {
    let Request::Load(load) = request else { return None };
    let text = fs::read_to_string(&load.path).ok().filter(|_| is_index(&load.path))?;
    let map = map(serde_json::from_str(&text).ok()?)?;
    let first = map.values().min()?;
    let share = map.values().filter(|name| *name == first).count();
    (share < map.len()).then_some((share as u64, map.len() as u64))
}

struct LastKey;

impl LoadDecisions for LastKey {
    fn header(&self, text: &[u8]) -> Result<Header> {
        let parsed = safetensors::parse(text);
        let twice = parsed.as_ref().is_err_and(|error| error.code() == Code::DuplicateKey);
        let text = std::str::from_utf8(text).unwrap_or_default();
        match serde_json::from_str::<Value>(text) {
            Ok(last) if twice => safetensors::parse(last.to_string().as_bytes()),
            _ => parsed,
        }
    }
}
