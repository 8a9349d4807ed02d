//! Places the small chat model that comes with this project, with its tokenizer and chat template.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::damage::{to_files, to_model};
use super::placed::{PlaceError, PlacedModel, names};
use super::real;
use crate::harness::case::forward::ModelSource;
use crate::harness::model::chat::{self, Form, Voice};
use crate::harness::model::{Model, file, published};

/// Writes the small chat model below a folder.
pub(super) fn place(
    source: &ModelSource,
    seed: u64,
    below: &Path,
) -> Result<PlacedModel, PlaceError> {
    let mut files = Vec::new();
    for entry in chat::SMALL.files() {
        let name = entry.path().file_name().map(|name| name.to_string_lossy().into_owned());
        files.push((name.unwrap_or_default(), entry.contents()));
    }
    let find = |wanted: &str| {
        let found = files.iter().find(|(name, _)| name == wanted).map(|(_, bytes)| *bytes);
        found.ok_or_else(|| PlaceError::Source(format!("the chat model has no {wanted}")))
    };
    let config: Value = serde_json::from_slice(find(file::CONFIG)?)?;
    let tensors = Model::tensors_of(find(file::SINGLE)?).map_err(PlaceError::Source)?;
    let recipe = real::recipe(&config, &tensors, source)?;
    let head = recipe.head();
    let mut model = Model { config, head, tensors, shards: recipe.shards };
    let known = names(&model);
    for damage in &source.damage {
        to_model(damage, &mut model, &recipe)?;
    }
    let mut placed = PlacedModel::write(model, recipe, below)?;
    placed.stray = names(&placed.model).difference(&known).cloned().collect();
    for name in [chat::TOKENIZER, published::TEMPLATE, chat::GENERATION] {
        fs::write(placed.folder.join(name), find(name)?)?;
    }
    if let Some(cut) = source.cuts {
        let mut tokenizer: Value = serde_json::from_slice(find(chat::TOKENIZER)?)?;
        cut.put_into(&mut tokenizer);
        fs::write(placed.folder.join(chat::TOKENIZER), serde_json::to_vec(&tokenizer)?)?;
    }
    let form = match source.made_template {
        true => Form::made(seed),
        false => Form::small(),
    };
    if source.made_template {
        chat::replace_template(&placed.folder, &form).map_err(PlaceError::Source)?;
    }
    placed.voice = Some(Voice::read(&placed.folder, form).map_err(PlaceError::Source)?);
    for damage in &source.damage {
        to_files(damage, &placed)?;
    }
    Ok(placed)
}
