//! The forward pass, shared by all engines. [`prepare`] copies a batch to the engine, and [`run`]
//! computes.
//!
//! `run` copies nothing between host and engine, except for a trace. It requests its buffers in the
//! same order every time, so that an engine can record the run and replay it.

mod layers;
pub mod ranks;

use std::ops::Range;

use crate::contract::inference::{Batch, Head, Pooling};
use crate::loader::error::{LoadError, Result};

use super::RunnableModel;
use super::body::{Body, Vocabulary};
use super::config::{Architecture, Rotary};
use super::ops::{Linear, Ops};
use crate::gpu::Pool;

/// A batch in an engine's memory.
pub enum Inputs<B, I> {
    /// Token ids, mask, types and positions.
    Tokens(Tokens<B, I>),
    /// Vectors.
    Vectors {
        /// Number of vectors.
        rows: usize,
        /// The vectors.
        values: B,
    },
}

/// Tokens in an engine's memory.
pub struct Tokens<B, I> {
    /// Number of sentences.
    rows: usize,
    /// Number of tokens of each sentence.
    columns: usize,
    /// Number of tokens of the sentence that ran before these.
    past: usize,
    ids: I,
    types: Option<I>,
    positions: Option<I>,
    mask: I,
    turns: Option<B>,
}

/// The result of a run: a buffer and its shape.
pub type Output<B> = (B, Vec<usize>);

/// An engine's batch.
pub type Batched<O> = Inputs<<O as Ops>::Buffer, <O as Ops>::Indices>;

/// An engine's tokens.
type TokensOf<O> = Tokens<<O as Ops>::Buffer, <O as Ops>::Indices>;

/// The KV cache: keys and values of the tokens that ran before.
pub struct Cache<B> {
    /// Keys and values of each layer, `[room, key_heads * head_size]` each. RoPE is already applied
    /// to the keys.
    pub layers: Vec<(B, B)>,
    /// Capacity in tokens.
    pub room: usize,
    /// Number of tokens held.
    pub tokens: usize,
}

impl<B> Cache<B> {
    /// Creates an empty cache for `room` tokens.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn new<O: Ops<Buffer = B>>(
        runnable: &RunnableModel,
        room: usize,
        ops: &mut O,
    ) -> Result<Self> {
        let width = runnable.config.key_heads * runnable.config.head_size;
        let mut half = || ops.buffer(room * width);
        let layers = (0..runnable.body()?.layers.len()).map(|_| Ok((half()?, half()?)));
        Ok(Cache { layers: layers.collect::<Result<_>>()?, room, tokens: 0 })
    }
}

/// A callback that receives a state with its name and shape.
pub type See<'s, O> = dyn FnMut(&mut O, &str, &[usize], &<O as Ops>::Buffer) -> Result<()> + 's;

/// Copies a batch, already checked against the model, to an engine.
///
/// # Errors
/// If memory runs out or the device fails.
pub fn prepare<O: Ops>(runnable: &RunnableModel, batch: &Batch, ops: &mut O) -> Result<Batched<O>> {
    let (rows, columns, ids, mask, types) = match batch {
        Batch::Vectors { rows, values, .. } => {
            return Ok(Inputs::Vectors { rows: *rows, values: ops.values(values)? });
        }
        Batch::Tokens { rows, columns, ids, mask, types } => (*rows, *columns, ids, mask, types),
    };
    let indices = |ops: &mut O, values: &[i64]| {
        let values: Vec<u32> = values.iter().map(|value| *value as u32).collect();
        ops.indices(&values)
    };
    let body = runnable.body()?;
    let positions = match body.positions {
        None => None,
        Some(_) => Some(ops.indices(&positions(runnable, ids, columns))?),
    };
    let types = match body.types {
        None => None,
        Some(_) if types.is_empty() => Some(ops.indices(&vec![0; ids.len()])?),
        Some(_) => Some(indices(ops, types)?),
    };
    let turns = match &runnable.config.rotary {
        None => None,
        Some(rotary) => Some(ops.values(&turns(runnable, rotary, 0..columns))?),
    };
    let (ids, mask) = (indices(ops, ids)?, indices(ops, mask)?);
    Ok(Inputs::Tokens(Tokens { rows, columns, past: 0, ids, types, positions, mask, turns }))
}

/// Runs more tokens of one sentence after those in the cache, and adds them to the cache. Returns
/// the logits of the last token, `[vocabulary]`.
///
/// # Errors
/// If memory runs out or the device fails; `internal` if the cache has no room for the tokens.
pub fn extend<O: Ops>(
    runnable: &RunnableModel,
    ids: &[u32],
    cache: &mut Cache<O::Buffer>,
    ops: &mut O,
) -> Result<O::Buffer> {
    let (past, columns) = (cache.tokens, ids.len());
    let there = past..past + columns;
    if there.end > cache.room || ids.is_empty() {
        return Err(LoadError::internal("no room for a token, or no token"));
    }
    let body = runnable.body()?;
    let positions: Vec<u32> = there.clone().map(|position| position as u32).collect();
    let input = Tokens {
        rows: 1,
        columns,
        past,
        ids: ops.indices(ids)?,
        types: None,
        positions: body.positions.map(|_| ops.indices(&positions)).transpose()?,
        mask: ops.indices(&vec![1; there.end])?,
        turns: match &runnable.config.rotary {
            None => None,
            Some(rotary) => Some(ops.values(&turns(runnable, rotary, there.clone()))?),
        },
    };
    let mut run = Run { runnable, ops, see: None, cache: Some(cache) };
    let (last, _) = run.layers(body, &input, Some(Pool::Last))?;
    let last = run.normed(body, last, 1)?;
    let (logits, _) = run.words(body, &last, 1)?;
    cache.tokens = there.end;
    Ok(logits)
}

/// Returns each token's row in the position table.
fn positions(runnable: &RunnableModel, ids: &[i64], columns: usize) -> Vec<u32> {
    let padding = runnable.config.padding;
    if runnable.config.architecture != Architecture::Roberta {
        return (0..ids.len()).map(|at| (at % columns) as u32).collect();
    }
    // RoBERTa counts only tokens that are not padding, starting after the padding id's row.
    let mut next = 0;
    let count = |(at, id): (usize, &i64)| {
        if at % columns == 0 {
            next = padding;
        }
        if *id == padding as i64 {
            return padding as u32;
        }
        next += 1;
        next as u32
    };
    ids.iter().enumerate().map(count).collect()
}

/// Returns cosine and sine for each position and pair, `[positions, head_size / 2, 2]`.
pub fn turns(runnable: &RunnableModel, rotary: &Rotary, positions: Range<usize>) -> Vec<f32> {
    let mut frequencies = rotary.frequencies(runnable.config.head_size);
    if let Some(factors) = &runnable.rope_factors {
        factors.apply(&mut frequencies);
    }
    runnable.turns.find(&frequencies, positions)
}

/// Runs the model.
///
/// # Errors
/// If memory runs out or the device fails.
pub fn run<O: Ops>(
    runnable: &RunnableModel,
    inputs: &Batched<O>,
    ops: &mut O,
    see: Option<&mut See<'_, O>>,
) -> Result<Output<O::Buffer>> {
    let mut run = Run { runnable, ops, see, cache: None };
    match inputs {
        Inputs::Tokens(tokens) => run.tokens(tokens),
        Inputs::Vectors { rows, values } => {
            let projection = runnable.parts.projection.as_ref();
            let projection = projection.ok_or_else(|| LoadError::internal("nothing to run"))?;
            run.finish(values, *rows, Some(projection), None)
        }
    }
}

struct Run<'a, 's, O: Ops> {
    runnable: &'a RunnableModel,
    ops: &'a mut O,
    see: Option<&'a mut See<'s, O>>,
    cache: Option<&'a mut Cache<O::Buffer>>,
}

impl<O: Ops> Run<'_, '_, O> {
    fn show(&mut self, name: &str, shape: &[usize], state: &O::Buffer) -> Result<()> {
        match &mut self.see {
            Some(see) => see(self.ops, name, shape, state),
            None => Ok(()),
        }
    }

    fn tokens(&mut self, input: &TokensOf<O>) -> Result<Output<O::Buffer>> {
        let (runnable, hidden) = (self.runnable, self.runnable.config.hidden);
        let body = runnable.body()?;
        let (rows, columns) = (input.rows, input.columns);
        // Of pools that take the state of one token, nobody reads the others.
        let one = match runnable.head.pooling() {
            Some(Pooling::Cls) => Some(Pool::First),
            Some(Pooling::LastToken) => Some(Pool::Last),
            _ => None,
        };
        let (state, there) = self.layers(body, input, one)?;
        let (count, shape) = (rows * there, [rows, there, hidden]);
        let mut state = self.normed(body, state, count)?;
        if body.last.is_some() {
            self.show("norm", &shape, &state)?;
        }
        let pooling = match &runnable.head {
            Head::Embedding { pooling, .. } => *pooling,
            Head::TokenStates { .. } => {
                self.show("pooled", &shape, &state)?;
                let projection = runnable.parts.projection.as_ref();
                let (mut out, mut shape) = self.finish(&state, count, projection, None)?;
                let width = shape[1];
                self.ops.blank(&mut out, count, width, &input.mask)?;
                shape = vec![rows, columns, width];
                return Ok((out, shape));
            }
            Head::Logits {} => {
                let (mut logits, width) = self.words(body, &state, count)?;
                self.ops.blank(&mut logits, count, width, &input.mask)?;
                return Ok((logits, vec![rows, columns, width]));
            }
        };
        if pooling == Pooling::Splade {
            let vocabulary = body.vocabulary.as_ref();
            let vocabulary = vocabulary.ok_or_else(|| LoadError::internal("no vocabulary head"))?;
            return self.splade(vocabulary, &mut state, input);
        }
        if one.is_none() || there > 1 {
            let mut pooled = self.ops.buffer(rows * hidden)?;
            let pool = one.unwrap_or(Pool::Mean);
            self.ops.pool(pool, &state, (rows, there, hidden), &input.mask, &mut pooled)?;
            state = pooled;
        }
        self.finish(&state, rows, runnable.parts.projection.as_ref(), Some(hidden))
    }

    /// States behind the model's last norm, if it has one.
    fn normed(&mut self, body: &Body, mut states: O::Buffer, count: usize) -> Result<O::Buffer> {
        let Some(norm) = &body.last else { return Ok(states) };
        let mut normed = self.ops.buffer(count * self.runnable.config.hidden)?;
        self.ops.norm(&mut states, None, count, norm, (false, &[]), &mut normed)?;
        Ok(normed)
    }

    /// The logits of states behind the last norm, and how many each has: on a rank, those of its words.
    fn words(
        &mut self,
        body: &Body,
        states: &O::Buffer,
        count: usize,
    ) -> Result<(O::Buffer, usize)> {
        let head = body.language.ok_or_else(|| LoadError::internal("no head"))?;
        let mut logits = self.ops.buffer(count * head.outputs())?;
        self.ops.linear(states, count, &[head], None, &mut logits)?;
        Ok((logits, head.outputs()))
    }

    fn splade(
        &mut self,
        head: &Vocabulary,
        state: &mut O::Buffer,
        input: &TokensOf<O>,
    ) -> Result<Output<O::Buffer>> {
        let (runnable, hidden) = (self.runnable, self.runnable.config.hidden);
        let (rows, columns, width) = (input.rows, input.columns, runnable.config.vocabulary);
        let count = rows * columns;
        let activation = Some(runnable.config.activation);
        let (mut wide, mut normed) =
            (self.ops.buffer(count * hidden)?, self.ops.buffer(count * hidden)?);
        self.ops.linear(state, count, &[head.transform], activation, &mut wide)?;
        self.ops.norm(&mut wide, None, count, &head.norm, (false, &[]), &mut normed)?;
        let mut logits = self.ops.buffer(count * width)?;
        self.ops.linear(&normed, count, &[head.decoder], None, &mut logits)?;
        let mut pooled = self.ops.buffer(rows * width)?;
        self.ops.splade(&logits, (rows, columns, width), &input.mask, &mut pooled)?;
        self.finish(&pooled, rows, runnable.parts.projection.as_ref(), Some(width))
    }

    /// Projects and normalises `rows` rows; `pooled` is their width if a trace shows them.
    fn finish(
        &mut self,
        state: &O::Buffer,
        rows: usize,
        projection: Option<&Linear>,
        pooled: Option<usize>,
    ) -> Result<Output<O::Buffer>> {
        let head = &self.runnable.head;
        let inputs = match head.pooling() {
            Some(Pooling::Splade) => self.runnable.config.vocabulary,
            _ => self.runnable.config.hidden,
        };
        if let Some(width) = pooled {
            self.show("pooled", &[rows, width], state)?;
        }
        let width = projection.map_or(inputs, |projection| projection.weight.rows);
        let mut out = self.ops.buffer(rows * width)?;
        match projection {
            Some(layer) => self.ops.linear(state, rows, &[*layer], None, &mut out)?,
            None => self.ops.copy(state, rows * width, &mut out)?,
        }
        if head.normalizes() {
            self.ops.normalize(&mut out, rows, width)?;
        }
        Ok((out, vec![rows, width]))
    }
}
