//! The replaced steps of the generation mutants.

use std::sync::{Mutex, PoisonError};

use crate::contract::Code;
use crate::contract::generation::{Prompt, Role, Sampling};
use crate::contract::inference::Inference;
use crate::loader::LoadDecisions;
use crate::loader::error::Result;
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::infer::body::Layer;
use crate::loader::infer::chat::Template;
use crate::loader::infer::config::{Architecture, Config};
use crate::loader::infer::ops::{Activation, Linear, Weight};
use crate::loader::infer::tokenizer::Tokens;
use crate::loader::infer::{RunnableModel, Search};

/// Finds the first tensor whose name has this ending.
fn ending<'t>(tensors: &'t [PlacedTensor], ending: &str) -> Option<&'t PlacedTensor> {
    tensors.iter().find(|held| held.info.name.ends_with(ending))
}

fn head(model: &mut RunnableModel) -> Option<&mut Linear> {
    model.parts.body.as_mut()?.language.as_mut()
}

pub(super) fn tie_inverted(search: &Search) -> Result<RunnableModel> {
    let mut model = search.find()?;
    let words = model.parts.body.as_ref().map(|body| body.words);
    let stray = ending(search.tensors, "lm_head.weight").map(|held| held.offset);
    let tied = model.config.tied;
    if let (Some(head), Some(words)) = (head(&mut model), words) {
        match (tied, stray) {
            (true, Some(offset)) => head.weight.offset = offset,
            (true, None) => {}
            (false, _) => head.weight = words,
        }
    }
    Ok(model)
}

pub(super) fn head_tied(search: &Search) -> Result<RunnableModel> {
    let mut all = search.tensors.to_vec();
    if ending(search.tensors, "lm_head.weight").is_none()
        && let Some(words) =
            ending(search.tensors, "embed_tokens.weight").or(ending(search.tensors, "wte.weight"))
    {
        let mut words = words.clone();
        words.info.name = "lm_head.weight".to_owned();
        all.push(words);
    }
    Search { tensors: &all, ..*search }.find()
}

pub(super) fn head_elsewhere(search: &Search) -> Result<RunnableModel> {
    let mut model = search.find()?;
    let end = search.tensors.iter().map(|held| held.offset + held.bytes).max().unwrap_or(0);
    if model.config.tied
        && let Some(head) = head(&mut model)
    {
        let words = search.tensors.iter().find(|held| held.offset == head.weight.offset);
        let bytes = words.map_or(0, |held| held.bytes);
        // The last bytes of the model; the first bytes if the embeddings already are the last.
        let other = end.saturating_sub(bytes) / 16 * 16;
        head.weight.offset = if other == head.weight.offset { 0 } else { other };
    }
    Ok(model)
}

/// Splits a layer into one-row layers in the given order of rows.
fn reordered(layer: &Linear, order: impl Iterator<Item = usize>) -> Vec<Linear> {
    let width = |weight: &Weight| weight.dtype.bits() / 8;
    let row = |row: usize| {
        let step = layer.weight.columns as u64 * width(&layer.weight);
        let offset = layer.weight.offset + row as u64 * step;
        let bias = layer.bias.map(|bias| Weight {
            offset: bias.offset + row as u64 * width(&bias),
            columns: 1,
            ..bias
        });
        Linear { weight: Weight { offset, rows: 1, ..layer.weight }, bias, ..*layer }
    };
    order.map(row).collect()
}

/// Permutes key rows from half-split to interleaved order and back. The first step uses the number
/// of query heads instead of key heads.
pub(super) fn keys_permuted(model: &mut RunnableModel) {
    let config = &model.config;
    let (heads, key_heads, size) = (config.heads, config.key_heads, config.head_size);
    let rows = key_heads * size;
    // Needs grouped queries, and an even number of key rows for each query head.
    if heads == key_heads || !rows.is_multiple_of(2 * heads) {
        return;
    }
    // Row `2 j + i` of a head comes from row `i * size / 2 + j`, and back.
    let there = |row: usize, size: usize| {
        let (head, at) = (row / size, row % size);
        head * size + at % 2 * (size / 2) + at / 2
    };
    let back = |row: usize, size: usize| {
        let (head, at) = (row / size, row % size);
        head * size + at % (size / 2) * 2 + at / (size / 2)
    };
    let order: Vec<usize> = (0..rows).map(|row| there(back(row, rows / heads), size)).collect();
    let Some(body) = &mut model.parts.body else { return };
    for layer in &mut body.layers {
        if let [queries, keys, values] = layer.queries_keys_values.as_slice() {
            let mut parts = vec![*queries];
            parts.extend(reordered(keys, order.iter().copied()));
            parts.push(*values);
            layer.queries_keys_values = parts;
        }
    }
}

/// Reorders the query heads so that head `h` attends to key head `h % key_heads`. The output
/// projection keeps the original order.
pub(super) fn groups_interleaved(model: &mut RunnableModel) {
    let (heads, key_heads) = (model.config.heads, model.config.key_heads);
    let size = model.config.head_size;
    let group = heads / key_heads;
    let Some(body) = &mut model.parts.body else { return };
    for layer in &mut body.layers {
        if let [queries, keys, values] = layer.queries_keys_values.as_slice() {
            let head = |place: usize| place % group * key_heads + place / group;
            let rows = (0..heads).flat_map(|place| (0..size).map(move |at| (place, at)));
            let order = rows.map(|(place, at)| head(place) * size + at);
            let mut parts = reordered(queries, order);
            parts.extend([*keys, *values]);
            layer.queries_keys_values = parts;
        }
    }
}

pub(super) fn scaling_ignored(model: &mut RunnableModel) {
    if let Some(rotary) = &mut model.config.rotary {
        rotary.scaling = None;
    }
}

pub(super) fn config_ignored(model: &mut RunnableModel) {
    if model.config.architecture.is_decoder() && model.config.architecture != Architecture::Gpt2 {
        model.config.activation = Activation::Silu;
        model.config.window = None;
    }
}

pub(super) fn head_norms_dropped(model: &mut RunnableModel) {
    let layers = model.parts.body.iter_mut().flat_map(|body| &mut body.layers);
    layers.for_each(|layer: &mut Layer| layer.head_norms = None);
}

pub(super) fn vocabulary_unchecked(search: &Search) -> Result<RunnableModel> {
    let without = Inference { tokenizer: None, ..search.inference.clone() };
    let mut model = Search { inference: &without, ..*search }.find()?;
    let lenient = Config { vocabulary: usize::MAX, ..model.config.clone() };
    let tokenizer = search.inference.tokenizer.as_ref();
    model.tokenizer = tokenizer.map(|path| Tokens::read(path, &lenient)).transpose()?;
    Ok(model)
}

pub(super) fn tokenizer_skipped(search: &Search) -> Result<RunnableModel> {
    search.find().or_else(|error| match error.code() {
        Code::InvalidTokenizer | Code::InvalidTemplate => {
            let without = Inference { tokenizer: None, template: None, ..search.inference.clone() };
            Search { inference: &without, ..*search }.find()
        }
        _ => Err(error),
    })
}

pub(super) struct NoCache;

impl LoadDecisions for NoCache {
    fn caches(&self) -> bool {
        false
    }
}

pub(super) struct NoEnd;

impl LoadDecisions for NoEnd {
    fn ends(&self, _ends: &[u32]) -> Vec<u32> {
        Vec::new()
    }
}

pub(super) struct FirstEnd;

impl LoadDecisions for FirstEnd {
    fn ends(&self, ends: &[u32]) -> Vec<u32> {
        ends.iter().take(1).copied().collect()
    }
}

pub(super) struct TemplateSkipped;

impl LoadDecisions for TemplateSkipped {
    fn prompt(&self, model: &RunnableModel, asked: Prompt) -> Result<Prompt> {
        match (asked, &model.tokenizer) {
            (Prompt::Chat(turns), Some(tokenizer)) => {
                let last = turns.last().map_or("", |turn| turn.content.as_str());
                Ok(Prompt::Tokens(tokenizer.plain(last)?))
            }
            (asked, _) => Ok(asked),
        }
    }
}

pub(super) fn template_of_config(search: &Search) -> Result<RunnableModel> {
    let without = Inference { template: None, ..search.inference.clone() };
    let mut model = Search { inference: &without, ..*search }.find()?;
    let Some(path) = &search.inference.template else { return Ok(model) };
    let text = std::fs::read(path).unwrap_or_default();
    let value = serde_json::from_slice(&text).unwrap_or_default();
    model.template = Some(Template::of(&value)?);
    Ok(model)
}

/// Keeps only the messages whose role passes the filter.
pub(super) struct Turns(pub(super) fn(Role) -> bool);

impl LoadDecisions for Turns {
    fn prompt(&self, _encoder: &RunnableModel, asked: Prompt) -> Result<Prompt> {
        Ok(match asked {
            Prompt::Chat(turns) => {
                Prompt::Chat(turns.into_iter().filter(|turn| self.0(turn.role)).collect())
            }
            asked => asked,
        })
    }
}

/// Prepends the previous prompt's tokens, and reports only the requested prompt.
#[derive(Default)]
pub(super) struct HistoryKept(Mutex<Vec<u32>>);

impl LoadDecisions for HistoryKept {
    fn prompt(&self, model: &RunnableModel, asked: Prompt) -> Result<Prompt> {
        let Prompt::Tokens(own) = asked else { return Ok(asked) };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *kept, own.clone());
        let all: Vec<u32> = before.into_iter().chain(own.iter().copied()).collect();
        let fits = all.iter().all(|id| (*id as usize) < model.config.vocabulary)
            && all.len() < model.config.longest;
        Ok(Prompt::Tokens(if fits { all } else { own }))
    }

    fn told(&self, asked: &Prompt, given: Vec<u32>) -> Vec<u32> {
        match asked {
            Prompt::Tokens(own) => own.clone(),
            Prompt::Chat(_) => given,
        }
    }
}

/// Replaces the requested sampling parameters.
pub(super) struct Chosen(pub(super) fn(Sampling) -> Sampling);

impl LoadDecisions for Chosen {
    fn sampling(&self, asked: Sampling) -> Sampling {
        self.0(asked)
    }
}
