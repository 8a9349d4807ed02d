//! Places the small chat model that comes with this project, with its tokenizer and chat template.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::damage::{is_of_model, to_files, to_model};
use super::exported;
use super::given::stray;
use super::placed::{PlaceError, PlacedModel};
use crate::harness::case::model::ModelSource;
use crate::harness::evidence::digest::sha256_hex;
use crate::harness::fixture::Fixture;
use crate::harness::model::chat::{self, Form, Voice};
use crate::harness::model::described::Described;
use crate::harness::model::{Model, Recipe, file, published};
use crate::harness::regular;

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
    let (described, naming) = Described::read(&config, &tensors).map_err(PlaceError::Source)?;
    let (recipe, shards) = (described.recipe.clone(), source.shards.unwrap_or(1));
    let mut model = Model { config: config.clone(), head: recipe.head(), tensors, shards };
    for damage in &source.damage {
        to_model(damage, &mut model, &recipe)?;
    }
    let mut placed = match shards == 1 && !source.damage.iter().any(is_of_model) {
        true => as_it_is(model, recipe, (find(file::SINGLE)?, find(file::CONFIG)?), below)?,
        false => PlacedModel::write(model, recipe, below)?,
    };
    placed.stray = stray(&naming, &placed.model.tensors);
    let written = Arc::unwrap_or_clone(placed.model);
    placed.model = Arc::new(match written.config == config {
        true => naming.model(&described, written.tensors, shards),
        // The case changes the configuration, in the spelling that the oracle reads.
        false => written,
    });
    for name in [chat::TOKENIZER, published::TEMPLATE, chat::GENERATION] {
        fs::write(placed.folder.join(name), find(name)?)?;
    }
    if let Some(cut) = source.cuts {
        let mut tokenizer: Value = serde_json::from_slice(find(chat::TOKENIZER)?)?;
        cut.put_into(&mut tokenizer);
        fs::write(placed.folder.join(chat::TOKENIZER), serde_json::to_vec(&tokenizer)?)?;
    }
    if source.begins {
        let mut tokenizer: Value =
            serde_json::from_slice(&regular::read(&placed.folder.join(chat::TOKENIZER))?)?;
        tokenizer["post_processor"] = chat::begins_with(chat::FIRST);
        fs::write(placed.folder.join(chat::TOKENIZER), serde_json::to_vec(&tokenizer)?)?;
    }
    if !source.tokens.is_empty() || source.added.is_some() {
        let path = placed.folder.join(chat::TOKENIZER);
        let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path)?)?;
        if let Some((from, to)) = source.added {
            add(&mut tokenizer, from..to);
        }
        for (place, value) in &source.tokens {
            set(&mut tokenizer, place, serde_json::from_str(value)?)?;
        }
        fs::write(path, serde_json::to_vec(&tokenizer)?)?;
    }
    let form = match source.made_template {
        true if source.begins => Form::made(seed).after(chat::FIRST.0),
        true => Form::made(seed),
        false => Form::small(),
    };
    if source.made_template {
        chat::replace_template(&placed.folder, &form).map_err(PlaceError::Source)?;
    }
    placed.voice = Some(Voice::read(&placed.folder, form).map_err(PlaceError::Source)?);
    source.exported.iter().try_for_each(|how| exported::export(how, &mut placed))?;
    for damage in &source.damage {
        to_files(damage, &placed)?;
    }
    Ok(placed)
}

/// Sets a part of a document by its path. The last step of the path may be new.
fn set(document: &mut Value, place: &str, value: Value) -> Result<(), PlaceError> {
    let (outer, name) = place.rsplit_once('.').unwrap_or(("", place));
    let pointer = match outer {
        "" => String::new(),
        outer => format!("/{}", outer.replace('.', "/")),
    };
    match document.pointer_mut(&pointer) {
        Some(Value::Object(fields)) => drop(fields.insert(name.to_owned(), value)),
        Some(Value::Array(all)) if name == "+" => all.push(value),
        _ => return Err(PlaceError::Source(format!("tokenizer.json has no {place}"))),
    }
    Ok(())
}

/// Adds words of the vocabulary with these ids to the added tokens. They are not special.
fn add(document: &mut Value, ids: Range<u64>) {
    let vocabulary = document["model"]["vocab"].as_object().into_iter().flatten();
    let word = |(word, id): (&String, &Value)| {
        let id = id.as_u64().filter(|id| ids.contains(id))?;
        word.bytes().all(|byte| byte.is_ascii_alphabetic()).then(|| (id, word.clone()))
    };
    let words: Vec<(u64, String)> = vocabulary.filter_map(word).collect();
    for (id, content) in words {
        if let Some(all) = document["added_tokens"].as_array_mut() {
            all.push(json!({
                "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": false,
            }));
        }
    }
}

/// The published weight file and configuration, byte for byte.
fn as_it_is(
    model: Model,
    recipe: Recipe,
    (weights, config): (&[u8], &[u8]),
    below: &Path,
) -> Result<PlacedModel, PlaceError> {
    let folder = below.join(format!("{:016x}", rand::random::<u64>()));
    fs::create_dir(&folder)?;
    fs::write(folder.join(file::CONFIG), config)?;
    let path = folder.join(file::SINGLE);
    fs::write(&path, weights)?;
    let fixture = Fixture::of_files(vec![(weights.to_vec(), sha256_hex(weights))]);
    let fixture = fixture.map_err(|error| PlaceError::Source(error.to_string()))?;
    Ok(PlacedModel::of(folder, path, recipe, Arc::new(model), Arc::new(fixture)))
}
