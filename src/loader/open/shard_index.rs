//! Reads the index of a model in several files: `*.safetensors.index.json`.
//!
//! The index maps every tensor to the file that holds it. These faults are refused: a missing
//! shard, a tensor in another shard than the index says, a tensor in two shards, and a path that
//! leads out of the index's folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::loader::error::{LoadError, Result, json_text, quote};
use crate::loader::format::json_bounds;
use crate::loader::format::safetensors::{TensorInfo, json};
use crate::loader::host_memory::host_bytes;
use crate::loader::read::file::OpenFile;
use crate::loader::remedies::Cause;
use crate::loader::remedies::index_and_seal::{
    INDEX_FORM, INDEX_NOT_JSON, INDEX_PATH, INDEX_STRAY_SHARD, INDEX_TENSOR_ELSEWHERE,
    INDEX_TENSOR_MISSING, INDEX_TENSOR_TWICE, INDEX_TOO_LONG,
};

/// Longest index, in bytes, and most memory that it takes as a tree of values. The longest ones in use have
/// 20 MB.
const LONGEST: u64 = 64 << 20;
const MEMORY: usize = 512 << 20;

/// Ending of an index's name.
const ENDING: &str = ".safetensors.index.json";

/// An index that was read.
pub struct Index {
    path: PathBuf,
    text: Text,
}

#[derive(Deserialize)]
struct Text {
    /// Anything: the format does not say what stands here.
    #[serde(default)]
    metadata: Value,
    weight_map: BTreeMap<String, String>,
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
        if source.bytes() > LONGEST {
            return Err(LoadError::header(INDEX_TOO_LONG, "too long for an index")
                .expected(format!("at most {LONGEST} bytes"), source.bytes()));
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

    /// Checks that every tensor of the index is in the shard that the index says, and that no tensor
    /// is in two shards. `shards` holds path and tensors of each shard, in the order of
    /// [`paths`](Self::paths).
    ///
    /// A tensor that the index leaves out is loaded, as in transformers. The index's metadata decides
    /// nothing: the headers of the shards say how large the tensors are. Writers leave a count of
    /// parameters, a float or text there. Returns what the index says otherwise than the shards.
    ///
    /// # Errors
    /// `invalid_index`, with the tensor at fault.
    pub fn check(&self, shards: &[(&Path, Vec<&TensorInfo>)]) -> Result<Vec<String>> {
        self.check_folder()?;
        let shown = |path: &Path| quote(&path.file_name().unwrap_or_default().to_string_lossy());
        let mut places: BTreeMap<&str, &Path> = BTreeMap::new();
        let (mut bytes, mut unmapped) = (0u64, Vec::new());
        for (here, tensors) in shards {
            for tensor in tensors {
                let name = &tensor.name;
                if let Some(first) = places.insert(name, here) {
                    let message = format!(
                        "tensor {} is in {} and in {}",
                        quote(name),
                        shown(first),
                        shown(here)
                    );
                    return Err(invalid(INDEX_TENSOR_TWICE, message).tensor(name).expected(
                        "every tensor in one shard",
                        format!("{} and {}", shown(first), shown(here)),
                    ));
                }
                bytes = bytes.saturating_add(tensor.bytes());
                match self.text.weight_map.get(name) {
                    None => unmapped.push(name),
                    Some(shard) if here.ends_with(shard) => {}
                    Some(shard) => {
                        let message = format!("tensor {} lies elsewhere", quote(name));
                        return Err(invalid(INDEX_TENSOR_ELSEWHERE, message)
                            .tensor(name)
                            .expected(quote(shard), shown(here)));
                    }
                }
            }
        }
        let missing =
            self.text.weight_map.iter().find(|(name, _)| !places.contains_key(name.as_str()));
        if let Some((missing, shard)) = missing {
            return Err(invalid(
                INDEX_TENSOR_MISSING,
                format!("tensor {} is in no shard", quote(missing)),
            )
            .tensor(missing)
            .expected(format!("{} in {}", quote(missing), quote(shard)), "in no shard"));
        }
        let mut notes: Vec<String> = self.text.size_note(bytes).into_iter().collect();
        let name = shown(&self.path);
        notes.extend(unmapped.iter().map(|tensor| {
            format!("{name} leaves out the tensor {}, which is loaded", quote(tensor))
        }));
        Ok(notes)
    }
}

impl Text {
    /// A note on a total size that is not the number of bytes of all tensors.
    fn size_note(&self, bytes: u64) -> Option<String> {
        let told = self.metadata.get("total_size").filter(|told| !told.is_null())?;
        (told.as_u64() != Some(bytes)).then(|| {
            let told = json_text(told);
            format!("the index's total_size is {told}; the tensors have {bytes} bytes, which count")
        })
    }
}

/// Returns stem and count of a shard's name, such as `model` and `00002` for
/// `model-00001-of-00002.safetensors`.
pub(super) fn numbering(name: &str) -> Option<(&str, &str)> {
    let (rest, count) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(number) && digits(count)).then_some((stem, count))
}

fn parse(bytes: &[u8]) -> Result<Text> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| invalid(INDEX_NOT_JSON, "not UTF-8").expected("UTF-8", error))?;
    json_bounds::check(bytes, MEMORY).map_err(|found| {
        invalid(INDEX_TOO_LONG, "an index that takes too much memory")
            .expected("values that take less memory, and nest less deep", found)
    })?;
    // Check with the strict reader first: serde would silently keep the last of two equal keys.
    json::check(text).map_err(|error| {
        invalid(INDEX_NOT_JSON, "not strict JSON").expected("one JSON object", error.shown(text))
    })?;
    let text: Text = serde_json::from_str(text).map_err(|error| {
        invalid(INDEX_FORM, "not in an index's form")
            .expected("a weight_map from names to shards", error)
    })?;
    if text.weight_map.is_empty() {
        return Err(invalid(INDEX_FORM, "no tensors")
            .expected("a weight_map from names to shards", "one without names"));
    }
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

fn invalid(cause: impl Into<Cause>, message: impl Into<String>) -> LoadError {
    LoadError::header(cause, message)
}

#[cfg(test)]
mod tests;
