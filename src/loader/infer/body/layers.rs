//! What lies between token ids and token states, layer by layer.

use crate::loader::infer::config::Config;
use crate::loader::infer::ops::{Linear, Norm, Weight};

/// Everything between token ids and token states.
#[derive(Clone, Debug)]
pub struct Body {
    /// Word embeddings.
    pub words: Weight,
    /// Position embeddings, where positions are learned.
    pub positions: Option<Weight>,
    /// Segment embeddings.
    pub types: Option<Weight>,
    /// The norm over their sum.
    pub embedded: Option<Norm>,
    /// The layers, first to last.
    pub layers: Vec<Layer>,
    /// Where among the columns of query, key and value the keys and the values begin.
    pub columns: (usize, usize),
    /// Whether rotary positions turn neighbours, in place of elements half a head apart.
    pub neighbours: bool,
    /// Whether the feed-forward part has a gate.
    pub gated: bool,
    /// Whether a layer's norms stand before its parts, in place of behind them.
    pub norms_first: bool,
    /// The norm behind the last layer.
    pub last: Option<Norm>,
    /// The masked language model's head.
    pub vocabulary: Option<Vocabulary>,
    /// The language model's head.
    pub language: Option<Linear>,
}

/// One layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Query, key and value: three layers, or one that gives all three side by side.
    pub queries_keys_values: Vec<Linear>,
    /// Norms over each head of the queries, and of the keys.
    pub head_norms: Option<(Norm, Norm)>,
    /// What joins the heads.
    pub join: Linear,
    /// The norm of the attention part.
    pub attention_norm: Norm,
    /// Into the feed-forward part: one layer; or the gate and the other one, perhaps as one layer that
    /// gives both side by side.
    pub widen: Vec<Linear>,
    /// Out of it.
    pub narrow: Linear,
    /// The norm of the feed-forward part.
    pub forward_norm: Norm,
}

/// From token states to the vocabulary.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// A layer with the model's activation.
    pub transform: Linear,
    /// The norm behind it.
    pub norm: Norm,
    /// To the vocabulary.
    pub decoder: Linear,
}

/// Where among the columns of query, key and value the keys and the values begin.
pub(super) fn columns(config: &Config) -> (usize, usize) {
    let queries = config.heads * config.head_size;
    (queries, queries + config.key_heads * config.head_size)
}
