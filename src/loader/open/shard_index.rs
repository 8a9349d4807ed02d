//! Reads the index of a model in several files: `*.safetensors.index.json`.
//!
//! The index maps every tensor to the file that holds it. These faults are refused: a missing
//! shard, a tensor in another shard than the index says, a tensor that the index leaves out, and a
//! path that leads out of the index's folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::loader::error::{LoadError, Result, json_text, quote};
use crate::loader::format::safetensors::{MAX_HEADER, json};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::host_memory::host_bytes;
use crate::loader::read::file::OpenFile;
use crate::loader::remedies::Cause;
use crate::loader::remedies::index_and_seal::{
    INDEX_FORM, INDEX_NOT_JSON, INDEX_PATH, INDEX_STRAY_SHARD, INDEX_TENSOR_ELSEWHERE,
    INDEX_TENSOR_MISSING, INDEX_TOO_LONG, INDEX_TOTAL_SIZE, INDEX_TOTAL_SIZE_KIND,
};

/// Ending of an index's name.
const ENDING: &str = ".safetensors.index.json";

/// An index that was read.
pub struct Index {
    path: PathBuf,
    text: Text,
}

#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    metadata: Metadata,
    weight_map: BTreeMap<String, String>,
}

/// Other metadata is not specified; only the size can be checked.
#[derive(Default, Deserialize)]
struct Metadata {
    total_size: Option<u64>,
}

impl Index {
    /// Reads an index; `None` if the file's name does not have the ending of an index.
    ///
    /// # Errors
    /// Those of opening and reading, `invalid_index`.
    pub fn open(path: &Path) -> Result<Option<Index>> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.ends_with(ENDING) {
            return Ok(None);
        }
        let mut source = OpenFile::open(path)?;
        if source.bytes() > MAX_HEADER {
            return Err(LoadError::header(INDEX_TOO_LONG, "too long for an index")
                .expected(format!("at most {MAX_HEADER} bytes"), source.bytes()));
        }
        let mut text = host_bytes(source.bytes())?;
        source.read(&mut text)?;
        let text = parse(&text)?;
        Ok(Some(Index { path: path.into(), text }))
    }

    /// The shards' paths, in ascending order of their names.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let names: BTreeSet<&String> = self.text.weight_map.values().collect();
        names.into_iter().map(move |name| folder.join(name))
    }

    /// Refuses a shard with the same name pattern that the index does not name: its owner would
    /// expect that it is loaded.
    fn check_folder(&self) -> Result<()> {
        let named: BTreeSet<&str> = self.text.weight_map.values().map(String::as_str).collect();
        let numbered = named.iter().find_map(|name| numbering(name));
        let Some(folder) = self.path.parent().filter(|_| numbered.is_some()) else { return Ok(()) };
        let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
        let stray = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .find(|name| numbering(name) == numbered && !named.contains(name.as_str()));
        match stray {
            None => Ok(()),
            Some(name) => Err(invalid(
                INDEX_STRAY_SHARD.about([&quote(&name)]),
                "the folder holds a shard that the index does not name",
            )
            .expected(format!("the {} shards of the index", named.len()), quote(&name))),
        }
    }

    /// Checks that the shards hold exactly the tensors of the index, each in the file that the
    /// index says. `shards` holds path and tensors of each shard, in the order of
    /// [`paths`](Self::paths).
    ///
    /// # Errors
    /// `invalid_index`, with the tensor at fault.
    pub fn check(&self, shards: &[(&Path, &[PlacedTensor])]) -> Result<()> {
        self.check_folder()?;
        let mut seen = 0;
        let mut bytes = 0;
        for (here, tensors) in shards {
            for tensor in *tensors {
                let name = &tensor.info.name;
                let mapped = self.text.weight_map.get(name);
                if mapped.is_none_or(|shard| !here.ends_with(shard)) {
                    let mapped = mapped.map_or("no shard".to_owned(), |shard| quote(shard));
                    return Err(invalid(
                        INDEX_TENSOR_ELSEWHERE,
                        format!("tensor {} lies elsewhere", quote(name)),
                    )
                    .tensor(name)
                    .expected(
                        mapped,
                        quote(&here.file_name().unwrap_or_default().to_string_lossy()),
                    ));
                }
                seen += 1;
                bytes += tensor.info.bytes();
            }
        }
        if seen != self.text.weight_map.len() {
            let there: BTreeSet<&str> = shards
                .iter()
                .flat_map(|(_, tensors)| *tensors)
                .map(|tensor| tensor.info.name.as_str())
                .collect();
            let missing = self.text.weight_map.keys().find(|name| !there.contains(name.as_str()));
            let missing = missing.map_or("none", String::as_str);
            return Err(invalid(
                INDEX_TENSOR_MISSING,
                format!("tensor {} is in no shard", quote(missing)),
            )
            .tensor(missing)
            .expected(
                format!("{} tensors", self.text.weight_map.len()),
                format!("{seen} tensors"),
            ));
        }
        match self.text.metadata.total_size {
            Some(total) if total != bytes => {
                Err(invalid(INDEX_TOTAL_SIZE, "total_size is not the size of the tensors")
                    .expected(format!("{total} bytes"), format!("{bytes} bytes")))
            }
            _ => Ok(()),
        }
    }
}

/// Returns stem and count of a shard's name, such as `model` and `00002` for
/// `model-00001-of-00002.safetensors`.
fn numbering(name: &str) -> Option<(&str, &str)> {
    let (rest, count) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(number) && digits(count)).then_some((stem, count))
}

fn parse(bytes: &[u8]) -> Result<Text> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| invalid(INDEX_NOT_JSON, "not UTF-8").expected("UTF-8", error))?;
    // Check with the strict reader first: serde would silently keep the last of two equal keys.
    json::check(text).map_err(|error| {
        invalid(INDEX_NOT_JSON, "not strict JSON").expected("one JSON object", error.shown(text))
    })?;
    let text: Text = serde_json::from_str(text).map_err(|error| form(text, &error))?;
    let inside = |name: &str| {
        name.ends_with(".safetensors")
            && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
    };
    match text.weight_map.values().find(|name| !inside(name)) {
        None => Ok(text),
        Some(name) => Err(invalid(INDEX_PATH, "a shard's path is not allowed")
            .expected("a relative path to a .safetensors file, without `.` and `..`", quote(name))),
    }
}

/// The error for JSON that does not have the form of an index.
fn form(text: &str, error: &serde_json::Error) -> LoadError {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    match value.get("metadata").and_then(|metadata| metadata.get("total_size")) {
        Some(total) if !total.is_u64() && !total.is_null() => {
            invalid(INDEX_TOTAL_SIZE_KIND, "metadata.total_size is not a whole number")
                .expected("a whole number of bytes", json_text(total))
        }
        _ => invalid(INDEX_FORM, "not in an index's form")
            .expected("a weight_map from names to shards", error),
    }
}

fn invalid(cause: impl Into<Cause>, message: impl Into<String>) -> LoadError {
    LoadError::header(cause, message)
}

#[cfg(test)]
mod tests;
