//! Makes the models of a case, damages them, and writes them below a folder.

mod apart;
mod damage;
mod decoder;
mod exported;
mod foreign;
mod given;
mod left_open;
mod placed;
mod real;
mod rendered;
mod talker;

use std::fs;
use std::path::Path;

use self::damage::{to_files, to_model};
pub use self::given::{Given, Kind, has_own_head};
pub use self::left_open::left_open;
use self::placed::names;
pub use self::placed::{PlaceError, PlacedModel};
use crate::contract::DType;
use crate::harness::case::full_size::FullSize;
use crate::harness::case::model::{ModelDamage, ModelSource};
use crate::harness::model::registry::{self, Scale};
use crate::harness::model::tokenizer::MadeTokenizer;
use crate::harness::model::{Architecture, Model, Recipe, decoders, random, surgery};

/// Makes a model below a folder. A decoder that the run was given replaces the generated ones,
/// except where the case needs the generated one. `rewrites` says that the case changes weight files
/// in place.
///
/// # Errors
/// As [`PlaceError`] says.
pub fn place(
    source: &ModelSource,
    seed: u64,
    below: &Path,
    given: Option<&Given>,
    rewrites: bool,
) -> Result<PlacedModel, PlaceError> {
    if let Some(given) = given.filter(|_| source.gives_way()) {
        return real::place(source, seed, given, below, rewrites);
    }
    let mut placed = made(source, seed, below)?;
    if source.apart {
        apart::move_weights(&mut placed)?;
    }
    Ok(placed)
}

/// Makes a model of the suite's own below a folder.
fn made(source: &ModelSource, seed: u64, below: &Path) -> Result<PlacedModel, PlaceError> {
    if source.full_size {
        return build(full_size(source.sizes()), source, seed, below);
    }
    if let Some(row) = &source.golden {
        return rendered::place(row, seed, below);
    }
    if source.chat {
        return talker::place(source, seed, below);
    }
    let recipe = recipe(source, seed)?;
    build(recipe, source, seed, below)
}

/// The recipe of a full-size model.
pub fn full_size(sizes: FullSize) -> Recipe {
    let mut recipe = decoders::full_size(DType::BF16, sizes.layers);
    recipe.sizes.vocabulary = sizes.vocabulary;
    recipe.sizes.dimension = sizes.vocabulary;
    recipe.sizes.positions = sizes.context;
    recipe
}

/// Makes the model of a recipe below a folder.
fn build(
    recipe: Recipe,
    source: &ModelSource,
    seed: u64,
    below: &Path,
) -> Result<PlacedModel, PlaceError> {
    let mut model = Model::build(&recipe);
    if let Some(spelled) = &source.spelled {
        spelled.state(&recipe, &mut model.config).map_err(PlaceError::Source)?;
    }
    if let Some(factor) = source.loud {
        surgery::scale_last_norm(&mut model, &recipe, factor);
    }
    if let Some(factor) = source.words {
        surgery::scale_words(&mut model, factor);
    }
    if let Some(by) = source.far_keys {
        surgery::move_keys(&mut model, &recipe, by).map_err(PlaceError::Source)?;
    }
    let known = names(&model);
    for damage in &source.damage {
        to_model(damage, &mut model, &recipe)?;
    }
    let tokenizer = source.tokenizer.then(|| {
        let beyond = source.damage.iter().any(|one| matches!(one, ModelDamage::TokenizerBeyond));
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
    source.exported.iter().try_for_each(|how| exported::export(how, &mut placed))?;
    if let Some(spelled) = &source.spelled {
        spelled.write(&placed.recipe, &placed.folder).map_err(PlaceError::Source)?;
    }
    for damage in &source.damage {
        to_files(damage, &placed)?;
    }
    Ok(placed)
}

/// The recipe of a small model, or of one of the registry.
///
/// # Errors
/// [`PlaceError::Source`] if the registry has no such model.
pub fn recipe(source: &ModelSource, seed: u64) -> Result<Recipe, PlaceError> {
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
    if let Some(types) = source.types {
        recipe.sizes.types = types;
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
    if let Some(spelled) = &source.spelled {
        spelled.settle(&mut recipe).map_err(PlaceError::Source)?;
    }
    Ok(recipe)
}
