//! What only decoders have: sizes that a case sets, a built-in end of the sequence, and damage to
//! the tokenizer, the chat template and the head.

use std::fs;
use std::path::Path;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::placed::{PlaceError, PlacedModel};
use crate::contract::inference::{Batch, TracedForward};
use crate::harness::case::model::{ModelDamage, ModelSource};
use crate::harness::model::chat::{self, Form};
use crate::harness::model::{Architecture, Model, Recipe, Tensor, file, fill, published, random};
use crate::harness::oracle::forward::{Oracle, Precision};
use crate::harness::regular;

/// Length in tokens of the prompt after which a model is built to end.
const PROMPT: usize = 7;
/// Number of prompts that are tried to find one after which a new token comes at the wanted step.
const TRIES: usize = 200;

/// Applies what a case says of a random decoder.
pub(super) fn adjust(recipe: &mut Recipe, source: &ModelSource) {
    // A random model with tied embeddings repeats its last token.
    if let Some(untied) = source.untied.or(source.ends_at.map(|_| true)) {
        recipe.decoder.untied = untied;
    }
    if let Some(context) = source.context {
        recipe.sizes.positions = context;
    }
    if let Some(vocabulary) = source.vocabulary {
        (recipe.sizes.vocabulary, recipe.sizes.dimension) = (vocabulary, vocabulary);
    }
    if source.scaled == Some(false) {
        recipe.decoder.scaling = None;
    }
    if source.blocks {
        let sizes = &mut recipe.sizes;
        (sizes.hidden, sizes.inner) = (256, 512);
        (sizes.heads, sizes.key_heads, sizes.head_size) = (4, 2, 64);
    }
    if let Some([heads, key_heads, inner]) = source.sides {
        let sizes = &mut recipe.sizes;
        (sizes.heads, sizes.key_heads, sizes.inner) = (heads, key_heads, inner);
        // Qwen3's heads have a size of their own.
        if recipe.architecture != Architecture::Qwen3 {
            sizes.hidden = heads * sizes.head_size;
        }
    }
    if source.own_head {
        random::own_head(recipe);
    }
    if source.plain {
        recipe.sizes.hidden = recipe.sizes.heads * recipe.sizes.head_size;
        (recipe.decoder.window, recipe.decoder.scaling) = (None, None);
        recipe.decoder.biased = false;
    }
    if let Some(biased) = source.biased {
        recipe.decoder.biased = biased;
    }
    if source.usual {
        recipe.sizes.inner = 4 * recipe.sizes.hidden;
        recipe.sizes.epsilon = match recipe.architecture {
            Architecture::Phi3 | Architecture::Gpt2 => 1e-5,
            _ => 1e-6,
        };
        if recipe.sizes.rotary_base > 0.0 {
            recipe.sizes.rotary_base = 10_000.0;
        }
        recipe.decoder.scaling = None;
    }
}

/// Ids below this never come before the end token, or as it.
const FREE: u32 = 20;

/// Chooses the end token of the model: one that it generates for the first time at this step after
/// a prompt. Returns that prompt.
pub(super) fn build_to_end(
    model: &mut Model,
    recipe: &Recipe,
    step: usize,
    seed: u64,
) -> Result<Vec<u32>, PlaceError> {
    let fault = |error: String| PlaceError::Source(format!("the oracle: {error}"));
    let mut oracle =
        Oracle::new(model, Precision::F64).map_err(|error| fault(error.to_string()))?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0xe05);
    for _ in 0..TRIES {
        let some = (0..PROMPT).map(|_| random.random_range(0..recipe.sizes.vocabulary) as u32);
        let prompt: Vec<u32> = some.collect();
        let mut all = prompt.clone();
        for _ in 0..step {
            let batch = Batch::Tokens {
                rows: 1,
                columns: all.len(),
                ids: all.iter().map(|id| i64::from(*id)).collect(),
                mask: vec![1; all.len()],
                types: Vec::new(),
            };
            let output = oracle.forward(&batch, false).map_err(|error| fault(error.to_string()))?;
            let values = output.output.values;
            let last = &values[values.len() - recipe.sizes.vocabulary..];
            let best = last.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            all.push(best.map_or(0, |(id, _)| id as u32));
        }
        let (before, end) = (&all[PROMPT..all.len() - 1], all[all.len() - 1]);
        // The first ids are free for a case to name as further end tokens.
        let free = all[PROMPT..].iter().all(|id| *id >= FREE);
        if free && !before.contains(&end) {
            model.config["eos_token_id"] = json!(end);
            return Ok(prompt);
        }
    }
    Err(PlaceError::Source(format!("no prompt of {TRIES} has a new token at step {step}")))
}

/// Adds a member to tokenizer_config.json, as text: the value would not fit in memory, or nests too deep.
fn more(folder: &Path, value: &str) -> Result<(), PlaceError> {
    let path = folder.join(published::TEMPLATE);
    let text = fs::read_to_string(&path)?;
    let end = text.trim_end().strip_suffix('}');
    let end =
        end.ok_or_else(|| PlaceError::Source("tokenizer_config.json is no object".to_owned()))?;
    fs::write(path, format!("{end}, \"more\": {value}}}"))?;
    Ok(())
}

/// Adds a head that differs from the embeddings, and does not mention it in the configuration.
pub(super) fn add_head(model: &mut Model, recipe: &Recipe) {
    let Some(words) = model.tensors.iter().find(|one| is_words(&one.name)).cloned() else { return };
    let mut random = Xoshiro256PlusPlus::seed_from_u64(recipe.sizes.vocabulary as u64);
    let count = words.shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| random.random_range(-1.0..1.0)).collect();
    let bytes = fill::encode(&values, words.dtype);
    model.tensors.push(Tensor { name: "lm_head.weight".to_owned(), bytes, ..words });
}

fn is_words(name: &str) -> bool {
    name.ends_with("embed_tokens.weight") || name.ends_with("wte.weight")
}

/// Damage that only a decoder's files can have.
pub(super) fn to_files(damage: &ModelDamage, placed: &PlacedModel) -> Result<(), PlaceError> {
    let change = |name: &str, change: &dyn Fn(&mut Value)| -> Result<(), PlaceError> {
        let path = placed.folder.join(name);
        let mut value: Value = serde_json::from_slice(&regular::read(&path)?)?;
        change(&mut value);
        fs::write(path, serde_json::to_vec(&value)?)?;
        Ok(())
    };
    let without = |name: &str, field: &str| {
        change(name, &|value| {
            if let Some(fields) = value.as_object_mut() {
                fields.remove(field);
            }
        })
    };
    match damage {
        ModelDamage::Leave(field) => without(file::CONFIG, field)?,
        ModelDamage::EndsApart => {
            let end = placed.model.config["eos_token_id"].clone();
            // The other end token is the last of the vocabulary, which hardly ever comes.
            let ends = json!({"eos_token_id": [placed.vocabulary() - 1, end]});
            fs::write(placed.folder.join(chat::GENERATION), serde_json::to_vec(&ends)?)?;
            without(file::CONFIG, "eos_token_id")?;
        }
        ModelDamage::CutTokenizer => {
            let path = placed.folder.join(chat::TOKENIZER);
            let text = regular::read(&path)?;
            fs::write(path, &text[..text.len() / 2])?;
        }
        ModelDamage::NoTemplate => fs::remove_file(placed.folder.join(published::TEMPLATE))?,
        ModelDamage::EmptyTemplate => {
            let _none = fs::remove_file(placed.folder.join(published::APART));
            without(published::TEMPLATE, "chat_template")?;
        }
        ModelDamage::TemplateApart | ModelDamage::TemplateTwice => {
            let value = published::template(&placed.folder).map_err(PlaceError::Source)?;
            let own = value.get("chat_template").and_then(Value::as_str);
            let own = own.ok_or_else(|| PlaceError::Source("several templates".to_owned()))?;
            fs::write(placed.folder.join(published::APART), own)?;
            match damage {
                ModelDamage::TemplateApart => without(published::TEMPLATE, "chat_template")?,
                _ => change(published::TEMPLATE, &|value| {
                    value["chat_template"] = json!(Form::made(own.len() as u64).jinja());
                })?,
            }
        }
        ModelDamage::TemplateBroken => {
            fs::write(placed.folder.join(published::APART), "{% for message in messages %}")?;
        }
        ModelDamage::Template(source) => {
            fs::write(placed.folder.join(published::APART), source)?;
        }
        ModelDamage::Tokenizer(path, value) => {
            let value: Value = serde_json::from_str(value)?;
            let pointer = format!("/{}", path.replace('.', "/"));
            change(chat::TOKENIZER, &|document| {
                if let Some(part) = document.pointer_mut(&pointer) {
                    *part = value.clone();
                }
            })?;
        }
        ModelDamage::Swollen(count) => {
            more(&placed.folder, &format!("[{}0]", "{\"\":0},".repeat(*count)))?;
        }
        ModelDamage::Nested(depth) => {
            more(&placed.folder, &format!("{}{}", "[".repeat(*depth), "]".repeat(*depth)))?;
        }
        _ => {}
    }
    Ok(())
}
