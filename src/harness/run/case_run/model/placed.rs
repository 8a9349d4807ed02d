//! A model on disk, with everything that the harness knows about it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::contract::inference::{Inference, OutputKind};
use crate::contract::request::Format;
use crate::harness::fixture::Fixture;
use crate::harness::model::chat::{self, Voice};
use crate::harness::model::published;
use crate::harness::model::registry::Scale;
use crate::harness::model::tokenizer::MadeTokenizer;
use crate::harness::model::{Model, Recipe, file};

/// A model on disk.
pub struct PlacedModel {
    /// Its folder.
    pub folder: PathBuf,
    /// What a loader is given to load: the weight file, or the index.
    pub weights: PathBuf,
    /// What it was made from.
    pub recipe: Recipe,
    /// The model, as it was made, before any damage to files.
    pub model: Model,
    /// Its tokenizer, where it has one.
    pub tokenizer: Option<MadeTokenizer>,
    /// Its weight files.
    pub fixture: Arc<Fixture>,
    /// Its id in the registry.
    pub id: Option<String>,
    /// Its chat template and the tokenizer for it, if it can chat.
    pub voice: Option<Voice>,
    /// Its scale.
    pub scale: Scale,
    /// The prompt after which it was built to end.
    pub ending: Option<Vec<u32>>,
    /// Tensors that its architecture does not use.
    pub stray: Vec<String>,
    /// The format of its weight file.
    pub format: Format,
}

/// Why a model could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A file operation failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The case asks for something that does not exist.
    #[error("{0}")]
    Source(String),
    /// The run's own checkpoint lacks what the case needs.
    #[error("{0}")]
    Lacking(String),
}

impl PlacedModel {
    /// Writes a model below a folder.
    ///
    /// # Errors
    /// If a file operation fails.
    pub fn write(model: Model, recipe: Recipe, below: &Path) -> Result<Self, PlaceError> {
        let folder = below.join(format!("{:016x}", rand::random::<u64>()));
        fs::create_dir(&folder)?;
        let written = file::write_model(&model, &folder)?;
        let read = |(name, (_, digest)): (String, (u64, String))| {
            Ok((fs::read(folder.join(name))?, digest))
        };
        let files = written.into_iter().map(read).collect::<io::Result<Vec<_>>>()?;
        let fixture =
            Fixture::of_files(files).map_err(|error| PlaceError::Source(error.to_string()))?;
        let name = if model.shards > 1 { file::INDEX } else { file::SINGLE };
        Ok(PlacedModel {
            weights: folder.join(name),
            fixture: Arc::new(fixture),
            folder,
            recipe,
            model,
            tokenizer: None,
            id: None,
            voice: None,
            scale: Scale::Small,
            ending: None,
            stray: Vec::new(),
            format: Format::Safetensors,
        })
    }

    /// Updates the paths after the folder was moved.
    pub fn moved(&mut self, folder: PathBuf) {
        let name = self.weights.file_name().map(PathBuf::from).unwrap_or_default();
        self.weights = folder.join(name);
        self.folder = folder;
    }

    /// The part of a load request that says how to run it. A GGUF or APR file holds everything
    /// itself, so no other file is named.
    pub fn inference(&self) -> Inference {
        if !self.format.is_usual() {
            let head = self.recipe.head();
            return Inference {
                config: None,
                tokenizer: None,
                template: None,
                generation: None,
                head,
            };
        }
        Inference {
            config: Some(self.folder.join(file::CONFIG)),
            tokenizer: (self.tokenizer.is_some() || self.voice.is_some())
                .then(|| self.tokenizer_path()),
            template: self.voice.is_some().then(|| self.folder.join(published::TEMPLATE)),
            generation: Some(self.folder.join(chat::GENERATION)).filter(|path| path.exists()),
            head: self.recipe.head(),
        }
    }

    /// The kind of its output.
    pub fn gives(&self) -> OutputKind {
        self.recipe.output.gives()
    }

    /// Rows of its word embeddings.
    pub fn vocabulary(&self) -> usize {
        self.recipe.sizes.vocabulary
    }

    /// Its longest input, in tokens.
    pub fn longest(&self) -> usize {
        self.recipe.sizes.longest(self.recipe.architecture)
    }

    /// The tokens that end its sequences.
    pub fn ends(&self) -> Vec<u32> {
        let generation = fs::read(self.folder.join(chat::GENERATION)).ok();
        let generation = generation.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let config = &self.model.config;
        let value = generation.and_then(|value| value.get("eos_token_id").cloned());
        let value = value.unwrap_or_else(|| config["eos_token_id"].clone());
        let all = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
        all.iter().filter_map(Value::as_u64).map(|id| id as u32).collect()
    }

    /// The path of its tokenizer, if it has one.
    pub(super) fn tokenizer_path(&self) -> PathBuf {
        self.folder.join("tokenizer.json")
    }
}

/// The names of a model's tensors.
pub(super) fn names(model: &Model) -> BTreeSet<String> {
    model.tensors.iter().map(|tensor| tensor.name.clone()).collect()
}

impl From<serde_json::Error> for PlaceError {
    fn from(error: serde_json::Error) -> Self {
        PlaceError::Source(error.to_string())
    }
}
