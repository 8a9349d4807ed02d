//! The files of a model as a plan needs them: `config.json`, the index if there is one, and the header of
//! every weight file. No weight is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::by_config::ByConfig;
use super::header::{Declared, WeightFile, header, name_of, unreadable};
use super::refusal::Refusal;
use super::rule::Rule;
use crate::contract::Code;
use crate::harness::model::file::{CONFIG, INDEX, SINGLE};
use crate::harness::regular;

/// A model's configuration and headers.
#[derive(Clone, Debug, PartialEq)]
pub struct Headers {
    /// The content of `config.json`.
    pub config: Value,
    /// The weight files, by name.
    pub files: Vec<WeightFile>,
    /// Their tensors, by name.
    pub tensors: Vec<Declared>,
    /// Where no weight file is there: what the configuration says in place of the headers.
    pub by_config: Option<ByConfig>,
}

/// What is read before the headers.
struct Begun {
    folder: PathBuf,
    config: Value,
    /// The one weight file, or the index.
    weights: PathBuf,
    listed: Option<Index>,
}

/// An index.
struct Index {
    /// Which file has which tensor.
    map: BTreeMap<String, String>,
    /// Bytes of all tensors, if it says so.
    total: Option<u64>,
}

impl Headers {
    /// Reads configuration and headers. `model` is a folder, an index, or a file that is the whole model.
    ///
    /// # Errors
    /// What cannot be read, or contradicts itself.
    pub fn read(model: &Path) -> Result<Headers, Refusal> {
        Begun::at(model)?.headers()
    }

    /// The same. If the index is there and none of its files, names are those of the index, and shapes and
    /// element type those of the configuration.
    ///
    /// # Errors
    /// As of [`read`](Self::read); without files, a configuration that names no element type.
    pub fn read_or_configured(model: &Path) -> Result<Headers, Refusal> {
        let begun = Begun::at(model)?;
        let absent = |name: &String| fs::symlink_metadata(begun.folder.join(name)).is_err();
        let Some(index) = &begun.listed else { return begun.headers() };
        if !index.map.values().all(absent) {
            return begun.headers();
        }
        let by_config = ByConfig::of(&begun.config, index.total, &begun.weights)?;
        let (files, tensors) = by_config.listed(&index.map);
        Ok(Headers { config: begun.config, files, tensors, by_config: Some(by_config) })
    }

    /// A tensor by name.
    pub fn tensor(&self, name: &str) -> Option<&Declared> {
        let at = self.tensors.binary_search_by(|one| one.name.as_str().cmp(name)).ok()?;
        Some(&self.tensors[at])
    }

    /// Bytes of all headers: what the files have besides tensors. `None` if they are not there.
    pub fn bytes(&self) -> Option<u64> {
        let files: u64 = self.files.iter().map(|file| file.bytes).sum::<Option<u64>>()?;
        Some(files.saturating_sub(self.tensors.iter().map(|tensor| tensor.bytes).sum()))
    }

    /// Holds the index against the headers: each must list what the other has.
    fn agree(&self, map: &BTreeMap<String, String>, index: &Path) -> Result<(), Refusal> {
        let contradicts = |name: &str, expected: String, actual: String| {
            let message = format!("the index and the files contradict each other about {name:?}");
            let refusal = Refusal::file(index, Code::InvalidIndex, message).tensor(name);
            Err(refusal.told(expected, actual, "Write the index again, from the files' headers."))
        };
        let mut found = BTreeSet::new();
        for tensor in &self.tensors {
            let file = &self.files[tensor.file].name;
            match map.get(&tensor.name) {
                Some(listed) if listed == file => found.insert(tensor.name.as_str()),
                Some(listed) => {
                    return contradicts(&tensor.name, format!("in {listed}"), format!("in {file}"));
                }
                None => {
                    let expected = format!("an entry for {file}");
                    return contradicts(&tensor.name, expected, "no entry".to_owned());
                }
            };
        }
        match map.iter().find(|(name, _)| !found.contains(name.as_str())) {
            Some((name, file)) => {
                contradicts(name, format!("the tensor in {file}"), "no such tensor".to_owned())
            }
            None => Ok(()),
        }
    }
}

impl Begun {
    fn at(model: &Path) -> Result<Begun, Refusal> {
        let absent = "Name a folder, an index or a weight file that is there.";
        let there = fs::metadata(model).map_err(|error| unreadable(model, &error, absent))?;
        let weights = if there.is_dir() { in_folder(model)? } else { model.to_owned() };
        let folder = weights.parent().unwrap_or(Path::new("")).to_owned();
        let config = json(&folder.join(CONFIG), regular::SMALL, Code::InvalidConfig)?;
        let listed = match weights.extension().is_some_and(|ending| ending == "json") {
            true => Some(index(&weights)?),
            false => None,
        };
        Ok(Begun { folder, config, weights, listed })
    }

    /// Reads the header of every file.
    fn headers(self) -> Result<Headers, Refusal> {
        let Begun { folder, config, weights, listed } = self;
        let names: BTreeSet<String> = match &listed {
            Some(index) => index.map.values().cloned().collect(),
            None => BTreeSet::from([name_of(&weights)]),
        };
        let (files, tensors) = (Vec::new(), Vec::new());
        let mut headers = Headers { config, files, tensors, by_config: None };
        for name in names {
            let (file, mut tensors) = header(&folder.join(&name), headers.files.len())?;
            headers.files.push(WeightFile { name, ..file });
            headers.tensors.append(&mut tensors);
        }
        if let Some(index) = listed {
            headers.agree(&index.map, &weights)?;
        }
        headers.tensors.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(headers)
    }
}

/// The weights of a folder: the one file, or the index.
fn in_folder(folder: &Path) -> Result<PathBuf, Refusal> {
    if let Some(usual) =
        [SINGLE, INDEX].map(|name| folder.join(name)).into_iter().find(|at| at.exists())
    {
        return Ok(usual);
    }
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let ends = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "safetensors");
    let mut others: Vec<PathBuf> = names.filter(ends).collect();
    others.sort();
    let expected = format!("{SINGLE} or {INDEX}");
    match others.as_slice() {
        [] => Err(Refusal::file(folder, Code::NotFound, "the folder has no safetensors weights")
            .told(expected, "neither", "Name the folder of a model in safetensors.")),
        [only] => Ok(only.clone()),
        [first, second, ..] => {
            let (_, one) = header(first, 0)?;
            let (_, other) = header(second, 1)?;
            let both = one.iter().find(|a| other.iter().any(|b| a.name == b.name));
            let actual = format!("{} weight files and no index", others.len());
            let Some(both) = both else {
                return Err(Refusal::file(
                    folder,
                    Code::InvalidIndex,
                    "several files and no index",
                )
                .told(
                    expected,
                    actual,
                    "Name the index, or write one from the files' headers.",
                ));
            };
            let message = format!(
                "{} and {} both have {:?}: the files are written for ranks of their own",
                name_of(first),
                name_of(second),
                both.name
            );
            let remedy = "Merge the files of all ranks into one checkpoint first.";
            let refusal = Refusal::file(folder, Code::InvalidIndex, message).tensor(&both.name);
            let refusal = refusal.by(Rule::OtherDegree).numbers([others.len() as u64]);
            Err(refusal.told("each tensor once", actual, remedy))
        }
    }
}

fn index(path: &Path) -> Result<Index, Refusal> {
    let value = json(path, regular::LARGE, Code::InvalidIndex)?;
    let map = value.get("weight_map").and_then(Value::as_object);
    let entries = map.into_iter().flatten();
    let mut all = BTreeMap::new();
    for (tensor, file) in entries {
        // A name with a separator would lead out of the folder.
        let plain = |name: &&str| !name.is_empty() && !name.contains('/') && *name != "..";
        let Some(file) = file.as_str().filter(plain) else {
            let refusal =
                Refusal::file(path, Code::InvalidIndex, "no name of a file").tensor(tensor);
            return Err(refusal.told("a name in the same folder", file, "Write the index again."));
        };
        all.insert(tensor.clone(), file.to_owned());
    }
    match all.is_empty() {
        true => Err(Refusal::file(path, Code::InvalidIndex, "the index lists no tensor").told(
            "a weight_map from names of tensors to files",
            "none",
            "Name a safetensors index, or the folder of a model.",
        )),
        false => {
            let total = value.get("metadata").and_then(|metadata| metadata.get("total_size"));
            Ok(Index { map: all, total: total.and_then(Value::as_u64) })
        }
    }
}

fn json(path: &Path, most: regular::Size, code: Code) -> Result<Value, Refusal> {
    let absent = "Get it from where the model was published: a plan begins with it.";
    let text = regular::document(path, most).map_err(|error| unreadable(path, &error, absent))?;
    serde_json::from_slice(&text).map_err(|error| {
        let refusal = Refusal::file(path, code, "no JSON");
        refusal.told("a JSON object", error, "Get the file again from where it was published.")
    })
}
