//! The run's own checkpoint: described, read once, and shared by every case that runs it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::placed::{OracleCell, PlaceError};
use crate::harness::evidence::digest::sha256_hex;
use crate::harness::fixture::Fixture;
use crate::harness::model::chat::GENERATION;
use crate::harness::model::described::{self, Described, Naming, Unusual};
use crate::harness::model::{Architecture, Model, Tensor, file};
use crate::harness::regular;

/// What the run was given with `--model`, by its `config.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, or weights without a configuration.
    None,
    /// An encoder.
    Encoder(Architecture),
    /// A decoder.
    Decoder(Architecture),
    /// Something that the judge cannot describe, and why.
    Unknown(String),
}

impl Kind {
    /// Reads `config.json` beside a checkpoint.
    pub fn of(checkpoint: &Path) -> Kind {
        let Some(folder) = checkpoint.parent() else { return Kind::None };
        let config = match config(folder) {
            Ok(config) => config,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Kind::None,
            Err(error) => return Kind::Unknown(format!("--model: {}: {error}", file::CONFIG)),
        };
        match described::architecture(&config) {
            Ok(architecture) if architecture.is_decoder() => Kind::Decoder(architecture),
            Ok(architecture) => Kind::Encoder(architecture),
            Err(why) => Kind::Unknown(format!("--model: {why}")),
        }
    }

    /// The architecture, if the judge knows it.
    pub fn architecture(&self) -> Option<Architecture> {
        match self {
            Kind::Encoder(architecture) | Kind::Decoder(architecture) => Some(*architecture),
            Kind::None | Kind::Unknown(_) => None,
        }
    }
}

/// Whether the heads of a checkpoint have a size that its architecture leaves to `head_dim`. Those of Qwen3
/// always have.
pub fn has_own_head(checkpoint: &Path) -> bool {
    let config = checkpoint.parent().and_then(|folder| config(folder).ok()).unwrap_or_default();
    let size = |name: &str| config.get(name).and_then(Value::as_u64);
    let sizes = (size("head_dim"), size("num_attention_heads"), size("hidden_size"));
    match (described::architecture(&config), sizes) {
        (Ok(Architecture::Qwen3) | Err(_), _) => false,
        (Ok(_), (Some(size), Some(heads), Some(hidden))) => size.checked_mul(heads) != Some(hidden),
        _ => false,
    }
}

/// The run's own checkpoint.
pub struct Given {
    /// Its folder.
    pub folder: PathBuf,
    /// The weight file, or the index.
    pub checkpoint: PathBuf,
    /// Its weight files.
    pub files: Vec<PathBuf>,
    /// The content of `config.json`.
    pub config: Value,
    /// What it is.
    pub described: Arc<Described>,
    /// Which tensor is which weight.
    pub naming: Naming,
    /// Its weight files, as the judge compares them.
    pub fixture: Arc<Fixture>,
    /// What the oracle runs.
    pub model: Arc<Model>,
    /// Tensors that its architecture does not use.
    pub stray: Vec<String>,
    /// What is unusual in its files.
    pub unusual: Arc<Unusual>,
    /// The oracle over it, once a case has asked for it.
    pub oracle: OracleCell,
}

impl Given {
    /// Reads and describes a checkpoint.
    ///
    /// # Errors
    /// [`PlaceError::Lacking`] with what the judge cannot describe or read.
    pub fn read(checkpoint: &Path) -> Result<Given, PlaceError> {
        let lacking = |why: String| PlaceError::Lacking(format!("--model: {why}"));
        let folder = checkpoint.parent().unwrap_or(Path::new("")).to_owned();
        let told = |error: io::Error| lacking(format!("{}: {error}", file::CONFIG));
        let config = config(&folder).map_err(told)?;
        // The configuration alone decides most, before gigabytes are read.
        Described::of(&config).map_err(lacking)?;
        let files = file::of_checkpoint(checkpoint).map_err(|error| lacking(error.to_string()))?;
        let (mut tensors, mut contents) = (Vec::new(), Vec::new());
        for path in &files {
            let told =
                |error: &dyn std::fmt::Display| lacking(format!("{}: {error}", path.display()));
            let bytes = fs::read(path).map_err(|error| told(&error))?;
            tensors.extend(Model::tensors_of(&bytes).map_err(|error| told(&error))?);
            let digest = sha256_hex(&bytes);
            contents.push((bytes, digest));
        }
        let fixture = Fixture::of_files(contents).map_err(|error| lacking(error.to_string()))?;
        let (described, naming) = Described::read(&config, &tensors).map_err(lacking)?;
        let stray = stray(&naming, &tensors);
        let mut odd = Unusual::of(&config, &described, &naming, &tensors);
        unusual(&folder, checkpoint, &described, &mut odd);
        let model = naming.model(&described, tensors, files.len());
        Ok(Given {
            folder,
            checkpoint: checkpoint.to_owned(),
            files,
            config,
            described: Arc::new(described),
            naming,
            fixture: Arc::new(fixture),
            model: Arc::new(model),
            stray,
            unusual: Arc::new(odd),
            oracle: OracleCell::default(),
        })
    }

    /// Its tensors under their published names, in the order of the files.
    pub fn tensors(&self) -> Vec<Tensor> {
        let all = self.fixture.tensors.as_deref().unwrap_or_default();
        all.iter()
            .map(|truth| Tensor {
                name: truth.name.clone(),
                dtype: truth.dtype,
                shape: truth.shape.iter().map(|size| *size as usize).collect(),
                bytes: self.fixture.bytes[truth.range.clone()].to_vec(),
            })
            .collect()
    }
}

/// The names of tensors that the architecture does not use.
pub(super) fn stray(naming: &Naming, tensors: &[Tensor]) -> Vec<String> {
    let unused = tensors.iter().filter(|tensor| naming.own(&tensor.name).is_none());
    unused.map(|tensor| tensor.name.clone()).collect()
}

/// Adds what is unusual in the files beside the weights.
fn unusual(folder: &Path, checkpoint: &Path, described: &Described, all: &mut Unusual) {
    let json = |name: &str| -> Option<Value> {
        let most = if name == file::INDEX { regular::LARGE } else { regular::SMALL };
        serde_json::from_slice(&regular::document(&folder.join(name), most).ok()?).ok()
    };
    if let Some(settings) = json(GENERATION) {
        all.settings(&settings, described.recipe.sizes.vocabulary);
    }
    if let Some(index) = json(file::INDEX) {
        if !checkpoint.ends_with(file::INDEX) {
            all.file(file::INDEX, "an index beside a file of all weights");
        } else if !index["metadata"]["total_size"].is_u64() {
            all.file(file::INDEX, "an index without the size of the weights");
        }
    }
}

fn config(folder: &Path) -> io::Result<Value> {
    Ok(serde_json::from_slice(&regular::document(&folder.join(file::CONFIG), regular::SMALL)?)?)
}
