//! A model's folder as a plan begins with it: `config.json`, and the one weight file or the index.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::header::{header, name_of, unreadable};
use super::refusal::Refusal;
use super::rule::Rule;
use crate::contract::Code;
use crate::harness::model::file::{CONFIG, INDEX, SINGLE};
use crate::harness::regular;

/// What is read before any header.
pub(super) struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// The content of `config.json`.
    pub config: Value,
    /// The one weight file, or the index.
    pub weights: PathBuf,
    /// What the index says, if there is one.
    pub index: Option<Index>,
}

/// An index.
pub(super) struct Index {
    /// Which file has which tensor.
    pub map: BTreeMap<String, String>,
    /// Bytes of all tensors, if it says so.
    pub total: Option<u64>,
}

impl Folder {
    /// Opens a folder, an index, or a file that is the whole model.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn open(model: &Path) -> Result<Folder, Refusal> {
        let absent = "Name a folder, an index or a weight file that is there.";
        let there = fs::metadata(model).map_err(|error| unreadable(model, &error, absent))?;
        let weights = if there.is_dir() { in_folder(model)? } else { model.to_owned() };
        let path = weights.parent().unwrap_or(Path::new("")).to_owned();
        let config = json(&path.join(CONFIG), regular::SMALL, Code::InvalidConfig)?;
        let index = match weights.extension().is_some_and(|ending| ending == "json") {
            true => Some(index(&weights)?),
            false => None,
        };
        Ok(Folder { path, config, weights, index })
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
