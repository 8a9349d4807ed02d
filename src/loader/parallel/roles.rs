//! How each weight of a model is divided: by heads, by inner features, by words, or not at all.

use crate::contract::Phase;
use crate::loader::error::{LoadError, Result};
use crate::loader::infer::RunnableModel;
use crate::loader::infer::body::{Body, Layer};
use crate::loader::infer::config::Config;
use crate::loader::infer::ops::{Linear, Norm, Weight};
use crate::loader::remedies::parallel::{DEGREE_DOES_NOT_DIVIDE, ENCODER_DIVIDED, TOO_MANY_STAGES};

use super::grid::Grid;

/// Which stages hold a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// The stage of this layer.
    Layer(usize),
    /// The first stage.
    First,
    /// The last stage.
    Last,
    /// Both: word embeddings that are the head too.
    FirstAndLast,
}

/// A run of indices of one dimension that is divided on its own, such as the queries of a fused matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First index.
    pub begin: u64,
    /// Number of units: heads, inner features, words.
    pub units: u64,
    /// Indices of a unit.
    pub size: u64,
    /// Whether neighbours hold the same unit where there are fewer units than ranks, as with key heads.
    pub repeats: bool,
}

impl Run {
    /// A run that is cut once.
    pub const fn new(begin: u64, units: u64, size: u64) -> Run {
        Run { begin, units, size, repeats: false }
    }

    /// The same, of key heads.
    pub const fn of_keys(begin: u64, units: u64, size: u64) -> Run {
        Run { begin, units, size, repeats: true }
    }

    /// The indices of one rank of `tp`. If the units do not divide, the last ranks hold fewer, or none.
    pub fn of(&self, tp_rank: u64, tp: u64) -> [u64; 2] {
        let (first, last) = match self.repeats && self.units < tp {
            true => {
                let unit = tp_rank * self.units / tp;
                (unit, unit + 1)
            }
            false => {
                let each = self.units.div_ceil(tp);
                ((tp_rank * each).min(self.units), ((tp_rank + 1) * each).min(self.units))
            }
        };
        [self.begin + first * self.size, self.begin + last * self.size]
    }
}

/// A divided dimension, and its runs.
pub type Cut = (usize, Vec<Run>);

/// How a weight is divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Offset of the weight in the memory of a whole model, which identifies it.
    pub offset: u64,
    /// The stages that hold it.
    pub home: Home,
    /// The divided dimension; `None` if every rank of the stage holds the whole weight.
    pub cut: Option<Cut>,
    /// Whether it is the bias of a row-parallel layer. Only one rank may add it to its part of the sum.
    pub is_row_bias: bool,
}

/// The roles of all weights of a model.
///
/// # Errors
/// `unsupported_capability` if the grid does not divide the model; the error names both numbers.
pub fn roles(model: &RunnableModel, grid: &Grid) -> Result<Vec<Role>> {
    let config = &model.config;
    let Some(body) = model.parts.body.as_ref().filter(|_| config.causal()) else {
        return encoder(model, grid);
    };
    check(config, body.layers.len(), grid)?;
    let mut all = Roles { config, body, found: Vec::new() };
    let words = vec![Run::new(0, config.vocabulary as u64, 1)];
    let tied = body.language.is_some_and(|head| head.weight.offset == body.words.offset);
    let home = if tied { Home::FirstAndLast } else { Home::First };
    all.add(&body.words, home, Some((0, words.clone())));
    body.positions.iter().chain(&body.types).for_each(|one| all.add(one, Home::First, None));
    body.embedded.iter().for_each(|norm| all.norm(norm, Home::First));
    for (at, layer) in body.layers.iter().enumerate() {
        all.layer(layer, Home::Layer(at));
    }
    body.last.iter().for_each(|norm| all.norm(norm, Home::Last));
    if let Some(head) = body.language.filter(|_| !tied) {
        all.outputs(&head, Home::Last, words);
    }
    Ok(all.found)
}

/// The roles of an encoder, which only replicas load: every rank has every weight.
fn encoder(model: &RunnableModel, grid: &Grid) -> Result<Vec<Role>> {
    if grid.tp > 1 || grid.pp > 1 {
        let name = model.config.architecture.name();
        let message = format!("{name} is an encoder, which is not divided");
        return Err(LoadError::unsupported(Phase::Request, ENCODER_DIVIDED, message)
            .expected("tp 1 and pp 1", format!("tp {} and pp {}", grid.tp, grid.pp)));
    }
    Ok(Vec::new())
}

/// Refuses a grid that does not divide the model.
fn check(config: &Config, layers: usize, grid: &Grid) -> Result<()> {
    let Grid { tp, pp, .. } = *grid;
    if pp > layers as u64 {
        let message = format!("{layers} layers cannot be divided over {pp} stages");
        return Err(LoadError::unsupported(Phase::Request, TOO_MANY_STAGES, message)
            .expected(format!("at most {layers} stages"), pp));
    }
    let (heads, keys) = (config.heads as u64, config.key_heads as u64);
    let few_keys = keys < tp && tp.is_multiple_of(keys);
    let inner = config.inner as u64;
    for (what, number, divides) in [
        ("query heads", heads, heads.is_multiple_of(tp)),
        ("key heads", keys, keys.is_multiple_of(tp) || few_keys),
        ("inner features", inner, inner.is_multiple_of(tp)),
    ] {
        if !divides {
            let message = format!("{number} {what} cannot be divided over {tp} ranks");
            return Err(LoadError::unsupported(Phase::Request, DEGREE_DOES_NOT_DIVIDE, message)
                .expected(format!("a degree that divides {number}"), tp));
        }
    }
    Ok(())
}

/// Roles as they are found.
struct Roles<'m> {
    config: &'m Config,
    body: &'m Body,
    found: Vec<Role>,
}

impl Roles<'_> {
    fn add(&mut self, weight: &Weight, home: Home, cut: Option<Cut>) {
        self.found.push(Role { offset: weight.offset, home, cut, is_row_bias: false });
    }

    fn norm(&mut self, norm: &Norm, home: Home) {
        self.add(&norm.weight, home, None);
        if let Some(bias) = &norm.bias {
            self.add(bias, home, None);
        }
    }

    /// A layer whose outputs are divided.
    fn outputs(&mut self, linear: &Linear, home: Home, runs: Vec<Run>) {
        self.add(&linear.weight, home, Some((usize::from(linear.transposed), runs.clone())));
        if let Some(bias) = &linear.bias {
            self.add(bias, home, Some((0, runs)));
        }
    }

    /// A layer whose inputs are divided. Its bias is whole.
    fn inputs(&mut self, linear: &Linear, home: Home, run: Run) {
        self.add(&linear.weight, home, Some((usize::from(!linear.transposed), vec![run])));
        if let Some(bias) = &linear.bias {
            self.add(bias, home, None);
            if let Some(last) = self.found.last_mut() {
                last.is_row_bias = true;
            }
        }
    }

    fn layer(&mut self, layer: &Layer, home: Home) {
        let config = self.config;
        let size = config.head_size as u64;
        let heads = |begin| Run::new(begin, config.heads as u64, size);
        let keys = |begin: usize| Run::of_keys(begin as u64, config.key_heads as u64, size);
        match layer.queries_keys_values.as_slice() {
            [fused] => {
                let (of_keys, of_values) = self.body.columns;
                self.outputs(fused, home, vec![heads(0), keys(of_keys), keys(of_values)]);
            }
            several => {
                let runs = [heads(0), keys(0), keys(0)];
                for (linear, run) in several.iter().zip(runs) {
                    self.outputs(linear, home, vec![run]);
                }
            }
        }
        if let Some((queries, keys)) = &layer.head_norms {
            self.norm(queries, home);
            self.norm(keys, home);
        }
        self.inputs(&layer.join, home, heads(0));
        self.norm(&layer.attention_norm, home);
        let inner = |begin| Run::new(begin, config.inner as u64, 1);
        match (layer.widen.as_slice(), self.body.gated) {
            // Gate and up, one behind the other.
            ([fused], true) => {
                self.outputs(fused, home, vec![inner(0), inner(config.inner as u64)]);
            }
            (each, _) => each.iter().for_each(|one| self.outputs(one, home, vec![inner(0)])),
        }
        self.inputs(&layer.narrow, home, inner(0));
        self.norm(&layer.forward_norm, home);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_divided_repeated_or_cut_short() {
        let ranks = |run: Run, tp| (0..tp).map(|rank| run.of(rank, tp)).collect::<Vec<_>>();
        let of = |units, tp| ranks(Run::new(10, units, 3), tp);
        assert_eq!(of(4, 2), [[10, 16], [16, 22]]);
        assert_eq!(of(2, 4), [[10, 13], [13, 16], [16, 16], [16, 16]]);
        assert_eq!(ranks(Run::of_keys(10, 2, 3), 4), [[10, 13], [10, 13], [13, 16], [13, 16]]);
        assert_eq!(of(5, 4), [[10, 16], [16, 22], [22, 25], [25, 25]]);
        assert_eq!(of(4, 1), [[10, 22]]);
    }
}
