//! The parts of a model between token ids and token states.

use crate::loader::infer::config::Config;
use crate::loader::infer::ops::{Linear, Norm, Weight};

/// Everything between token ids and token states.
#[derive(Clone, Debug)]
pub struct Body {
    /// Word embeddings.
    pub words: Weight,
    /// Position embeddings, if positions are learned.
    pub positions: Option<Weight>,
    /// Segment embeddings.
    pub types: Option<Weight>,
    /// The norm over the sum of the embeddings.
    pub embedded: Option<Norm>,
    /// The layers, first to last.
    pub layers: Vec<Layer>,
    /// First columns of the keys and of the values in the joint query, key and value matrix.
    pub columns: (usize, usize),
    /// Whether RoPE rotates pairs of neighbouring elements, instead of elements half a head apart.
    pub neighbours: bool,
    /// Whether the feed-forward block has a gate.
    pub gated: bool,
    /// Whether the norms come before the attention and feed-forward blocks (pre-norm), instead of
    /// after.
    pub norms_first: bool,
    /// The norm after the last layer.
    pub last: Option<Norm>,
    /// The masked language model's head.
    pub vocabulary: Option<Vocabulary>,
    /// The language model's head.
    pub language: Option<Linear>,
}

impl Body {
    /// Every linear layer of the layers.
    pub fn products(&self) -> impl Iterator<Item = &Linear> {
        self.layers.iter().flat_map(|layer| {
            let several = layer.queries_keys_values.iter().chain(&layer.widen);
            several.chain([&layer.join, &layer.narrow])
        })
    }
}

/// One layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Query, key and value: three linear layers, or one with all three outputs side by side.
    pub queries_keys_values: Vec<Linear>,
    /// Norms over each head of the queries, and of the keys.
    pub head_norms: Option<(Norm, Norm)>,
    /// The output projection of the attention block.
    pub join: Linear,
    /// The norm of the attention block.
    pub attention_norm: Norm,
    /// The first linear layer of the feed-forward block. With a gate: gate and up projection, as
    /// two layers or as one with both outputs side by side.
    pub widen: Vec<Linear>,
    /// The last linear layer of the feed-forward block.
    pub narrow: Linear,
    /// The norm of the feed-forward block.
    pub forward_norm: Norm,
}

/// The head that computes vocabulary logits from token states.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// A layer with the model's activation.
    pub transform: Linear,
    /// The norm after it.
    pub norm: Norm,
    /// The projection to the vocabulary.
    pub decoder: Linear,
}

/// First columns of the keys and of the values in the joint query, key and value matrix.
pub fn columns(config: &Config) -> (usize, usize) {
    let queries = config.heads * config.head_size;
    (queries, queries + config.key_heads * config.head_size)
}
