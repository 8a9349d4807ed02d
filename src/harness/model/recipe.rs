//! What a model is: architecture, sizes, head, element type and seed.

use serde::{Deserialize, Serialize};

use crate::contract::DType;
use crate::contract::inference::{Head, OutputKind, Pooling};

/// How a model is built, by its `model_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// BERT: learned positions, norms behind each part.
    Bert,
    /// The same with positions counted from behind the padding id.
    Roberta,
    /// Nomic's BERT: fused projections, SwiGLU, rotary positions; tensor names as published.
    NomicBert,
    /// Qwen2: norms before each part, grouped-query attention, causal.
    Qwen2,
    /// Qwen3: Qwen2 with norms over the heads of queries and keys, and no biases there.
    Qwen3,
    /// Llama: rotary positions that may be scaled, biases where the configuration says so.
    Llama,
    /// Mistral: a window that a token sees.
    Mistral,
    /// Phi-3: query, key and value fused, and gate and the other half.
    Phi3,
    /// GPT-2: learned positions, no gate, weights stored as `[in, out]`.
    Gpt2,
    /// One linear layer over a vector.
    Projection,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Architecture; 10] = [
        Architecture::Bert,
        Architecture::Roberta,
        Architecture::NomicBert,
        Architecture::Qwen2,
        Architecture::Qwen3,
        Architecture::Llama,
        Architecture::Mistral,
        Architecture::Phi3,
        Architecture::Gpt2,
        Architecture::Projection,
    ];

    /// Whether a token sees only those before it.
    pub const fn is_decoder(self) -> bool {
        use Architecture::{Gpt2, Llama, Mistral, Phi3, Qwen2, Qwen3};
        matches!(self, Qwen2 | Qwen3 | Llama | Mistral | Phi3 | Gpt2)
    }

    /// Whether several query heads may share a key head, and a head have a size of its own.
    pub const fn groups_queries(self) -> bool {
        self.is_decoder() && !matches!(self, Architecture::Gpt2)
    }

    /// As `config.json` has it.
    pub const fn model_type(self) -> &'static str {
        match self {
            Architecture::Bert => "bert",
            Architecture::Roberta => "roberta",
            Architecture::NomicBert => "nomic_bert",
            Architecture::Qwen2 => "qwen2",
            Architecture::Qwen3 => "qwen3",
            Architecture::Llama => "llama",
            Architecture::Mistral => "mistral",
            Architecture::Phi3 => "phi3",
            Architecture::Gpt2 => "gpt2",
            Architecture::Projection => "projection",
        }
    }
}

/// Everything that makes a model. Sizes are in elements; those that an architecture has no use for
/// are left at their defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The architecture.
    pub architecture: Architecture,
    /// Element type of every weight.
    pub dtype: DType,
    /// Its sizes.
    pub sizes: Sizes,
    /// What its head makes of the token states.
    pub output: HeadKind,
    /// The head's linear layer, where there is one.
    pub projection: Option<Projected>,
    /// Whether what it gives is normalised; never logits.
    pub normalize: bool,
    /// How many files it is spread over.
    pub shards: usize,
    /// What only decoders have.
    pub decoder: Decoder,
    /// What the weights come from.
    pub seed: String,
}

/// What a model's head makes of the token states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadKind {
    /// One vector a row, pooled in this way.
    Embedding(Pooling),
    /// Every token's state.
    TokenStates,
    /// Every token's logits.
    Logits,
}

impl HeadKind {
    /// What it gives.
    pub const fn gives(self) -> OutputKind {
        match self {
            HeadKind::Embedding(_) => OutputKind::Embedding,
            HeadKind::TokenStates => OutputKind::TokenStates,
            HeadKind::Logits => OutputKind::Logits,
        }
    }

    /// Whether it is the masked language model's.
    pub fn is_splade(self) -> bool {
        self == HeadKind::Embedding(Pooling::Splade)
    }
}

/// What only decoders have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoder {
    /// Whether the head to the vocabulary has a matrix of its own.
    pub untied: bool,
    /// Whether Llama's and Qwen3's layers have their optional biases.
    pub biased: bool,
    /// How many tokens a token of Mistral or Phi-3 sees.
    pub window: Option<usize>,
    /// Llama 3's scaling of rotary positions.
    pub scaling: Option<Scaling>,
    /// Whether the last norm's weights lie around zero: a tied model then does not find the token that it
    /// was given among its embeddings, and so does not repeat it for ever.
    pub wanders: bool,
}

/// Llama 3's scaling, by the names of `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scaling {
    /// By how much slow pairs are slowed down.
    pub factor: f64,
    /// Slow: fewer turns than this over the original length.
    pub low_freq_factor: f64,
    /// Fast: more turns than this.
    pub high_freq_factor: f64,
    /// That length, in tokens.
    pub original_max_position_embeddings: usize,
}

/// A head's linear layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projected {
    /// Its name: `NAME.weight`, and `NAME.bias` where it has one.
    pub name: String,
    /// Whether it has a bias.
    pub bias: bool,
}

/// Sizes of a model, in elements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Width of a token's state, or of the input of a projection.
    pub hidden: usize,
    /// Size of the embedding.
    pub dimension: usize,
    /// Rows of the word embeddings.
    #[serde(default)]
    pub vocabulary: usize,
    /// Layers.
    #[serde(default)]
    pub layers: usize,
    /// Query heads.
    #[serde(default)]
    pub heads: usize,
    /// Key and value heads; 0 means as many as query heads.
    #[serde(default)]
    pub key_heads: usize,
    /// Size of a head; 0 means hidden over heads.
    #[serde(default)]
    pub head_size: usize,
    /// Width of the feed-forward part.
    #[serde(default)]
    pub inner: usize,
    /// `max_position_embeddings`.
    #[serde(default)]
    pub positions: usize,
    /// Segment types.
    #[serde(default)]
    pub types: usize,
    /// The padding token.
    #[serde(default)]
    pub padding: usize,
    /// Rotary base.
    #[serde(default)]
    pub rotary_base: f64,
    /// Added to variances.
    #[serde(default)]
    pub epsilon: f64,
}

impl Sizes {
    /// Key and value heads.
    pub fn key_heads(&self) -> usize {
        if self.key_heads == 0 { self.heads } else { self.key_heads }
    }

    /// Size of a head.
    pub fn head_size(&self) -> usize {
        if self.head_size == 0 { self.hidden / self.heads.max(1) } else { self.head_size }
    }

    /// Longest input of an architecture, in tokens.
    pub fn longest(&self, architecture: Architecture) -> usize {
        match architecture {
            Architecture::Roberta => self.positions.saturating_sub(self.padding + 1),
            _ => self.positions,
        }
    }
}

impl Recipe {
    /// The head, as a request says it.
    pub fn head(&self) -> Head {
        let projection = self.projection.as_ref().map(|layer| layer.name.clone());
        let normalize = self.normalize;
        match self.output {
            HeadKind::Embedding(pooling) => Head::Embedding { pooling, projection, normalize },
            HeadKind::TokenStates => Head::TokenStates { projection, normalize },
            HeadKind::Logits => Head::Logits {},
        }
    }
}
