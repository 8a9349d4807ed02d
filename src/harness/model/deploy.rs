//! Writes the thirteen encoder models to a folder for a warm start: weights, configurations and
//! goldens, with the registry entry of each.

use std::fs;
use std::io;
use std::path::Path;

use super::file;
use super::registry::{Entry, Scale};
use crate::contract::registry::{GoldenFiles, RegisteredModel};

/// Why a model was not written.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A file or folder could not be written.
    #[error("cannot write model {id}: {source}")]
    Write {
        /// Id of the model.
        id: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// A written file does not have its pinned digest: the generator is wrong, or the machine is.
    #[error(
        "model {id} does not have its pinned digest: {file}: expected SHA-256 {expected}, found \
         {found}"
    )]
    Pin {
        /// Id of the model.
        id: String,
        /// Name of the file.
        file: String,
        /// The pinned SHA-256.
        expected: String,
        /// The SHA-256 of the written file.
        found: String,
    },
    /// The registry cannot be read, or lacks the scale.
    #[error("{0}")]
    Registry(String),
}

/// Writes one model below a folder, checks its digests against the pinned ones, and returns its
/// entry for a warm start's registry. Calls `done` with the size in bytes of each written tensor.
///
/// # Errors
/// [`DeployError`].
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
        seal: None,
        golden: GoldenFiles {
            input: "golden/test_input.bin".into(),
            output: "golden/golden_output.bin".into(),
        },
        tolerance: entry.tolerance(scale),
    })
}
