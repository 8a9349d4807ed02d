//! The part of a model that one rank runs: the layers of its stage, over the slices in its memory.

use std::collections::BTreeMap;

use crate::loader::error::{LoadError, Result};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::infer::RunnableModel;
use crate::loader::infer::body::{Body, Layer, Parts, Vocabulary, columns};
use crate::loader::infer::config::Config;
use crate::loader::infer::forward::ranks::RankModel;
use crate::loader::infer::ops::{Linear, Norm, Weight};

use super::divided::{Divided, RankMemory};
use super::grid::Grid;
use super::roles::Run;

/// Finds a model's parts in the memory of a rank. `at` is its place in the request, and `tensors` are those of
/// the files.
///
/// # Errors
/// `internal` if the rank does not hold what it must run.
pub fn rank_model(
    whole: &RunnableModel,
    divided: &Divided,
    at: usize,
    tensors: &[PlacedTensor],
) -> Result<RankModel> {
    let rank = &divided.ranks[at];
    let with_bytes = tensors.iter().enumerate().filter(|(_, tensor)| tensor.bytes > 0);
    let by_offset = with_bytes.map(|(index, tensor)| (tensor.offset, index)).collect();
    let slices = Slices { rank, by_offset };
    let config = config_of(&whole.config, rank.at.tp_rank, &divided.grid);
    let body = whole.parts.body.as_ref();
    let body = body.map(|body| slices.body(body, &config, &divided.grid)).transpose()?;
    let words = Run::new(0, config.vocabulary as u64, 1);
    let [first, end] = words.of(rank.at.tp_rank, divided.grid.tp);
    let projection = whole.parts.projection.as_ref();
    let projection = projection.map(|layer| slices.linear(layer)).transpose()?;
    let runnable = RunnableModel {
        config,
        head: whole.head.clone(),
        compute: whole.compute,
        parts: Parts { body, projection, unused: Vec::new() },
        tokenizer: None,
        template: None,
        ends: whole.ends.clone(),
        settings: whole.settings.clone(),
        rope_factors: whole.rope_factors.clone(),
        turns: whole.turns.clone(),
    };
    Ok(RankModel { runnable, words: first as usize..end as usize })
}

/// The configuration of a rank: its heads and inner features.
fn config_of(whole: &Config, tp_rank: u64, grid: &Grid) -> Config {
    let own = |run: Run| {
        let [begin, end] = run.of(tp_rank, grid.tp);
        (end - begin) as usize
    };
    Config {
        heads: own(Run::new(0, whole.heads as u64, 1)),
        key_heads: own(Run::of_keys(0, whole.key_heads as u64, 1)),
        inner: own(Run::new(0, whole.inner as u64, 1)),
        ..whole.clone()
    }
}

/// The slices of a rank.
struct Slices<'d> {
    rank: &'d RankMemory,
    /// Tensors of the files, by their offset in the memory of a whole model.
    by_offset: BTreeMap<u64, usize>,
}

impl Slices<'_> {
    /// A weight in the rank's memory; none if the rank holds no element of it.
    fn held(&self, weight: &Weight) -> Option<(Weight, Option<bool>)> {
        let slice = self.rank.slice_of(*self.by_offset.get(&weight.offset)?)?;
        let shape = slice.shape();
        let (rows, columns) = match shape.as_slice() {
            [rows, columns] => (*rows as usize, *columns as usize),
            _ => (1, shape.iter().product::<u64>() as usize),
        };
        Some((Weight { offset: slice.offset, rows, columns, ..*weight }, slice.adds))
    }

    fn weight(&self, weight: &Weight) -> Result<Weight> {
        let held = self.held(weight).map(|(weight, _)| weight);
        let rank = self.rank.at.rank;
        held.ok_or_else(|| LoadError::internal(format!("rank {rank} lacks a weight of its stage")))
    }

    fn norm(&self, norm: &Norm) -> Result<Norm> {
        let bias = norm.bias.as_ref().map(|bias| self.weight(bias)).transpose()?;
        Ok(Norm { weight: self.weight(&norm.weight)?, bias, ..*norm })
    }

    /// A linear layer. The bias of a row-parallel layer is left out if another rank adds it.
    fn linear(&self, linear: &Linear) -> Result<Linear> {
        let bias = linear.bias.as_ref();
        let bias = bias.filter(|bias| !matches!(self.held(bias), Some((_, Some(false)))));
        let bias = bias.map(|bias| self.weight(bias)).transpose()?;
        Ok(Linear { weight: self.weight(&linear.weight)?, bias, ..*linear })
    }

    fn linears(&self, layers: &[Linear]) -> Result<Vec<Linear>> {
        layers.iter().map(|layer| self.linear(layer)).collect()
    }

    fn layer(&self, layer: &Layer) -> Result<Layer> {
        let head_norms = layer.head_norms.as_ref();
        let head_norms = head_norms
            .map(|(queries, keys)| Ok::<_, LoadError>((self.norm(queries)?, self.norm(keys)?)));
        Ok(Layer {
            queries_keys_values: self.linears(&layer.queries_keys_values)?,
            head_norms: head_norms.transpose()?,
            join: self.linear(&layer.join)?,
            attention_norm: self.norm(&layer.attention_norm)?,
            widen: self.linears(&layer.widen)?,
            narrow: self.linear(&layer.narrow)?,
            forward_norm: self.norm(&layer.forward_norm)?,
        })
    }

    fn vocabulary(&self, head: &Vocabulary) -> Result<Vocabulary> {
        Ok(Vocabulary {
            transform: self.linear(&head.transform)?,
            norm: self.norm(&head.norm)?,
            decoder: self.linear(&head.decoder)?,
        })
    }

    fn body(&self, body: &Body, config: &Config, grid: &Grid) -> Result<Body> {
        let stage = self.rank.at.stage;
        let (first, last) = (stage == 0, stage + 1 == grid.pp);
        // The last ranks may have no row of the vocabulary.
        let none = |whole: &Weight| Weight { rows: 0, ..*whole };
        let words = self.held(&body.words).map_or(none(&body.words), |(words, _)| words);
        let stages = grid.stages(body.layers.len());
        let own = body.layers.iter().zip(&stages).filter(|(_, home)| **home == stage);
        let on = |here: bool, norm: &Option<Norm>| {
            norm.as_ref().filter(|_| here).map(|norm| self.norm(norm)).transpose()
        };
        let table = |table: &Option<Weight>| {
            table.as_ref().filter(|_| first).map(|table| self.weight(table)).transpose()
        };
        let vocabulary = body.vocabulary.as_ref().filter(|_| last);
        let language = body.language.filter(|_| last).map(|head| Linear {
            weight: self.held(&head.weight).map_or(none(&head.weight), |(weight, _)| weight),
            bias: head.bias.and_then(|bias| self.held(&bias)).map(|(bias, _)| bias),
            ..head
        });
        Ok(Body {
            words,
            positions: table(&body.positions)?,
            types: table(&body.types)?,
            embedded: on(first, &body.embedded)?,
            layers: own.map(|(layer, _)| self.layer(layer)).collect::<Result<_>>()?,
            columns: columns(config),
            last: on(last, &body.last)?,
            vocabulary: vocabulary.map(|head| self.vocabulary(head)).transpose()?,
            language,
            ..*body
        })
    }
}
