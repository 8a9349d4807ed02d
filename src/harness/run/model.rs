//! Models of a case as they stand on disk, damage included, with everything that is known of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::contract::DType;
use crate::contract::encoder::Inference;
use crate::harness::case::encoder::{ModelDamage, ModelSource};
use crate::harness::fixture::Fixture;
use crate::harness::model::registry::{self, Scale};
use crate::harness::model::tokenizer::MadeTokenizer;
use crate::harness::model::{Architecture, Model, Recipe, file, random};

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
}

impl PlacedModel {
    /// Makes a model below a folder.
    ///
    /// # Errors
    /// As [`PlaceError`] says.
    pub fn place(source: &ModelSource, seed: u64, below: &Path) -> Result<Self, PlaceError> {
        let recipe = recipe(source, seed)?;
        PlacedModel::of(recipe, source, seed, below)
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
        for damage in &source.damage {
            to_model(damage, &mut model, &recipe)?;
        }
        let tokenizer = source.tokenizer.then(|| {
            MadeTokenizer::new(recipe.sizes.vocabulary, recipe.sizes.padding, seed ^ 0x70)
        });
        let mut placed = PlacedModel::write(model, recipe, below)?;
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
        let files: Vec<Vec<u8>> =
            written.keys().map(|name| fs::read(folder.join(name))).collect::<io::Result<_>>()?;
        let name = if model.shards > 1 { file::INDEX } else { file::SINGLE };
        Ok(PlacedModel {
            weights: folder.join(name),
            fixture: Arc::new(Fixture::of_files(&files)),
            folder,
            recipe,
            model,
            tokenizer: None,
            id: None,
        })
    }

    /// How a loader is told to run it.
    pub fn inference(&self) -> Inference {
        Inference {
            config: self.folder.join(file::CONFIG),
            tokenizer: self.tokenizer.as_ref().map(|_| self.tokenizer_path()),
            template: None,
            generation: None,
            head: self.recipe.head(),
        }
    }

    fn tokenizer_path(&self) -> PathBuf {
        self.folder.join("tokenizer.json")
    }
}

fn recipe(source: &ModelSource, seed: u64) -> Result<Recipe, PlaceError> {
    if let Some(id) = &source.registry {
        let entry = registry::model(id).map_err(PlaceError::Source)?;
        return entry.recipe(Scale::Small).map_err(PlaceError::Source);
    }
    let architecture = source.random.unwrap_or(Architecture::Bert);
    let mut recipe = random::recipe(architecture, source.pooling, seed);
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
