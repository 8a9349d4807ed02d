//! A GGUF runtime beside the bundled loader: the loader of a manifest, with the same weights as a GGUF file.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::cli::CommandError;
use crate::cli::bench::frame::{Holding, PATIENCE, hold};
use crate::cli::bench::peer::Peer;
use crate::contract::Device;
use crate::contract::inference::Head;
use crate::contract::request::Format;
use crate::harness::manifest::Manifest;
use crate::harness::model::foreign::{self, Beside};
use crate::harness::model::{Model, file};
use crate::loader::open::checkpoint::Checkpoint;

/// The arm's name in the output.
pub const ARM: &str = "GGUF";

/// The option that names one.
#[derive(Debug, Args)]
pub struct Runtime {
    /// Manifest of a GGUF loader, such as llama.cpp's, to measure over the same weights.
    #[arg(long, value_name = "FILE")]
    gguf_runtime: Option<PathBuf>,
}

impl Runtime {
    /// Reads the manifest, if one is named.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn manifest(&self) -> Result<Option<Manifest>, CommandError> {
        self.gguf_runtime.as_deref().map(Manifest::load).transpose().map_err(CommandError::usage)
    }
}

/// Writes the model of a folder to a GGUF file, and lets the runtime load it.
///
/// # Errors
/// Why the model cannot be written, or the runtime does not load it.
pub fn start(
    manifest: &Manifest,
    folder: &Path,
    into: &Path,
    device: Device,
) -> Result<Holding, String> {
    // Started first, because writing takes long and a wrong manifest should be told at once.
    let peer = Peer::of_manifest(manifest, PATIENCE)?;
    let say = |error: &dyn std::fmt::Display| error.to_string();
    let model = read(folder)?;
    let written = foreign::write(&model, Format::Gguf, None, None, &Beside::default())?;
    drop(model);
    // The peer has another working folder, so the path must be absolute.
    let into = std::path::absolute(into).map_err(|error| say(&error))?;
    std::fs::write(&into, &written.bytes).map_err(|error| say(&error))?;
    drop(written);
    let checkpoint = Checkpoint::find(&into).map_err(|error| say(&error))?;
    hold(peer, checkpoint.tokens(device, false, Head::Logits {}))
}

/// Reads the model of a folder into memory, without end tokens: every arm generates the same number of
/// tokens.
fn read(folder: &Path) -> Result<Model, String> {
    let checkpoint = Checkpoint::find(folder).map_err(|error| error.to_string())?;
    let open =
        |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let mut config: Value = serde_json::from_slice(&open(&folder.join("config.json"))?)
        .map_err(|error| format!("config.json: {error}"))?;
    let fields = config.as_object_mut().ok_or("config.json holds no object")?;
    fields.remove("eos_token_id");
    // The form of transformers 5. Older configurations have the base beside it.
    if !fields.contains_key("rope_parameters")
        && fields.get("rope_scaling").is_none_or(Value::is_null)
    {
        let base = fields.get("rope_theta").cloned().unwrap_or_else(|| json!(10_000.0));
        fields.insert(
            "rope_parameters".to_owned(),
            json!({"rope_type": "default", "rope_theta": base}),
        );
    }
    let mut tensors = Vec::new();
    for path in file::of_checkpoint(&checkpoint.weights).map_err(|error| error.to_string())? {
        tensors.extend(Model::tensors_of(&open(&path)?)?);
    }
    Ok(Model { config, head: Head::Logits {}, tensors, shards: 1 })
}
