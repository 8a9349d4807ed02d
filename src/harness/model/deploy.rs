//! The thirteen models as a folder that a warm start can be given: weights, configurations, goldens
//! and a registry.

use std::fs;
use std::io;
use std::path::Path;

use super::file;
use super::registry::{Entry, Scale};
use crate::contract::registry::{GoldenFiles, RegisteredModel};

/// Why a model was not written.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The system would not.
    #[error("cannot write model {id}: {source}")]
    Write {
        /// The model.
        id: String,
        /// What the system said.
        source: io::Error,
    },
    /// What was made is not what is pinned: the generator or this machine is at fault.
    #[error(
        "model {id} was not made as pinned: {file}: expected SHA-256 {expected}, found {found}"
    )]
    Pin {
        /// The model.
        id: String,
        /// Its file.
        file: String,
        /// The pinned digest.
        expected: String,
        /// The digest of what was written.
        found: String,
    },
    /// The registry is at fault.
    #[error("{0}")]
    Registry(String),
}

/// Writes one model below a folder, checks its digests against the pins, and tells how a warm start
/// finds it. `done` is told of the bytes as they are written.
///
/// # Errors
/// As [`DeployError`] says.
pub fn write(
    entry: &Entry,
    scale: Scale,
    into: &Path,
    done: &dyn Fn(u64),
) -> Result<RegisteredModel, DeployError> {
    let recipe = entry.recipe(scale).map_err(DeployError::Registry)?;
    let folder = into.join(&entry.id);
    let failed = |source| DeployError::Write { id: entry.id.clone(), source };
    fs::create_dir_all(folder.join("golden")).map_err(failed)?;
    let written = file::write_recipe(&recipe, &folder, done).map_err(failed)?;
    let mut sha256 = std::collections::BTreeMap::new();
    for (name, (_, found)) in written {
        let pin = entry.sha256.get(&scale).and_then(|pins| pins.get(&name));
        if let Some(expected) = pin.filter(|pin| **pin != found) {
            let (id, expected) = (entry.id.clone(), expected.clone());
            return Err(DeployError::Pin { id, file: name, expected, found });
        }
        sha256.insert(name, found);
    }
    if let Some(golden) = entry.golden(scale) {
        let lines: Vec<String> =
            sha256.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
        fs::write(folder.join("golden/test_input.bin"), golden.input).map_err(failed)?;
        fs::write(folder.join("golden/golden_output.bin"), golden.output).map_err(failed)?;
        fs::write(folder.join("golden/checksum.txt"), lines.concat()).map_err(failed)?;
    }
    Ok(RegisteredModel {
        id: entry.id.clone(),
        name: entry.name.clone(),
        folder: entry.id.clone().into(),
        config: file::CONFIG.into(),
        weights: if recipe.shards > 1 { file::INDEX } else { file::SINGLE }.into(),
        tokenizer: None,
        head: recipe.head(),
        dtype: recipe.dtype,
        dimension: recipe.sizes.dimension as u64,
        sha256,
        golden: GoldenFiles {
            input: "golden/test_input.bin".into(),
            output: "golden/golden_output.bin".into(),
        },
        tolerance: entry.tolerance(scale),
    })
}
