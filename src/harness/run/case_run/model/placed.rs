//! A model on disk, with everything that the harness knows about it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::contract::inference::{Batch, Compute, Inference, OutputKind, Traced, TracedForward};
use crate::contract::request::Format;
use crate::harness::fixture::Fixture;
use crate::harness::model::chat::{self, Voice};
use crate::harness::model::described::{Described, Unusual};
use crate::harness::model::published;
use crate::harness::model::registry::Scale;
use crate::harness::model::tokenizer::MadeTokenizer;
use crate::harness::model::{Model, Recipe, file};
use crate::harness::oracle::forward::{Oracle, OracleError, Precision};
use crate::harness::regular;
use crate::harness::run::case_run::case_end::CaseEnd;

/// A model with more bytes of weights than this is large.
const LARGE: usize = 1 << 30;

/// How far the logits of a published model may be off in F32, relative to the largest. Trained weights
/// have states with few, very large values, beside which a sum in F32 loses more than in a random model:
/// over random tokens, SmolLM2-135M in transformers' own F32 is up to 7e-5 off its F64.
pub const OF_PUBLISHED: f64 = 3e-4;

/// The oracle over a model, once somebody has asked for it.
pub type OracleCell = Arc<Mutex<Option<Oracle>>>;

/// A model on disk.
pub struct PlacedModel {
    /// Its folder.
    pub folder: PathBuf,
    /// What a loader is given to load: the weight file, or the index.
    pub weights: PathBuf,
    /// What it was made from.
    pub recipe: Recipe,
    /// The model, as it was made, before any damage to files.
    pub model: Arc<Model>,
    /// The description of the run's own checkpoint, if it is that.
    pub given: Option<Arc<Described>>,
    /// What is unusual in the files of the run's own checkpoint.
    pub unusual: Arc<Unusual>,
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
    /// The oracle over it.
    pub oracle: OracleCell,
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
        let read = |(name, (size, digest)): (String, (u64, String))| {
            Ok((regular::read_at_most(&folder.join(name), size)?, digest))
        };
        let files = written.into_iter().map(read).collect::<io::Result<Vec<_>>>()?;
        let fixture =
            Fixture::of_files(files).map_err(|error| PlaceError::Source(error.to_string()))?;
        let name = if model.shards > 1 { file::INDEX } else { file::SINGLE };
        let weights = folder.join(name);
        Ok(PlacedModel::of(folder, weights, recipe, Arc::new(model), Arc::new(fixture)))
    }

    /// A model whose files are in place, and that has nothing but weights and a configuration.
    pub(super) fn of(
        folder: PathBuf,
        weights: PathBuf,
        recipe: Recipe,
        model: Arc<Model>,
        fixture: Arc<Fixture>,
    ) -> Self {
        PlacedModel {
            folder,
            weights,
            recipe,
            model,
            given: None,
            unusual: Arc::default(),
            tokenizer: None,
            fixture,
            id: None,
            voice: None,
            scale: Scale::Small,
            ending: None,
            stray: Vec::new(),
            format: Format::Safetensors,
            oracle: OracleCell::default(),
        }
    }

    /// Writes the documents of a model with the same weights over its own: in place, each with the time of
    /// modification that it had. Returns the other model, in this one's folder.
    ///
    /// # Errors
    /// If a file operation fails, or the weights differ.
    pub fn with_documents_of(&self, other: &PlacedModel) -> Result<PlacedModel, PlaceError> {
        if self.fixture.sha256() != other.fixture.sha256() {
            return Err(PlaceError::Source("the models have other weights".to_owned()));
        }
        for entry in fs::read_dir(&other.folder)? {
            let path = entry?.path();
            let is_document = path.extension().is_some_and(|end| end == "json" || end == "jinja");
            let Some(name) = path.file_name().filter(|_| is_document) else { continue };
            let own = self.folder.join(name);
            let before = fs::metadata(&own).and_then(|metadata| metadata.modified());
            let text = regular::read(&path)?;
            match own.symlink_metadata() {
                Ok(_) => regular::overwrite(&own, &text)?,
                Err(_) => fs::write(&own, text)?,
            }
            if let Ok(before) = before {
                regular::open_to_write(&own)?.set_modified(before)?;
            }
        }
        Ok(PlacedModel {
            folder: self.folder.clone(),
            weights: self.weights.clone(),
            recipe: other.recipe.clone(),
            model: Arc::clone(&other.model),
            given: other.given.clone(),
            unusual: Arc::clone(&other.unusual),
            tokenizer: other.tokenizer.clone(),
            fixture: Arc::clone(&self.fixture),
            id: other.id.clone(),
            voice: other.voice.clone(),
            scale: other.scale,
            ending: other.ending.clone(),
            stray: other.stray.clone(),
            format: other.format,
            oracle: OracleCell::clone(&other.oracle),
        })
    }

    /// Runs the oracle over it: in F64, or in F32 where the model is large, because F64 would need
    /// twice the memory. The tolerances are for F32 anyway.
    ///
    /// # Errors
    /// The oracle's error.
    pub fn oracle(&self, batch: &Batch, trace: bool) -> Result<Traced, OracleError> {
        let bytes: usize = self.model.tensors.iter().map(|tensor| tensor.bytes.len()).sum();
        if bytes > LARGE {
            return Oracle::new(&self.model, Precision::F32)?.forward(batch, trace);
        }
        let mut kept = self.oracle.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *kept {
            Some(oracle) => oracle.forward(batch, trace),
            none => none.insert(Oracle::new(&self.model, Precision::F64)?).forward(batch, trace),
        }
    }

    /// The tolerance of a case over this model.
    pub fn tolerance(&self, of_case: f64) -> f64 {
        match &self.given {
            Some(_) => of_case.max(OF_PUBLISHED),
            None => of_case,
        }
    }

    /// How a case ends that needs what this model does not have: untested if the model is the run's
    /// own checkpoint, a fault of the case otherwise.
    pub fn lacks(&self, why: impl Into<String>) -> CaseEnd {
        match &self.given {
            Some(_) => CaseEnd::Untested(format!("--model: {}", why.into())),
            None => CaseEnd::Fault(why.into()),
        }
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
                compute: Compute::Exact,
            };
        }
        Inference {
            config: Some(self.folder.join(file::CONFIG)),
            tokenizer: (self.tokenizer.is_some() || self.voice.is_some())
                .then(|| self.tokenizer_path()),
            template: self.voice.is_some().then(|| self.folder.join(published::TEMPLATE)),
            generation: Some(self.folder.join(chat::GENERATION)).filter(|path| path.exists()),
            head: self.recipe.head(),
            compute: Compute::Exact,
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
        let generation = regular::read(&self.folder.join(chat::GENERATION)).ok();
        let generation = generation.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let config = &self.model.config;
        let value = generation.and_then(|value| value.get("eos_token_id").cloned());
        let value = value.unwrap_or_else(|| config["eos_token_id"].clone());
        let all = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
        all.iter().filter_map(Value::as_u64).map(|id| id as u32).collect()
    }

    /// Leaves nothing but the end tokens in its generation_config.json, because a model in another
    /// format cannot carry the other settings. The file is replaced, because it may be a link.
    ///
    /// # Errors
    /// If a file operation fails.
    pub fn keep_ends_only(&self) -> Result<(), PlaceError> {
        let (path, ends) = (self.folder.join(chat::GENERATION), self.ends());
        if !path.is_file() {
            return Ok(());
        }
        fs::remove_file(&path)?;
        if !ends.is_empty() {
            fs::write(path, serde_json::to_vec(&json!({ "eos_token_id": ends }))?)?;
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::model::{Architecture, HeadKind, random};

    #[test]
    fn only_the_end_tokens_are_kept_and_a_linked_file_stays() {
        let (below, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let recipe = random::recipe(Architecture::Qwen3, Some(HeadKind::Logits), 4);
        let model = Model::build(&recipe);
        let placed = PlacedModel::write(model, recipe, below.path()).unwrap();
        let path = placed.folder.join(chat::GENERATION);
        placed.keep_ends_only().unwrap();
        assert!(!path.exists(), "there was none");
        let published = own.path().join("published");
        for (ends, kept) in [
            (json!([3, 5]), Some(json!({"eos_token_id": [3, 5]}))),
            (json!(7), Some(json!({"eos_token_id": [7]}))),
            (json!([]), None),
        ] {
            let settings = json!({"eos_token_id": ends, "repetition_penalty": 1.5, "top_k": 4});
            fs::write(&published, settings.to_string()).unwrap();
            std::os::unix::fs::symlink(&published, &path).unwrap();
            placed.keep_ends_only().unwrap();
            let read = |path: &Path| -> Option<Value> {
                serde_json::from_slice(&fs::read(path).ok()?).ok()
            };
            assert_eq!(read(&path), kept);
            assert_eq!(read(&published), Some(settings), "the published file");
            let _gone = fs::remove_file(&path);
        }
    }
}
