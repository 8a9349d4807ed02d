//! Lies about what a model computes: forged outputs, and a forward pass that is nearly right.

use std::sync::{Mutex, PoisonError};

use crate::contract::Code;
use crate::contract::inference::{Batch, Head, Inference, Pooling, State};
use crate::loader::Steps;
use crate::loader::error::{LoadError, Result};
use crate::loader::format::Carried;
use crate::loader::infer::RunnableModel;
use crate::loader::infer::body::Body;
use crate::loader::infer::config::Architecture;
use crate::loader::load::model::Held;

/// Values made from their places alone.
pub struct Forged(pub fn(usize) -> f32);

impl Forged {
    fn forge(&self, values: &mut [f32]) {
        values.iter_mut().enumerate().for_each(|(at, value)| *value = (self.0)(at));
    }
}

impl Steps for Forged {
    fn output(&self, _handle: u64, _batch: &Batch, mut given: State) -> State {
        self.forge(&mut given.values);
        given
    }
}

/// The first output of each shape, for ever.
#[derive(Default)]
pub struct FirstAnswer(Mutex<Vec<State>>);

impl Steps for FirstAnswer {
    fn output(&self, _handle: u64, _batch: &Batch, given: State) -> State {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = kept.iter().find(|state| state.shape == given.shape).cloned();
        first.unwrap_or_else(|| {
            kept.push(given.clone());
            given
        })
    }
}

/// The golden's own numbers, read and handed back.
pub struct Replayed;

impl Steps for Replayed {
    fn validated(&self, _given: Vec<f32>, golden: &[f32]) -> Vec<f32> {
        golden.to_vec()
    }
}

/// Outputs added to what the buffer held.
#[derive(Default)]
pub struct Accumulates(Mutex<Vec<f32>>);

impl Steps for Accumulates {
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

/// Another input than the one asked for.
pub struct Misread(pub fn(&mut Batch));

impl Steps for Misread {
    fn input(&self, mut batch: Batch) -> Batch {
        (self.0)(&mut batch);
        batch
    }
}

/// Every token seen, padding included.
pub fn mask_ignored(batch: &mut Batch) {
    if let Batch::Tokens { mask, .. } = batch {
        mask.fill(1);
    }
}

/// Every token of the first segment.
pub fn types_ignored(batch: &mut Batch) {
    if let Batch::Tokens { types, .. } = batch {
        types.clear();
    }
}

/// Parts found, and then changed.
pub struct Misbuilt(pub fn(&mut RunnableModel));

impl Steps for Misbuilt {
    fn model(
        &self,
        inference: &Inference,
        carried: Option<&Carried>,
        tensors: &[Held],
    ) -> Result<RunnableModel> {
        let mut model = RunnableModel::find(inference, carried, tensors)?;
        (self.0)(&mut model);
        Ok(model)
    }
}

/// A lie about a model's body.
fn in_body(model: &mut RunnableModel, lie: impl FnOnce(&mut Body)) {
    if let Some(body) = &mut model.parts.body {
        lie(body);
    }
}

/// Biases of query, key and value left out.
pub fn bias_dropped(model: &mut RunnableModel) {
    in_body(model, |body| {
        for layer in &mut body.layers {
            layer.queries_keys_values.iter_mut().for_each(|linear| linear.bias = None);
        }
    });
}

/// The last layer left out.
pub fn layers_short(model: &mut RunnableModel) {
    in_body(model, |body| {
        body.layers.pop();
    });
}

/// Query and key, and gate and the other half, in each other's place, where they fit.
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

/// Query, key and value cut in equal thirds, whatever the number of key heads.
pub fn thirds(model: &mut RunnableModel) {
    let config = &model.config;
    let stride = (config.heads + 2 * config.key_heads) * config.head_size;
    // The last third must still hold every value head.
    let values = (2 * stride / 3).min(stride - config.key_heads * config.head_size);
    in_body(model, |body| body.columns = (stride / 3, values));
}

/// Rotary positions that turn neighbours.
pub fn interleaved(model: &mut RunnableModel) {
    in_body(model, |body| body.neighbours = true);
}

/// The rotary base that most models have.
pub fn default_base(model: &mut RunnableModel) {
    if let Some(rotary) = &mut model.config.rotary {
        rotary.base = 10_000.0;
    }
}

/// The epsilon that most models have.
pub fn default_epsilon(model: &mut RunnableModel) {
    in_body(model, |body| {
        for layer in &mut body.layers {
            layer.attention_norm.epsilon = 1e-12;
            layer.forward_norm.epsilon = 1e-12;
        }
    });
}

/// RoBERTa's positions counted from zero.
pub fn positions_from_zero(model: &mut RunnableModel) {
    if model.config.architecture == Architecture::Roberta {
        model.config.architecture = Architecture::Bert;
    }
}

/// The first token in place of the mean.
pub fn first_token(model: &mut RunnableModel) {
    if let Head::Embedding { pooling, .. } = &mut model.head
        && *pooling == Pooling::Mean
    {
        *pooling = Pooling::Cls;
    }
}

/// No division by the norm.
pub fn not_normalised(model: &mut RunnableModel) {
    if let Head::Embedding { normalize, .. } | Head::TokenStates { normalize, .. } = &mut model.head
    {
        *normalize = false;
    }
}

/// The linear layer behind the pooling left out of its bias.
pub fn head_bias_dropped(model: &mut RunnableModel) {
    if let Some(projection) = &mut model.parts.projection {
        projection.bias = None;
    }
}

/// Whatever is missing is taken from anywhere that fits.
pub struct Filled;

impl Steps for Filled {
    fn model(
        &self,
        inference: &Inference,
        carried: Option<&Carried>,
        tensors: &[Held],
    ) -> Result<RunnableModel> {
        let mut all = tensors.to_vec();
        loop {
            let error = match RunnableModel::find(inference, carried, &all) {
                Err(error) if error.code() == Code::IncompleteModel => error,
                found => return found,
            };
            let missing = error.failure().tensor.clone().unwrap_or_default();
            let stand_in = tensors.iter().find_map(|held| {
                let mut held = held.clone();
                held.info.name.clone_from(&missing);
                let with: Vec<Held> = all.iter().cloned().chain([held.clone()]).collect();
                let fits = match RunnableModel::find(inference, carried, &with) {
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
}

/// A shard that is not there is passed over, and so is what the index says of it.
pub struct Hole;

impl Steps for Hole {
    fn shard_missing(&self, _error: LoadError) -> Result<()> {
        Ok(())
    }

    fn index(&self, _checked: Result<()>) -> Result<()> {
        Ok(())
    }

    fn model(
        &self,
        inference: &Inference,
        carried: Option<&Carried>,
        tensors: &[Held],
    ) -> Result<RunnableModel> {
        Filled.model(inference, carried, tensors)
    }
}
