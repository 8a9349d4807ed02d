//! The description of a model: architecture, sizes, head, element type and seed.

use serde::{Deserialize, Serialize};

use crate::contract::DType;
use crate::contract::inference::{Head, OutputKind, Pooling};

/// The architecture of a model, as in `model_type` of `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// BERT: learned positions, post-norm.
    Bert,
    /// RoBERTa: BERT with positions that start after the padding id.
    Roberta,
    /// Nomic's BERT: fused QKV projection, SwiGLU, rotary positions; tensor names as published.
    NomicBert,
    /// Qwen2: causal, pre-norm, grouped-query attention.
    Qwen2,
    /// Qwen3: Qwen2 with a norm over each query head and key head; biases only if the configuration
    /// has them.
    Qwen3,
    /// Llama: rotary positions, which may be scaled; biases if the configuration has them.
    Llama,
    /// Mistral: sliding-window attention.
    Mistral,
    /// Phi-3: fused QKV projection, fused gate and up projection, sliding-window attention.
    Phi3,
    /// GPT-2: learned positions, no gate, weights stored as `[in, out]`.
    Gpt2,
    /// One linear layer over a vector.
    Projection,
}

impl Architecture {
    /// All architectures.
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

    /// Whether attention is causal.
    pub const fn is_decoder(self) -> bool {
        use Architecture::{Gpt2, Llama, Mistral, Phi3, Qwen2, Qwen3};
        matches!(self, Qwen2 | Qwen3 | Llama | Mistral | Phi3 | Gpt2)
    }

    /// Whether several query heads may share a key head.
    pub const fn groups_queries(self) -> bool {
        self.is_decoder() && !matches!(self, Architecture::Gpt2)
    }

    /// The `model_type` in `config.json`.
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

/// Everything that determines a model. Sizes are in elements. Sizes that the architecture does not
/// use keep their defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The architecture.
    pub architecture: Architecture,
    /// Element type of every weight.
    pub dtype: DType,
    /// The sizes.
    pub sizes: Sizes,
    /// What the head makes of the token states.
    pub output: HeadKind,
    /// The head's linear layer, if it has one.
    pub projection: Option<Projected>,
    /// Whether the output is L2-normalised. Logits never are.
    pub normalize: bool,
    /// Number of weight files.
    pub shards: usize,
    /// Settings of decoders only.
    pub decoder: Decoder,
    /// Seed of the weights.
    pub seed: String,
}

/// What a model's head makes of the token states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadKind {
    /// One vector a row, with this pooling.
    Embedding(Pooling),
    /// Every token's state.
    TokenStates,
    /// Every token's logits.
    Logits,
}

impl HeadKind {
    /// The kind of output it gives.
    pub const fn gives(self) -> OutputKind {
        match self {
            HeadKind::Embedding(_) => OutputKind::Embedding,
            HeadKind::TokenStates => OutputKind::TokenStates,
            HeadKind::Logits => OutputKind::Logits,
        }
    }

    /// Whether it is the head of a masked language model (SPLADE).
    pub fn is_splade(self) -> bool {
        self == HeadKind::Embedding(Pooling::Splade)
    }
}

/// Settings of decoders only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoder {
    /// Whether the language-model head has its own matrix, not the word embeddings.
    pub untied: bool,
    /// Whether the layers of Llama and Qwen3 have their optional biases.
    pub biased: bool,
    /// Sliding window of Mistral and Phi-3, in tokens.
    pub window: Option<usize>,
    /// Llama 3's scaling of rotary positions.
    pub scaling: Option<Scaling>,
    /// Whether the last norm's weights are spread around zero. Otherwise a tied model with random
    /// weights tends to predict its last input token, and repeats it without end.
    pub wanders: bool,
}

/// Llama 3's scaling of rotary positions, with the names of `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scaling {
    /// Divisor of low frequencies.
    pub factor: f64,
    /// A frequency is low if it makes fewer full turns than this over the original length.
    pub low_freq_factor: f64,
    /// A frequency is high, and stays unscaled, if it makes more full turns than this.
    pub high_freq_factor: f64,
    /// The original length, in tokens.
    pub original_max_position_embeddings: usize,
}

/// A head's linear layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projected {
    /// Name of the layer; its tensors are `NAME.weight` and, if it has a bias, `NAME.bias`.
    pub name: String,
    /// Whether it has a bias.
    pub bias: bool,
}

/// Sizes of a model, in elements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Size of a token's state, or of the input of a projection.
    pub hidden: usize,
    /// Size of the output: of the embedding, or of a token's logits.
    pub dimension: usize,
    /// Number of rows of the word embeddings.
    #[serde(default)]
    pub vocabulary: usize,
    /// Number of layers.
    #[serde(default)]
    pub layers: usize,
    /// Number of query heads.
    #[serde(default)]
    pub heads: usize,
    /// Number of key and value heads; 0 means as many as query heads.
    #[serde(default)]
    pub key_heads: usize,
    /// Size of a head; 0 means hidden / heads.
    #[serde(default)]
    pub head_size: usize,
    /// Inner size of the feed-forward part.
    #[serde(default)]
    pub inner: usize,
    /// `max_position_embeddings`.
    #[serde(default)]
    pub positions: usize,
    /// Number of token types (segments).
    #[serde(default)]
    pub types: usize,
    /// Id of the padding token.
    #[serde(default)]
    pub padding: usize,
    /// Base of the rotary frequencies (`rope_theta`).
    #[serde(default)]
    pub rotary_base: f64,
    /// Epsilon of the norms.
    #[serde(default)]
    pub epsilon: f64,
}

impl Sizes {
    /// Number of key and value heads.
    pub fn key_heads(&self) -> usize {
        if self.key_heads == 0 { self.heads } else { self.key_heads }
    }

    /// Size of a head.
    pub fn head_size(&self) -> usize {
        if self.head_size == 0 { self.hidden / self.heads.max(1) } else { self.head_size }
    }

    /// Whether the heads have a size other than hidden / heads.
    pub fn has_own_head(&self) -> bool {
        self.heads > 0 && self.heads * self.head_size() != self.hidden
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
    /// The head, as a load request gives it.
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
