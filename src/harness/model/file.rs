//! Writes a model as files: `config.json`, and one safetensors file or several with an index.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Model, Recipe, config, fill, tensors};
use crate::contract::DType;
use crate::harness::hex::hex;
use crate::harness::regular;

/// Name of the weight file of a model with one file.
pub const SINGLE: &str = "model.safetensors";

/// Name of the index of a model with several weight files.
pub const INDEX: &str = "model.safetensors.index.json";

/// Name of the configuration file.
pub const CONFIG: &str = "config.json";

/// The weight files that were written, by name: size in bytes, and SHA-256 in hex.
pub type Written = BTreeMap<String, (u64, String)>;

/// Name, dtype, shape and size in bytes of a tensor.
struct Entry {
    name: String,
    dtype: DType,
    shape: Vec<usize>,
    bytes: u64,
}

/// The weight files of a checkpoint: the named file itself, or the files that a named index lists.
///
/// # Errors
/// If the index cannot be read or has no `weight_map`.
pub fn of_checkpoint(named: &Path) -> io::Result<Vec<PathBuf>> {
    if named.extension().is_none_or(|ending| ending != "json") {
        return Ok(vec![named.to_owned()]);
    }
    let index: Value = serde_json::from_slice(&regular::document(named, regular::LARGE)?)?;
    let places = index["weight_map"].as_object().into_iter().flat_map(|map| map.values());
    let names: BTreeSet<&str> = places.filter_map(Value::as_str).collect();
    match names.is_empty() {
        true => Err(io::Error::other(format!("{}: no weight_map", named.display()))),
        false => Ok(names.into_iter().map(|name| named.with_file_name(name)).collect()),
    }
}

/// Writes a model from memory.
///
/// # Errors
/// The operating system's error.
pub fn write_model(model: &Model, folder: &Path) -> io::Result<Written> {
    let entries: Vec<Entry> = model
        .tensors
        .iter()
        .map(|tensor| Entry {
            name: tensor.name.clone(),
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            bytes: tensor.bytes.len() as u64,
        })
        .collect();
    write_config(&model.config, folder)?;
    let bytes = |at: usize| Cow::Borrowed(model.tensors[at].bytes.as_slice());
    write(&entries, bytes, model.shards, folder, &|_| ())
}

/// Generates and writes a recipe's model, with one tensor in memory at a time. Calls `done` with
/// the size in bytes of each tensor after it was written.
///
/// # Errors
/// The operating system's error.
pub fn write_recipe(recipe: &Recipe, folder: &Path, done: &dyn Fn(u64)) -> io::Result<Written> {
    let specs = tensors::of(recipe);
    let entries: Vec<Entry> = specs
        .iter()
        .map(|spec| Entry {
            name: spec.name.clone(),
            dtype: recipe.dtype,
            shape: spec.shape.clone(),
            bytes: spec.elements() as u64 * recipe.dtype.bits() / 8,
        })
        .collect();
    write_config(&config::of(recipe), folder)?;
    let bytes = |at: usize| Cow::Owned(fill::bytes(&recipe.seed, &specs[at], recipe.dtype));
    write(&entries, bytes, recipe.shards, folder, done)
}

fn write_config(config: &serde_json::Value, folder: &Path) -> io::Result<()> {
    fs::write(folder.join(CONFIG), serde_json::to_vec_pretty(config)?)
}

fn write<'b>(
    entries: &[Entry],
    bytes: impl Fn(usize) -> Cow<'b, [u8]>,
    shards: usize,
    folder: &Path,
    done: &dyn Fn(u64),
) -> io::Result<Written> {
    let total: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let (mut written, mut map) = (Written::new(), BTreeMap::new());
    let mut first = 0;
    for shard in 0..shards {
        let name = match shards {
            1 => SINGLE.to_owned(),
            _ => format!("model-{:05}-of-{shards:05}.safetensors", shard + 1),
        };
        // Each shard gets about the same number of bytes, and at least one tensor stays for each
        // shard that follows.
        let most = entries.len() - (shards - shard - 1);
        let (mut end, mut size) = (first, 0);
        while end < most && (end == first || shard + 1 == shards || size < total / shards as u64) {
            size += entries[end].bytes;
            end += 1;
        }
        let part = &entries[first..end];
        let mut file = Hashed { file: File::create(folder.join(&name))?, hasher: Sha256::new() };
        let header = header(part);
        file.put(&header)?;
        for at in first..end {
            let bytes = bytes(at);
            file.put(&bytes)?;
            done(bytes.len() as u64);
        }
        map.extend(part.iter().map(|entry| (entry.name.clone(), name.clone())));
        written.insert(name, (header.len() as u64 + size, file.digest()));
        first = end;
    }
    if shards > 1 {
        let index = json!({"metadata": {"total_size": total}, "weight_map": map});
        fs::write(folder.join(INDEX), serde_json::to_vec_pretty(&index)?)?;
    }
    Ok(written)
}

/// Length prefix and header text, padded so that data begins at a multiple of 16 bytes.
fn header(entries: &[Entry]) -> Vec<u8> {
    let mut at = 0;
    let members: Vec<String> = entries
        .iter()
        .map(|Entry { name, dtype, shape, bytes }| {
            let begin = at;
            at += bytes;
            let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, at]});
            format!("{}:{entry}", json!(name))
        })
        .collect();
    let mut text = format!("{{{}}}", members.join(","));
    while text.len() % 16 != 8 {
        text.push(' ');
    }
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

struct Hashed {
    file: File,
    hasher: Sha256,
}

impl Hashed {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)
    }

    fn digest(self) -> String {
        hex(&self.hasher.finalize())
    }
}
