//! A forward pass: how a model is run, on what, what it gives, and what of it can be looked at.
//!
//! A model to run is a weight file (or a shard index), the `config.json` that Hugging Face writes beside
//! it, and a [`Head`]: what output is made of the token states. `config.json` has no word for the last,
//! so the request says it. A GGUF or an APR file holds configuration, tokenizer and chat template
//! itself: the request then names no `config.json`, and the others only where they are to count in
//! place of the file's own.
//!
//! Input and output travel as safetensors files; their tensors are named here.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::generation::LOGITS;

/// I64, shape `[batch, tokens]`: token ids.
pub const INPUT_IDS: &str = "input_ids";
/// I64, shape `[batch, tokens]`: 1 for a token, 0 for padding. Every row has a token.
pub const ATTENTION_MASK: &str = "attention_mask";
/// I64, shape `[batch, tokens]`: segment ids; absent means zeros.
pub const TOKEN_TYPE_IDS: &str = "token_type_ids";
/// F32, shape `[batch, size]`: the input of a model that takes vectors.
pub const VECTORS: &str = "vectors";
/// Prefix of traced states in an output file.
pub const TRACE: &str = "trace.";

/// What a loader needs to run a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inference {
    /// `config.json`; absent, and only then, where the weights' own file says what is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// `tokenizer.json`, where texts are to be run, or a conversation is to be held, and the
    /// weights' own file has none or is not to be asked. The same holds for the next two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,
    /// `tokenizer_config.json`, where a conversation is to be held. The template is what `chat_template.jinja`
    /// beside it holds, and where there is no such file, the field `chat_template`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<PathBuf>,
    /// `generation_config.json`, whose end tokens count in place of `config.json`'s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<PathBuf>,
    /// What output is made of the token states.
    pub head: Head,
}

/// What output a model gives, and how it is made of the token states. A projection is a linear layer,
/// by its prefix in the file: `NAME.weight` of shape `[out, in]`, and `NAME.bias` of shape `[out]` where
/// the file has one. A vector that is normalised is divided by its L2 norm, at least 1e-12.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Head {
    /// One vector a row: pool, project, normalise.
    Embedding {
        /// How token states become one vector.
        pooling: Pooling,
        /// The linear layer behind it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        projection: Option<String>,
        /// Whether the vector is normalised.
        normalize: bool,
    },
    /// Every token's state (`ColBERT`): project, normalise. Rows outside the mask are zero.
    TokenStates {
        /// The linear layer behind it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        projection: Option<String>,
        /// Whether each state is normalised.
        normalize: bool,
    },
    /// Every token's logits by the language model's own head: the word embeddings where
    /// `tie_word_embeddings` says so, `lm_head.weight` otherwise. Rows outside the mask are zero.
    Logits {},
}

impl Head {
    /// An embedding by a pooling alone, as it is.
    pub fn pooled(pooling: Pooling) -> Head {
        Head::Embedding { pooling, projection: None, normalize: false }
    }

    /// What it gives.
    pub const fn gives(&self) -> OutputKind {
        match self {
            Head::Embedding { .. } => OutputKind::Embedding,
            Head::TokenStates { .. } => OutputKind::TokenStates,
            Head::Logits {} => OutputKind::Logits,
        }
    }

    /// How it pools, where it does.
    pub const fn pooling(&self) -> Option<Pooling> {
        match self {
            Head::Embedding { pooling, .. } => Some(*pooling),
            Head::TokenStates { .. } | Head::Logits {} => None,
        }
    }

    /// The name of its linear layer, where it has one.
    pub fn projection(&self) -> Option<&str> {
        match self {
            Head::Embedding { projection, .. } | Head::TokenStates { projection, .. } => {
                projection.as_deref()
            }
            Head::Logits {} => None,
        }
    }

    /// Whether what it gives is normalised.
    pub const fn normalizes(&self) -> bool {
        match self {
            Head::Embedding { normalize, .. } | Head::TokenStates { normalize, .. } => *normalize,
            Head::Logits {} => false,
        }
    }
}

/// How token states become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The model takes vectors; there is nothing to pool.
    None,
    /// The mean over the tokens of the mask.
    Mean,
    /// The first token's state.
    Cls,
    /// The state of the last token of the mask.
    LastToken,
    /// The masked language model's logits, each `ln(1 + max(0, x))`, the largest over the tokens of
    /// the mask: a vector of the vocabulary's size (SPLADE).
    Splade,
}

/// The kinds of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// One vector a row.
    Embedding,
    /// A vector a token.
    TokenStates,
    /// A score a token and word of the vocabulary.
    Logits,
}

impl OutputKind {
    /// Its name: on the wire, and of the tensor in the output file.
    pub const fn name(self) -> &'static str {
        match self {
            OutputKind::Embedding => "embedding",
            OutputKind::TokenStates => "token_states",
            OutputKind::Logits => LOGITS,
        }
    }

    /// An output of this kind and shape; none where the shape has another number of sides.
    pub fn shaped(self, shape: &[usize]) -> Option<Output> {
        let shape: Vec<u64> = shape.iter().map(|side| *side as u64).collect();
        Some(match self {
            OutputKind::Embedding => Output::Embedding { shape: shape.try_into().ok()? },
            OutputKind::TokenStates => Output::TokenStates { shape: shape.try_into().ok()? },
            OutputKind::Logits => Output::Logits { shape: shape.try_into().ok()? },
        })
    }
}

impl std::fmt::Display for OutputKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a forward pass gave. Its values are the F32 tensor of the output file that has the kind's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Output {
    /// One vector a row.
    Embedding {
        /// `[batch, dimension]`.
        shape: [u64; 2],
    },
    /// Every token's state, zero where the mask is.
    TokenStates {
        /// `[batch, tokens, dimension]`.
        shape: [u64; 3],
    },
    /// Every token's logits, zero where the mask is.
    Logits {
        /// `[batch, tokens, vocabulary]`.
        shape: [u64; 3],
    },
}

impl Output {
    /// Its kind.
    pub const fn kind(&self) -> OutputKind {
        match self {
            Output::Embedding { .. } => OutputKind::Embedding,
            Output::TokenStates { .. } => OutputKind::TokenStates,
            Output::Logits { .. } => OutputKind::Logits,
        }
    }

    /// Its shape, outermost dimension first.
    pub const fn shape(&self) -> &[u64] {
        match self {
            Output::Embedding { shape } => shape,
            Output::TokenStates { shape } | Output::Logits { shape } => shape,
        }
    }
}

/// What a run is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Input {
    /// A safetensors file with [`INPUT_IDS`] and [`ATTENTION_MASK`], and [`TOKEN_TYPE_IDS`] where
    /// wanted; or with [`VECTORS`].
    File(PathBuf),
    /// Texts, for the model's own tokenizer: special tokens added, cut at the model's longest
    /// input, padded to the longest.
    Texts(Vec<String>),
}

/// A batch, as numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Batch {
    /// Token ids, row-major `[rows, columns]`.
    Tokens {
        /// Sentences.
        rows: usize,
        /// Tokens of each, padding included.
        columns: usize,
        /// Ids.
        ids: Vec<i64>,
        /// 1 for a token, 0 for padding.
        mask: Vec<i64>,
        /// Segment ids; empty means zeros.
        types: Vec<i64>,
    },
    /// Vectors, row-major `[rows, columns]`.
    Vectors {
        /// How many.
        rows: usize,
        /// Their size.
        columns: usize,
        /// Values.
        values: Vec<f32>,
    },
}

/// A named state of a run.
///
/// Names: `embeddings` (what enters the first layer), `layer.N` (what leaves it, residual added,
/// shape `[batch, tokens, hidden]`, N from 0); of decoders within layer N: `layer.N.input_norm` and
/// `layer.N.forward_norm` (behind its two norms), `layer.N.qkv` (queries, keys and values side by side,
/// biases added, before any norm of heads and before positions), `layer.N.attention` and
/// `layer.N.forward` (what its two parts give, before they are added), `layer.N.inner` (what enters the
/// last product of the feed-forward part); `norm` (behind the final norm, where there is one), `pooled`
/// (before projection and normalisation). What stands at padding is not looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Its name, without [`TRACE`].
    pub name: String,
    /// Its shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f32>,
}

/// What a traced run gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Traced {
    /// The output, by its kind's [name](OutputKind::name).
    pub output: State,
    /// The states on the way, in order; empty where no trace was asked for.
    pub states: Vec<State>,
}

/// A model that can be run, and looked into while it runs. The judge's oracle and the reference's
/// engines are all of this kind, so that they can be compared state by state.
pub trait TracedForward {
    /// Why a run failed.
    type Error;

    /// Runs the model once. Nothing of one run shows in the next.
    ///
    /// # Errors
    /// Where the input does not fit the model, or the device fails.
    fn forward(&mut self, batch: &Batch, trace: bool) -> Result<Traced, Self::Error>;
}
