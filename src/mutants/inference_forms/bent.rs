//! A forward pass on the host with one habit of its own: where tokens lie, what they attend to, and
//! how scores become weights. Everything else is the honest engine's.

use crate::contract::inference::{Batch, Traced};
use crate::gpu::{AttentionParams, Pool};
use crate::loader::LoadDecisions;
use crate::loader::decisions::Run;
use crate::loader::error::Result;
use crate::loader::infer::forward::{self, Cache};
use crate::loader::infer::generate::Sequence;
use crate::loader::infer::host::HostOps;
use crate::loader::infer::ops::{Activation, Linear, Norm, Ops, View, Weight};
use crate::loader::infer::{RunnableModel, input};
use crate::loader::verbs::engine::traced;

/// A batch's mask, row-major.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) columns: usize,
    pub(super) mask: Vec<i64>,
}

/// What a loader does in its own way.
#[derive(Clone, Copy)]
pub(super) struct Habits {
    /// The rows of the position table, instead of those given.
    pub(super) rows: fn(&RunnableModel, &Given, &mut [u32]),
    /// The position that a token is turned to, instead of its own.
    pub(super) turned: fn(usize) -> usize,
    /// What each token attends to.
    pub(super) sight: fn(&mut AttentionParams, &Given),
    /// The head that is computed in place of another one.
    pub(super) head: fn(usize) -> usize,
    /// How scores become weights.
    pub(super) weigh: fn(&mut [f32]),
    /// Whether attention is left out.
    pub(super) skips: fn(&AttentionParams, usize) -> bool,
    /// The place of the last token of a row, by its mask.
    pub(super) last: fn(&[u32]) -> usize,
    /// What becomes of the states before they are normalised.
    pub(super) states: fn(&mut [f32]),
    /// What becomes of a value before a layer multiplies it.
    pub(super) fed: Option<fn(f32) -> f32>,
}

impl Habits {
    /// Those of the honest engine.
    pub(super) const HONEST: Habits = Habits {
        rows: |_, _, _| {},
        turned: |position| position,
        sight: |_, _| {},
        head: |head| head,
        weigh: softmax,
        skips: |_, _| false,
        last: |mask| mask.iter().rposition(|seen| *seen == 1).unwrap_or(0),
        states: |_| {},
        fed: None,
    };
}

/// Subtracts the largest score, so that no exponential overflows.
fn softmax(scores: &mut [f32]) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|score| *score = (*score - most).exp());
    let total: f32 = scores.iter().sum();
    scores.iter_mut().for_each(|weight| *weight /= total);
}

/// A loader that computes with these habits, on the host, wherever its weights are.
pub(super) struct Bending(pub(super) Habits);

impl LoadDecisions for Bending {
    fn compute(
        &self,
        run: &Run<'_>,
        batch: &Batch,
        engine: &mut dyn FnMut(&Batch) -> Result<Traced>,
    ) -> Result<Traced> {
        let Batch::Tokens { columns, mask, .. } = batch else { return engine(batch) };
        input::check(run.runnable, batch)?;
        let given = Given { columns: *columns, mask: mask.clone() };
        let model = weights(run)?;
        let mut ops = Bent::new(run.runnable, &model, self.0, given, 0);
        let inputs = forward::prepare(run.runnable, batch, &mut ops)?;
        traced(run.runnable, &inputs, &mut ops, run.trace)
    }

    fn sequence<'s>(
        &self,
        run: &Run<'s>,
        _made: Box<dyn Sequence + 's>,
    ) -> Result<Box<dyn Sequence + 's>> {
        let (runnable, model) = (run.runnable, weights(run)?);
        let room = runnable.config.longest.min(MOST);
        let mut ops = Bent::new(runnable, &model, self.0, Given::default(), 0);
        let cache = Cache::new(runnable, room, &mut ops)?;
        let logits = Vec::new();
        Ok(Box::new(BentSequence { runnable, model, habits: self.0, cache, logits }))
    }
}

/// Most tokens of a generation.
const MOST: usize = 8192;

/// A model's weights on the host.
fn weights(run: &Run<'_>) -> Result<Vec<u8>> {
    let mut bytes = vec![0; run.memory.bytes() as usize];
    run.memory.read(0, &mut bytes)?;
    Ok(bytes)
}

struct BentSequence<'m> {
    runnable: &'m RunnableModel,
    model: Vec<u8>,
    habits: Habits,
    cache: Cache<Vec<f32>>,
    logits: Vec<f32>,
}

impl Sequence for BentSequence<'_> {
    fn extend(&mut self, ids: &[u32]) -> Result<()> {
        let given = Given { columns: ids.len(), mask: vec![1; ids.len()] };
        let mut ops = Bent::new(self.runnable, &self.model, self.habits, given, self.cache.tokens);
        self.logits = forward::extend(self.runnable, ids, &mut self.cache, &mut ops)?;
        Ok(())
    }

    fn logits(&mut self) -> Result<Vec<f32>> {
        Ok(self.logits.clone())
    }
}

struct Bent<'m> {
    runnable: &'m RunnableModel,
    honest: HostOps<'m>,
    habits: Habits,
    given: Given,
    past: usize,
}

impl<'m> Bent<'m> {
    fn new(
        runnable: &'m RunnableModel,
        model: &'m [u8],
        habits: Habits,
        given: Given,
        past: usize,
    ) -> Self {
        Bent { runnable, honest: HostOps::new(model), habits, given, past }
    }
}

type Values = Vec<f32>;

impl Ops for Bent<'_> {
    type Buffer = Values;
    type Indices = Vec<u32>;

    fn buffer(&mut self, values: usize) -> Result<Values> {
        self.honest.buffer(values)
    }

    fn values(&mut self, values: &[f32]) -> Result<Values> {
        self.honest.values(values)
    }

    fn refill(&mut self, values: &[f32], buffer: &mut Values) -> Result<()> {
        self.honest.refill(values, buffer)
    }

    fn indices(&mut self, values: &[u32]) -> Result<Vec<u32>> {
        self.honest.indices(values)
    }

    fn fetch(&mut self, buffer: &Values, into: &mut [f32]) -> Result<()> {
        self.honest.fetch(buffer, into)
    }

    fn gather(
        &mut self,
        pairs: &[(&Vec<u32>, Weight)],
        rows: usize,
        out: &mut Values,
    ) -> Result<()> {
        let placed = self.runnable.body()?.positions.is_some();
        let mut pairs = pairs.to_vec();
        let mut places = Vec::new();
        if let Some((given, table)) = pairs.get_mut(1).filter(|_| placed) {
            places.clone_from(given);
            (self.habits.rows)(self.runnable, &self.given, &mut places);
            // A row that the table does not have would be an error, and not a lie.
            let most = (table.rows as u32).saturating_sub(1);
            places.iter_mut().for_each(|place| *place = (*place).min(most));
            *given = &places;
        }
        self.honest.gather(&pairs, rows, out)
    }

    fn linear(
        &mut self,
        x: &Values,
        rows: usize,
        layers: &[Linear],
        activation: Option<Activation>,
        out: &mut Values,
    ) -> Result<()> {
        let Some(fed) = self.habits.fed else {
            return self.honest.linear(x, rows, layers, activation, out);
        };
        let x: Values = x.iter().map(|value| fed(*value)).collect();
        self.honest.linear(&x, rows, layers, activation, out)
    }

    fn gated(
        &mut self,
        both: &Values,
        rows: usize,
        width: usize,
        halves: (usize, usize),
        activation: Activation,
        out: &mut Values,
    ) -> Result<()> {
        self.honest.gated(both, rows, width, halves, activation, out)
    }

    fn norm(
        &mut self,
        x: &mut Values,
        residual: Option<&Values>,
        rows: usize,
        norm: &Norm,
        keep_and_readers: (bool, &[Linear]),
        out: &mut Values,
    ) -> Result<()> {
        (self.habits.states)(x);
        self.honest.norm(x, residual, rows, norm, keep_and_readers, out)
    }

    fn copy(&mut self, x: &Values, values: usize, y: &mut Values) -> Result<()> {
        self.honest.copy(x, values, y)
    }

    fn add(&mut self, x: &mut Values, y: &Values, values: usize) -> Result<()> {
        self.honest.add(x, y, values)
    }

    fn rotate(
        &mut self,
        x: &mut Values,
        place: (usize, usize),
        heads: usize,
        attention: &AttentionParams,
        turns: &Values,
    ) -> Result<()> {
        let Some(rotary) = &self.runnable.config.rotary else {
            return self.honest.rotate(x, place, heads, attention, turns);
        };
        let positions = self.past..self.past + attention.tokens;
        let turned = positions.map(self.habits.turned);
        let turn = |at: usize| forward::turns(self.runnable, rotary, at..at + 1);
        let turns: Values = turned.flat_map(turn).collect();
        self.honest.rotate(x, place, heads, attention, &turns)
    }

    fn norm_heads(
        &mut self,
        x: &mut Values,
        place: (usize, usize),
        rows: usize,
        heads: usize,
        norm: &Norm,
    ) -> Result<()> {
        self.honest.norm_heads(x, place, rows, heads, norm)
    }

    fn keep(
        &mut self,
        from: (View<'_, Values>, View<'_, Values>),
        rows: usize,
        columns: usize,
        at: usize,
        into: (&mut Values, &mut Values),
    ) -> Result<()> {
        self.honest.keep(from, rows, columns, at, into)
    }

    fn attend(
        &mut self,
        (of, past): (&AttentionParams, usize),
        queries: View<'_, Values>,
        keys: View<'_, Values>,
        values: View<'_, Values>,
        mask: &Vec<u32>,
        out: &mut Values,
    ) -> Result<()> {
        let mut of = *of;
        (self.habits.sight)(&mut of, &self.given);
        let size = of.head_size;
        let slice = |view: &View<'_, Values>, token: usize, head: usize| {
            let start = token * view.stride + view.column + head * size;
            start..start + size
        };
        let there = past + of.tokens;
        let skips = (self.habits.skips)(&of, past);
        for token in 0..of.rows * of.tokens {
            let (row, query) = (token / of.tokens, token % of.tokens);
            let last = if of.causal { past + query + 1 } else { there };
            let begin = of.window.map_or(0, |window| last.saturating_sub(window));
            for target_head in 0..of.heads {
                let head = (self.habits.head)(target_head);
                let key_head = head * of.key_heads / of.heads;
                let target = &mut out[token * of.heads * size + target_head * size..][..size];
                target.fill(0.0);
                let seen = |key: &usize| mask[*key] == 1;
                let kept: Vec<usize> =
                    (row * there + begin..row * there + last).filter(seen).collect();
                if kept.is_empty() || skips {
                    continue;
                }
                let own = &queries.buffer[slice(&queries, token, head)];
                let score = |key: &usize| {
                    let key = &keys.buffer[slice(&keys, *key, key_head)];
                    own.iter().zip(key).map(|(a, b)| a * b).sum::<f32>() * of.scale
                };
                let mut weights: Vec<f32> = kept.iter().map(score).collect();
                (self.habits.weigh)(&mut weights);
                for (weight, key) in weights.iter().zip(&kept) {
                    let value = &values.buffer[slice(&values, *key, key_head)];
                    target.iter_mut().zip(value).for_each(|(sum, v)| *sum += weight * v);
                }
            }
        }
        Ok(())
    }

    fn pool(
        &mut self,
        pool: Pool,
        states: &Values,
        (rows, tokens, width): (usize, usize, usize),
        mask: &Vec<u32>,
        out: &mut Values,
    ) -> Result<()> {
        // A generation pools the last of the tokens that it runs, and not the last of the mask.
        if pool != Pool::Last || mask.len() != rows * tokens {
            return self.honest.pool(pool, states, (rows, tokens, width), mask, out);
        }
        for (row, target) in out.chunks_mut(width).take(rows).enumerate() {
            let at = (self.habits.last)(&mask[row * tokens..][..tokens]).min(tokens - 1);
            target.copy_from_slice(&states[(row * tokens + at) * width..][..width]);
        }
        Ok(())
    }

    fn splade(
        &mut self,
        logits: &Values,
        shape: (usize, usize, usize),
        mask: &Vec<u32>,
        out: &mut Values,
    ) -> Result<()> {
        self.honest.splade(logits, shape, mask, out)
    }

    fn normalize(&mut self, x: &mut Values, rows: usize, width: usize) -> Result<()> {
        self.honest.normalize(x, rows, width)
    }

    fn blank(&mut self, x: &mut Values, rows: usize, width: usize, mask: &Vec<u32>) -> Result<()> {
        self.honest.blank(x, rows, width, mask)
    }
}

#[cfg(test)]
mod tests;
