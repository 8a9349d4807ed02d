//! Models of a case as they stand on disk, damage included, with everything that is known of them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::contract::DType;
use crate::contract::inference::{Inference, OutputKind};
use crate::contract::request::Format;
use crate::harness::case::forward::{ModelDamage, ModelSource};
use crate::harness::fixture::Fixture;
use crate::harness::model::chat::{self, Voice};
use crate::harness::model::registry::{self, Scale};
use crate::harness::model::tokenizer::MadeTokenizer;
use crate::harness::model::{Architecture, Model, Recipe, Tensor, decoders, file, random};

mod decoder;
mod foreign;
mod real;

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
    /// How it is talked to, where it can be.
    pub voice: Option<Voice>,
    /// At which scale, where it has one.
    pub scale: Scale,
    /// The prompt behind which it was built to end.
    pub ending: Option<Vec<u32>>,
    /// Tensors that its architecture does not use.
    pub stray: Vec<String>,
    /// The format of its weight file.
    pub format: Format,
}

/// Why a model could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The system would not.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The case asks for something that there is not.
    #[error("{0}")]
    Source(String),
    /// The run's own checkpoint has not what the case is about.
    #[error("{0}")]
    Lacking(String),
}

impl PlacedModel {
    /// Makes a model below a folder. A decoder that the run was given stands in for the made ones that
    /// are not about their own world.
    ///
    /// # Errors
    /// As [`PlaceError`] says.
    pub fn place(
        source: &ModelSource,
        seed: u64,
        below: &Path,
        checkpoint: Option<&Path>,
    ) -> Result<Self, PlaceError> {
        if let Some(checkpoint) = checkpoint.filter(|_| source.gives_way())
            && let Some(folder) = checkpoint.parent()
            && real::architecture(folder).is_some_and(Architecture::is_decoder)
        {
            return real::place(source, seed, (folder, checkpoint), below);
        }
        if source.full_size {
            let mut recipe = decoders::full_size(DType::BF16, source.layers.unwrap_or(28));
            let sizes = &mut recipe.sizes;
            sizes.vocabulary = source.vocabulary.unwrap_or(sizes.vocabulary);
            sizes.dimension = sizes.vocabulary;
            sizes.positions = source.context.unwrap_or(sizes.positions);
            return PlacedModel::of(recipe, source, seed, below);
        }
        if source.chat {
            return decoder::talker(source, seed, below);
        }
        let recipe = recipe(source, seed)?;
        PlacedModel::of(recipe, source, seed, below)
    }

    /// What a checkpoint is built as, where it is anything that the oracle knows.
    pub fn architecture(checkpoint: &Path) -> Option<Architecture> {
        real::architecture(checkpoint.parent()?)
    }

    /// Makes the model of a recipe below a folder.
    ///
    /// # Errors
    /// As above.
    pub fn of(
        recipe: Recipe,
        source: &ModelSource,
        seed: u64,
        below: &Path,
    ) -> Result<Self, PlaceError> {
        let mut model = Model::build(&recipe);
        let known = names(&model);
        for damage in &source.damage {
            to_model(damage, &mut model, &recipe)?;
        }
        let tokenizer = source.tokenizer.then(|| {
            let beyond =
                source.damage.iter().any(|one| matches!(one, ModelDamage::TokenizerBeyond));
            let size = recipe.sizes.vocabulary + usize::from(beyond);
            MadeTokenizer::new(size, recipe.sizes.padding, seed ^ 0x70)
        });
        let ending = match source.ends_at {
            None => None,
            Some(step) => Some(decoder::build_to_end(&mut model, &recipe, step, seed)?),
        };
        let mut placed = PlacedModel::write(model, recipe, below)?;
        placed.stray = names(&placed.model).difference(&known).cloned().collect();
        placed.scale = source.scale.unwrap_or(Scale::Small);
        placed.ending = ending;
        placed.id.clone_from(&source.registry);
        if let Some(made) = &tokenizer {
            fs::write(placed.tokenizer_path(), serde_json::to_vec(&made.json())?)?;
        }
        placed.tokenizer = tokenizer;
        for damage in &source.damage {
            to_files(damage, &placed)?;
        }
        Ok(placed)
    }

    /// Writes a model below a folder.
    ///
    /// # Errors
    /// What the system says.
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

    /// Takes note that its folder was moved.
    pub fn moved(&mut self, folder: PathBuf) {
        let name = self.weights.file_name().map(PathBuf::from).unwrap_or_default();
        self.weights = folder.join(name);
        self.folder = folder;
    }

    /// How a loader is told to run it. Of a file that says everything itself nothing more is named.
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
            template: self.voice.is_some().then(|| self.folder.join(chat::TEMPLATE)),
            generation: Some(self.folder.join(chat::GENERATION)).filter(|path| path.exists()),
            head: self.recipe.head(),
        }
    }

    /// What it gives.
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

    fn tokenizer_path(&self) -> PathBuf {
        self.folder.join("tokenizer.json")
    }
}

fn names(model: &Model) -> BTreeSet<String> {
    model.tensors.iter().map(|tensor| tensor.name.clone()).collect()
}

fn recipe(source: &ModelSource, seed: u64) -> Result<Recipe, PlaceError> {
    if let Some(id) = &source.registry {
        let entry = registry::model(id).map_err(PlaceError::Source)?;
        return entry.recipe(source.scale.unwrap_or(Scale::Small)).map_err(PlaceError::Source);
    }
    let architecture = source.random.unwrap_or(Architecture::Bert);
    let mut recipe = random::recipe(architecture, source.output, seed);
    if let Some(layers) = source.layers {
        recipe.sizes.layers = layers;
    }
    if let Some(dtype) = source.dtype {
        recipe.dtype = dtype;
    }
    if let Some(normalize) = source.normalize {
        recipe.normalize = normalize;
    }
    if source.projection == Some(false) {
        recipe.projection = None;
        recipe.sizes.dimension = recipe.sizes.hidden;
    }
    recipe.shards = source.shards.unwrap_or(1);
    decoder::adjust(&mut recipe, source);
    Ok(recipe)
}

/// Damage to what is written.
fn to_model(damage: &ModelDamage, model: &mut Model, recipe: &Recipe) -> Result<(), PlaceError> {
    let missing = |name: &str| PlaceError::Source(format!("no tensor {name} to be damaged"));
    match damage {
        ModelDamage::Drop(name) => {
            let at = model.tensors.iter().position(|tensor| tensor.name == *name);
            model.tensors.remove(at.ok_or_else(|| missing(name))?);
        }
        ModelDamage::DropSome(count) => {
            model.tensors.drain(1..=*count);
        }
        ModelDamage::Transpose(name) => {
            model.tensor_mut(name).ok_or_else(|| missing(name))?.shape.reverse();
        }
        ModelDamage::Set(field, value) => {
            let value: Value =
                serde_json::from_str(value).map_err(|e| PlaceError::Source(e.to_string()))?;
            model.config[field.as_str()] = value;
        }
        ModelDamage::Unset(field) => {
            if let Some(config) = model.config.as_object_mut() {
                config.remove(field.as_str());
            }
        }
        ModelDamage::Zero(name) => {
            model.tensor_mut(name).ok_or_else(|| missing(name))?.bytes.fill(0);
        }
        ModelDamage::StrayHead => decoder::add_head(model, recipe),
        ModelDamage::Stray(name) => {
            let first = model.tensors.first().cloned().ok_or_else(|| missing(name))?;
            model.tensors.insert(1, Tensor { name: name.clone(), ..first });
        }
        ModelDamage::Overflow => {
            let name = crate::harness::model::surgery::last_norm(recipe).remove(0);
            let tensor = model.tensor_mut(&name).ok_or_else(|| missing(&name))?;
            let mut values = tensor.values();
            // Squares of these pass the largest F32, so that normalising cannot save the output.
            let huge = if tensor.dtype == DType::F16 { 65504.0 } else { 3.0e38 };
            values.fill(huge);
            tensor.set_values(&values);
        }
        _ => {}
    }
    Ok(())
}

/// Damage to what has been written.
fn to_files(damage: &ModelDamage, placed: &PlacedModel) -> Result<(), PlaceError> {
    let config = placed.folder.join(file::CONFIG);
    let shard = |number: usize| {
        let count = placed.model.shards;
        placed.folder.join(format!("model-{number:05}-of-{count:05}.safetensors"))
    };
    let index = |change: &dyn Fn(&mut Value)| -> Result<(), PlaceError> {
        let mut index: Value = serde_json::from_slice(&fs::read(&placed.weights)?)?;
        change(&mut index);
        fs::write(&placed.weights, serde_json::to_vec(&index)?)?;
        Ok(())
    };
    match damage {
        ModelDamage::NoConfig => fs::remove_file(config)?,
        ModelDamage::Leave(_)
        | ModelDamage::EndsApart
        | ModelDamage::CutTokenizer
        | ModelDamage::NoTemplate
        | ModelDamage::TemplateApart
        | ModelDamage::TemplateTwice
        | ModelDamage::TemplateBroken
        | ModelDamage::EmptyTemplate => decoder::to_files(damage, placed)?,
        ModelDamage::CutConfig => {
            let text = fs::read(&config)?;
            fs::write(config, &text[..text.len() / 2])?;
        }
        ModelDamage::NoTokenizer => fs::remove_file(placed.tokenizer_path())?,
        ModelDamage::NoShard => fs::remove_file(shard(placed.model.shards))?,
        ModelDamage::StrayShard => {
            let count = placed.model.shards;
            let name = format!("model-{:05}-of-{count:05}.safetensors", count + 1);
            fs::copy(shard(1), placed.folder.join(name))?;
        }
        ModelDamage::IndexNamesMore => index(&|index| {
            let first = index["weight_map"].as_object().and_then(|map| map.values().next());
            index["weight_map"]["stray.weight"] = first.cloned().unwrap_or(Value::Null);
        })?,
        ModelDamage::IndexMisplaces => index(&|index| {
            let names = [1, 2]
                .map(|number| json!(shard(number).file_name().map(|n| n.display().to_string())));
            if let Some(map) = index["weight_map"].as_object_mut()
                && let Some(place) = map.values_mut().next()
            {
                let other = usize::from(*place == names[0]);
                *place = names[other].clone();
            }
        })?,
        _ => {}
    }
    Ok(())
}

impl From<serde_json::Error> for PlaceError {
    fn from(error: serde_json::Error) -> Self {
        PlaceError::Source(error.to_string())
    }
}
