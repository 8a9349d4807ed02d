//! One forward pass over the ranks of a divided model.
//!
//! The ranks of a stage hold slices of the same layers. Each computes with its slices, and they add up what they
//! have computed twice in each layer. A stage hands the states of the tokens on to the next one. The sums are
//! made on the host, in the order of the ranks, so the result is the same at every run.

use std::ops::Range;

use super::layers::Pass;
use super::{Cache, Run, Tokens, TokensOf, turns};
use crate::gpu::Pool;
use crate::loader::error::{LoadError, Result};
use crate::loader::infer::RunnableModel;
use crate::loader::infer::body::Layer;
use crate::loader::infer::ops::Ops;

/// A rank's part of a model.
#[derive(Clone, Debug)]
pub struct RankModel {
    /// The layers of its stage, with the rank's heads and inner features and the positions of its slices.
    pub runnable: RunnableModel,
    /// The rows of the vocabulary that it holds, of word embeddings and head.
    pub words: Range<usize>,
}

/// Tokens that all ranks run at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Number of sentences.
    pub rows: usize,
    /// Number of tokens of each sentence.
    pub columns: usize,
    /// Number of tokens of the sentence that ran before these.
    pub past: usize,
    /// Token ids.
    pub ids: Vec<u32>,
    /// 1 for each token that counts, those that ran before included.
    pub mask: Vec<u32>,
    /// Whether only the logits of the last token are wanted.
    pub last: bool,
}

/// What ranks do with the results of each other.
pub trait Exchange {
    /// The row of a word in the slice of a rank that holds these words; none if it does not hold it.
    fn row(&self, id: u32, held: &Range<usize>) -> Option<u32> {
        let id = id as usize;
        held.contains(&id).then(|| (id - held.start) as u32)
    }

    /// The sum over the ranks of a stage. `parts` has what each has computed, in the order of the ranks.
    fn sum(&self, parts: &[Vec<f32>]) -> Vec<f32> {
        let mut parts = parts.iter();
        let mut sum = parts.next().cloned().unwrap_or_default();
        for part in parts {
            sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
        sum
    }

    /// The states that a stage hands on to the next one.
    fn hand_on(&self, states: Vec<f32>) -> Vec<f32> {
        states
    }

    /// The logits of all words. `parts` has the rows of each rank and the number of its words.
    fn join(&self, parts: &[(Vec<f32>, usize)]) -> Vec<f32> {
        let widest = parts.iter().find(|(_, words)| *words > 0);
        let rows = widest.map_or(0, |(values, words)| values.len() / words);
        let of_row = |row: usize| {
            parts.iter().flat_map(move |(values, words)| &values[row * words..][..*words])
        };
        (0..rows).flat_map(of_row).copied().collect()
    }
}

/// The exchange of an honest loader.
pub struct InOrder;

impl Exchange for InOrder {}

/// One rank while it runs. The ranks of a stage make the same calls.
pub trait RankRun {
    /// Begins a pass. `known` are the states that the previous stage handed on.
    ///
    /// # Errors
    /// If memory runs out or the device fails. The same holds for all methods below.
    fn begin(&mut self, asked: &Asked, known: Option<&[f32]>) -> Result<()>;

    /// The word embeddings of the tokens, and zeros for words that the rank does not hold.
    ///
    /// # Errors
    /// As above.
    fn words(&mut self, asked: &Asked, exchange: &dyn Exchange) -> Result<Vec<f32>>;

    /// Takes the embeddings that all ranks have together, and adds those of the positions.
    ///
    /// # Errors
    /// As above.
    fn embedded(&mut self, words: &[f32]) -> Result<()>;

    /// Number of layers of the rank's stage.
    fn layers(&self) -> usize;

    /// Runs a block of a layer, as far as the rank can by itself.
    ///
    /// # Errors
    /// As above.
    fn block(&mut self, layer: usize, block: Block) -> Result<()>;

    /// What the last block has computed.
    ///
    /// # Errors
    /// As above.
    fn part(&mut self) -> Result<Vec<f32>>;

    /// Replaces what the last block has computed by the sum over all ranks.
    ///
    /// # Errors
    /// As above.
    fn set_part(&mut self, sum: &[f32]) -> Result<()>;

    /// The states of the tokens after the rank's layers.
    ///
    /// # Errors
    /// As above.
    fn states(&mut self) -> Result<Vec<f32>>;

    /// The logits of the rank's words, and the number of these.
    ///
    /// # Errors
    /// As above.
    fn logits(&mut self, asked: &Asked) -> Result<(Vec<f32>, usize)>;
}

/// A piece of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Attention. Its result is a part of a sum.
    Attention,
    /// The feed-forward block. Its result is a part of a sum.
    Forward,
    /// Adding the last sum to the states.
    End,
}

/// Runs a divided model. `ranks` are those of one replica, in the order of their numbers, `tp` to a stage.
/// Returns the logits of every token, or of the last one, row by row.
///
/// # Errors
/// Those of any rank.
pub fn run(
    ranks: &mut [Box<dyn RankRun + '_>],
    tp: usize,
    asked: &Asked,
    exchange: &dyn Exchange,
) -> Result<Vec<f32>> {
    let mut handed_on: Option<Vec<f32>> = None;
    let mut logits = Vec::new();
    let stages = ranks.len() / tp.max(1);
    for (number, stage) in ranks.chunks_mut(tp.max(1)).enumerate() {
        for rank in stage.iter_mut() {
            rank.begin(asked, handed_on.as_deref())?;
        }
        if number == 0 {
            let parts: Vec<_> =
                stage.iter_mut().map(|rank| rank.words(asked, exchange)).collect::<Result<_>>()?;
            let words = exchange.sum(&parts);
            stage.iter_mut().try_for_each(|rank| rank.embedded(&words))?;
        }
        for layer in 0..stage.first().map_or(0, |rank| rank.layers()) {
            for block in [Block::Attention, Block::Forward] {
                stage.iter_mut().try_for_each(|rank| rank.block(layer, block))?;
                add_up(stage, exchange)?;
            }
            stage.iter_mut().try_for_each(|rank| rank.block(layer, Block::End))?;
        }
        if number + 1 < stages {
            let states = stage.first_mut().map(|rank| rank.states()).transpose()?;
            handed_on = states.map(|states| exchange.hand_on(states));
        } else {
            let parts: Vec<_> =
                stage.iter_mut().map(|rank| rank.logits(asked)).collect::<Result<_>>()?;
            logits = exchange.join(&parts);
        }
    }
    Ok(logits)
}

/// Gives each rank of a stage the sum of what all have computed. One rank alone has it already.
fn add_up(stage: &mut [Box<dyn RankRun + '_>], exchange: &dyn Exchange) -> Result<()> {
    if stage.len() < 2 {
        return Ok(());
    }
    let parts: Vec<_> = stage.iter_mut().map(|rank| rank.part()).collect::<Result<_>>()?;
    let sum = exchange.sum(&parts);
    stage.iter_mut().try_for_each(|rank| rank.set_part(&sum))
}

/// A rank on an engine.
pub struct RankOn<'m, O: Ops> {
    model: &'m RankModel,
    ops: O,
    cache: Option<Cache<O::Buffer>>,
    pass: Option<Begun<O>>,
}

/// The tokens of a pass in progress, and how far it has come.
type Begun<O> = (TokensOf<O>, Pass<<O as Ops>::Buffer>);

impl<'m, O: Ops> RankOn<'m, O> {
    /// A rank with its engine. With `room`, keys and values of so many tokens are kept between passes.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn new(model: &'m RankModel, mut ops: O, room: Option<usize>) -> Result<Self> {
        let made = |room| Cache::new(&model.runnable, room, &mut ops);
        let cache = room.map(made).transpose()?;
        Ok(RankOn { model, ops, cache, pass: None })
    }

    /// Calls `work` with what runs and the pass in progress.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Run<'_, '_, O>, &TokensOf<O>, &mut Pass<O::Buffer>) -> Result<T>,
    ) -> Result<T> {
        let Some((input, pass)) = &mut self.pass else {
            return Err(LoadError::internal("no pass has begun"));
        };
        let runnable = &self.model.runnable;
        let cache = self.cache.as_mut();
        work(&mut Run { runnable, ops: &mut self.ops, see: None, cache }, input, pass)
    }

    fn layer(&self, layer: usize) -> Result<&'m Layer> {
        let layers = &self.model.runnable.body()?.layers;
        layers.get(layer).ok_or_else(|| LoadError::internal("a layer of another stage"))
    }
}

/// The first values of a buffer, on the host.
fn fetched<O: Ops>(ops: &mut O, count: usize, buffer: &O::Buffer) -> Result<Vec<f32>> {
    let mut values = vec![0.0; count];
    ops.fetch(buffer, &mut values)?;
    Ok(values)
}

impl<O: Ops> RankRun for RankOn<'_, O> {
    fn begin(&mut self, asked: &Asked, known: Option<&[f32]>) -> Result<()> {
        let (runnable, ops) = (&self.model.runnable, &mut self.ops);
        self.pass = None;
        ops.restart()?;
        let body = runnable.body()?;
        let there = asked.past..asked.past + asked.columns;
        if self.cache.as_ref().is_some_and(|cache| there.end > cache.room) {
            return Err(LoadError::internal("no room for a token"));
        }
        let positions: Vec<u32> = (0..asked.ids.len())
            .map(|at| (asked.past + at % asked.columns.max(1)) as u32)
            .collect();
        let input = Tokens {
            rows: asked.rows,
            columns: asked.columns,
            past: asked.past,
            // A rank finds its own rows in `words`.
            ids: ops.indices(&[])?,
            types: None,
            positions: body.positions.map(|_| ops.indices(&positions)).transpose()?,
            mask: ops.indices(&asked.mask)?,
            turns: match &runnable.config.rotary {
                None => None,
                Some(rotary) => Some(ops.values(&turns(runnable, rotary, there))?),
            },
        };
        let mut run = Run { runnable, ops, see: None, cache: None };
        let mut pass = run.begin(body, &input)?;
        if let Some(known) = known {
            run.ops.refill(known, pass.state())?;
        }
        self.pass = Some((input, pass));
        Ok(())
    }

    fn words(&mut self, asked: &Asked, exchange: &dyn Exchange) -> Result<Vec<f32>> {
        let held = &self.model.words;
        let rows: Vec<_> = asked.ids.iter().map(|id| exchange.row(*id, held)).collect();
        let here: Vec<u32> = rows.iter().map(|row| u32::from(row.is_some())).collect();
        let rows: Vec<u32> = rows.iter().map(|row| row.unwrap_or(0)).collect();
        let (count, hidden) = (rows.len(), self.model.runnable.config.hidden);
        let none_held = held.is_empty();
        self.with(|run, _, pass| {
            if none_held {
                return Ok(vec![0.0; pass.values()]);
            }
            let (rows, here) = (run.ops.indices(&rows)?, run.ops.indices(&here)?);
            let table = run.runnable.body()?.words;
            run.ops.gather(&[(&rows, table)], count, pass.state())?;
            run.ops.blank(pass.state(), count, hidden, &here)?;
            fetched(run.ops, pass.values(), pass.state())
        })
    }

    fn embedded(&mut self, words: &[f32]) -> Result<()> {
        self.with(|run, input, pass| {
            let values = pass.values();
            run.ops.refill(words, pass.state())?;
            if let Some((positions, table)) =
                input.positions.as_ref().zip(run.runnable.body()?.positions)
            {
                let count = input.rows * input.columns;
                run.ops.gather(&[(positions, table)], count, pass.part())?;
                let (state, part) = pass.both();
                run.ops.add(state, part, values)?;
            }
            Ok(())
        })
    }

    fn layers(&self) -> usize {
        self.model.runnable.parts.body.as_ref().map_or(0, |body| body.layers.len())
    }

    fn block(&mut self, number: usize, block: Block) -> Result<()> {
        let layer = (number, self.layer(number)?);
        self.with(|run, input, pass| match block {
            Block::Attention => run.attention_block(layer, input, pass),
            Block::Forward => run.forward_block(layer, pass),
            Block::End => run.end_layer(layer, pass),
        })
    }

    fn part(&mut self) -> Result<Vec<f32>> {
        self.with(|run, _, pass| fetched(run.ops, pass.values(), pass.part()))
    }

    fn set_part(&mut self, sum: &[f32]) -> Result<()> {
        self.with(|run, _, pass| run.ops.refill(sum, pass.part()))
    }

    fn states(&mut self) -> Result<Vec<f32>> {
        self.with(|run, _, pass| fetched(run.ops, pass.values(), pass.state()))
    }

    fn logits(&mut self, asked: &Asked) -> Result<(Vec<f32>, usize)> {
        let words = self.model.words.len();
        let hidden = self.model.runnable.config.hidden;
        let logits = self.with(|run, input, pass| {
            let body = run.runnable.body()?;
            let count = if asked.last { asked.rows } else { asked.rows * asked.columns };
            if words == 0 {
                return Ok(Vec::new());
            }
            let mut states = run.ops.buffer(count * hidden)?;
            if asked.last {
                let shape = (asked.rows, asked.columns, hidden);
                run.ops.pool(Pool::Last, pass.state(), shape, &input.mask, &mut states)?;
            } else {
                run.ops.copy(pass.state(), count * hidden, &mut states)?;
            }
            let states = run.normed(body, states, count)?;
            let (mut logits, _) = run.words(body, &states, count)?;
            if !asked.last {
                run.ops.blank(&mut logits, count, words, &input.mask)?;
            }
            fetched(run.ops, count * words, &logits)
        });
        Ok((logits?, words))
    }
}
