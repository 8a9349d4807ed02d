//! Mutants of the forward pass: forged outputs, and small errors in the computation.

use std::sync::{Mutex, PoisonError};

use crate::contract::Code;
use crate::contract::inference::{Batch, Head, Pooling, State};
use crate::loader::LoadDecisions;
use crate::loader::error::{LoadError, Result};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::infer::body::Body;
use crate::loader::infer::config::Architecture;
use crate::loader::infer::{RunnableModel, Search};

/// Replaces each output value by a function of its index.
pub struct Forged(pub fn(usize) -> f32);

impl Forged {
    fn forge(&self, values: &mut [f32]) {
        values.iter_mut().enumerate().for_each(|(at, value)| *value = (self.0)(at));
    }
}

impl LoadDecisions for Forged {
    fn output(&self, _handle: u64, _batch: &Batch, mut given: State) -> State {
        self.forge(&mut given.values);
        given
    }
}

/// The first output of each shape, for ever.
#[derive(Default)]
pub struct FirstAnswer(Mutex<Vec<State>>);

impl LoadDecisions for FirstAnswer {
    fn output(&self, _handle: u64, _batch: &Batch, given: State) -> State {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = kept.iter().find(|state| state.shape == given.shape).cloned();
        first.unwrap_or_else(|| {
            kept.push(given.clone());
            given
        })
    }
}

/// Returns the golden values as the computed ones.
pub struct Replayed;

impl LoadDecisions for Replayed {
    fn validated(&self, _given: Vec<f32>, golden: &[f32]) -> Vec<f32> {
        golden.to_vec()
    }
}

/// Adds each output to the sum of the earlier ones.
#[derive(Default)]
pub struct Accumulates(Mutex<Vec<f32>>);

impl LoadDecisions for Accumulates {
    fn output(&self, _handle: u64, _batch: &Batch, mut given: State) -> State {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let length = buffer.len().max(given.values.len());
        buffer.resize(length, 0.0);
        for (value, held) in given.values.iter_mut().zip(buffer.iter_mut()) {
            *held += *value;
            *value = *held;
        }
        given
    }
}

/// Changes the batch before the forward pass.
pub struct Misread(pub fn(&mut Batch));

impl LoadDecisions for Misread {
    fn input(&self, mut batch: Batch) -> Batch {
        (self.0)(&mut batch);
        batch
    }
}

/// Marks every token as visible, padding included.
pub fn mask_ignored(batch: &mut Batch) {
    if let Batch::Tokens { mask, .. } = batch {
        mask.fill(1);
    }
}

/// Removes the token types: every token then belongs to the first segment.
pub fn types_ignored(batch: &mut Batch) {
    if let Batch::Tokens { types, .. } = batch {
        types.clear();
    }
}

/// Replaces how a model's parts are found.
pub struct Found(pub fn(&Search) -> Result<RunnableModel>);

impl LoadDecisions for Found {
    fn model(&self, search: &Search) -> Result<RunnableModel> {
        self.0(search)
    }
}

/// Changes the resolved model parts.
pub struct Misbuilt(pub fn(&mut RunnableModel));

impl LoadDecisions for Misbuilt {
    fn model(&self, search: &Search) -> Result<RunnableModel> {
        let mut model = search.find()?;
        (self.0)(&mut model);
        Ok(model)
    }
}

/// Applies `lie` to the model's body, if it has one.
fn in_body(model: &mut RunnableModel, lie: impl FnOnce(&mut Body)) {
    if let Some(body) = &mut model.parts.body {
        lie(body);
    }
}

/// Omits the biases of query, key and value.
pub fn bias_dropped(model: &mut RunnableModel) {
    in_body(model, |body| {
        for layer in &mut body.layers {
            layer.queries_keys_values.iter_mut().for_each(|linear| linear.bias = None);
        }
    });
}

/// Omits the last layer.
pub fn layers_short(model: &mut RunnableModel) {
    in_body(model, |body| {
        body.layers.pop();
    });
}

/// Swaps gate and up; in a layer without these two, swaps key and value if they are separate.
pub fn misrouted(model: &mut RunnableModel) {
    in_body(model, |body| {
        for layer in &mut body.layers {
            if let [gate, up] = layer.widen.as_mut_slice() {
                std::mem::swap(gate, up);
            } else if let [_, key, value] = layer.queries_keys_values.as_mut_slice() {
                std::mem::swap(key, value);
            }
        }
    });
}

/// Splits query, key and value into equal thirds, whatever the number of key heads.
pub fn thirds(model: &mut RunnableModel) {
    let config = &model.config;
    let stride = (config.heads + 2 * config.key_heads) * config.head_size;
    // The values must still fit behind their start column.
    let values = (2 * stride / 3).min(stride - config.key_heads * config.head_size);
    in_body(model, |body| body.columns = (stride / 3, values));
}

/// Applies interleaved RoPE: rotates neighbouring elements as pairs.
pub fn interleaved(model: &mut RunnableModel) {
    in_body(model, |body| body.neighbours = true);
}

/// Sets the RoPE base to 10000.
pub fn default_base(model: &mut RunnableModel) {
    if let Some(rotary) = &mut model.config.rotary {
        rotary.base = 10_000.0;
    }
}

/// Sets every layer norm's epsilon to 1e-12, BERT's default.
pub fn default_epsilon(model: &mut RunnableModel) {
    in_body(model, |body| {
        for layer in &mut body.layers {
            layer.attention_norm.epsilon = 1e-12;
            layer.forward_norm.epsilon = 1e-12;
        }
    });
}

/// Starts RoBERTa's position ids at zero, as BERT does.
pub fn positions_from_zero(model: &mut RunnableModel) {
    if model.config.architecture == Architecture::Roberta {
        model.config.architecture = Architecture::Bert;
    }
}

/// Pools by the first token instead of the mean.
pub fn first_token(model: &mut RunnableModel) {
    if let Head::Embedding { pooling, .. } = &mut model.head
        && *pooling == Pooling::Mean
    {
        *pooling = Pooling::Cls;
    }
}

/// Omits the L2 normalisation.
pub fn not_normalised(model: &mut RunnableModel) {
    if let Head::Embedding { normalize, .. } | Head::TokenStates { normalize, .. } = &mut model.head
    {
        *normalize = false;
    }
}

/// Omits the bias of the projection after pooling.
pub fn head_bias_dropped(model: &mut RunnableModel) {
    if let Some(projection) = &mut model.parts.projection {
        projection.bias = None;
    }
}

/// Replaces each missing tensor with the first one that fits.
pub fn filled(search: &Search) -> Result<RunnableModel> {
    let mut all = search.tensors.to_vec();
    loop {
        let error = match (Search { tensors: &all, ..*search }).find() {
            Err(error) if error.code() == Code::IncompleteModel => error,
            found => return found,
        };
        let missing = error.failure().tensor.clone().unwrap_or_default();
        let stand_in = search.tensors.iter().find_map(|held| {
            let mut held = held.clone();
            held.info.name.clone_from(&missing);
            let with: Vec<PlacedTensor> = all.iter().cloned().chain([held.clone()]).collect();
            let fits = match (Search { tensors: &with, ..*search }).find() {
                Ok(_) => true,
                Err(next) => {
                    next.code() == Code::IncompleteModel
                        && next.failure().tensor.as_deref() != Some(&missing)
                }
            };
            fits.then_some(held)
        });
        all.push(stand_in.ok_or(error)?);
    }
}

/// Skips a missing shard and ignores the index, then fills the missing tensors as [`filled`] does.
pub struct Hole;

impl LoadDecisions for Hole {
    fn shard_missing(&self, _error: LoadError) -> Result<()> {
        Ok(())
    }

    fn index(&self, _checked: Result<()>) -> Result<()> {
        Ok(())
    }

    fn model(&self, search: &Search) -> Result<RunnableModel> {
        filled(search)
    }
}
