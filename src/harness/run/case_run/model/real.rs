//! The run's own checkpoint in place of a generated decoder, with its published configuration,
//! tokenizer and chat template.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::damage::{to_files, to_model};
use super::placed::{PlaceError, PlacedModel, names};
use crate::contract::DType;
use crate::harness::case::forward::ModelSource;
use crate::harness::model::chat::{self, Form, Voice};
use crate::harness::model::{
    Architecture, HeadKind, Model, Recipe, Tensor, file, published, random, tensors,
};

/// The names that a size goes by.
type Names = [&'static str; 2];

/// The architecture of a folder's checkpoint, where the oracle knows it.
pub(super) fn architecture(folder: &Path) -> Option<Architecture> {
    let config = fs::read(folder.join(file::CONFIG)).ok()?;
    named(&serde_json::from_slice(&config).ok()?)
}

/// Writes the checkpoint below a folder, with the changes that a case makes.
pub(super) fn place(
    source: &ModelSource,
    seed: u64,
    (folder, checkpoint): (&Path, &Path),
    below: &Path,
) -> Result<PlacedModel, PlaceError> {
    let config: Value = serde_json::from_slice(&fs::read(folder.join(file::CONFIG))?)?;
    let mut weights = Vec::new();
    for path in file::of_checkpoint(checkpoint)? {
        weights.extend(Model::tensors_of(&fs::read(path)?).map_err(PlaceError::Source)?);
    }
    let recipe = recipe(&config, &weights, source)?;
    let head = recipe.head();
    let mut model = Model { config, head, tensors: weights, shards: recipe.shards };
    // A tensor or file that the case damages may not exist in this checkpoint.
    let lacking = |error: PlaceError| PlaceError::Lacking(format!("--model: {error}"));
    for damage in &source.damage {
        to_model(damage, &mut model, &recipe).map_err(lacking)?;
    }
    let own: BTreeSet<String> = tensors::of(&recipe).into_iter().map(|spec| spec.name).collect();
    let mut placed = PlacedModel::write(model, recipe, below)?;
    placed.stray = names(&placed.model).difference(&own).cloned().collect();
    let files = [chat::TOKENIZER, published::TEMPLATE, published::APART, chat::GENERATION];
    let mut there = [false; 4];
    for (name, there) in files.iter().zip(&mut there) {
        let from = folder.join(name);
        *there = from.is_file();
        if *there {
            fs::copy(from, placed.folder.join(name))?;
        }
    }
    if source.chat {
        for (name, there) in [chat::TOKENIZER, published::TEMPLATE].iter().zip(there) {
            if !there {
                return Err(PlaceError::Lacking(format!("--model has no {name}")));
            }
        }
        let voice = match source.made_template {
            true => {
                let form = Form::made(seed);
                chat::replace_template(&placed.folder, &form).map_err(PlaceError::Source)?;
                Voice::read(&placed.folder, form)
            }
            false => Voice::published(&placed.folder),
        };
        placed.voice = Some(voice.map_err(PlaceError::Lacking)?);
    }
    for damage in &source.damage {
        to_files(damage, &placed).map_err(lacking)?;
    }
    Ok(placed)
}

fn named(config: &Value) -> Option<Architecture> {
    let name = config["model_type"].as_str()?;
    Architecture::ALL.into_iter().find(|one| one.model_type() == name)
}

/// The recipe that a published configuration describes, as far as cases need it.
pub(super) fn recipe(
    config: &Value,
    tensors: &[Tensor],
    source: &ModelSource,
) -> Result<Recipe, PlaceError> {
    let unknown = || PlaceError::Source("model_type is not a decoder's".to_owned());
    let architecture = named(config).filter(|one| one.is_decoder()).ok_or_else(unknown)?;
    let maybe = |names: Names| {
        let value = names.iter().find_map(|name| config[*name].as_u64());
        value.map(|value| value as usize)
    };
    let size = |names: Names| {
        let missing = || PlaceError::Source(format!("config.json: {} is not a size", names[0]));
        maybe(names).ok_or_else(missing)
    };
    let mut recipe = random::recipe(architecture, Some(HeadKind::Logits), 0);
    let sizes = &mut recipe.sizes;
    sizes.hidden = size(["hidden_size", "n_embd"])?;
    sizes.vocabulary = size(["vocab_size"; 2])?;
    sizes.dimension = sizes.vocabulary;
    sizes.layers = size(["num_hidden_layers", "n_layer"])?;
    sizes.heads = size(["num_attention_heads", "n_head"])?;
    sizes.key_heads = maybe(["num_key_value_heads"; 2]).unwrap_or(sizes.heads);
    sizes.head_size = maybe(["head_dim"; 2]).unwrap_or(0);
    sizes.inner = maybe(["intermediate_size", "n_inner"]).unwrap_or(4 * sizes.hidden);
    sizes.positions = size(["max_position_embeddings", "n_positions"])?;
    sizes.padding = maybe(["pad_token_id"; 2]).unwrap_or(0);
    // The checkpoint may have optional biases. They must not count as unused tensors.
    recipe.decoder.biased = true;
    // Without this field, only GPT-2 has tied embeddings.
    let tied = config["tie_word_embeddings"].as_bool();
    recipe.decoder.untied = !tied.unwrap_or(architecture == Architecture::Gpt2);
    recipe.dtype = tensors.first().map_or(DType::F32, |tensor| tensor.dtype);
    recipe.shards = source.shards.unwrap_or(1);
    Ok(recipe)
}
