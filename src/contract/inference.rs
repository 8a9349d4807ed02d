//! Encoders: how a model is run, on what, and what of it can be looked at.
//!
//! A model to run is a weight file (or a shard index), the `config.json` that Hugging Face writes beside
//! it, and a [`Head`]: what is done with the token states. `config.json` has no word for the last,
//! so the request says it. A GGUF or an APR file holds configuration, tokenizer and chat template
//! itself: the request then names no `config.json`, and the others only where they are to count in
//! place of the file's own.
//!
//! Input and output travel as safetensors files; their tensors are named here.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// I64, shape `[batch, tokens]`: token ids.
pub const INPUT_IDS: &str = "input_ids";
/// I64, shape `[batch, tokens]`: 1 for a token, 0 for padding. Every row has a token.
pub const ATTENTION_MASK: &str = "attention_mask";
/// I64, shape `[batch, tokens]`: segment ids; absent means zeros.
pub const TOKEN_TYPE_IDS: &str = "token_type_ids";
/// F32, shape `[batch, size]`: the input of a model that takes vectors.
pub const VECTORS: &str = "vectors";
/// F32: what a run gives. Shape `[batch, dimension]`, or `[batch, tokens, dimension]` for
/// [`Pooling::PerToken`], zero where the mask is.
pub const EMBEDDING: &str = "embedding";
/// Prefix of traced states in an output file.
pub const TRACE: &str = "trace.";

/// What a loader needs to run a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inference {
    /// `config.json`; absent, and only then, where the weights' own file says what is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// `tokenizer.json`, where texts are to be embedded, or a conversation is to be held, and the
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
    /// What becomes of the token states.
    pub head: Head,
}

/// What becomes of the token states, step by step: pool, project, normalise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// How token states become one vector, or stay several.
    pub pooling: Pooling,
    /// A linear layer behind it, by its prefix in the file: `NAME.weight` of shape `[out, in]`, and
    /// `NAME.bias` of shape `[out]` where the file has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projection: Option<String>,
    /// Whether each vector is divided by its L2 norm, at least 1e-12.
    pub normalize: bool,
}

/// How token states become an embedding.
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
    /// Every token's state (`ColBERT`); rows outside the mask are zero.
    PerToken,
    /// The masked language model's logits, each `ln(1 + max(0, x))`, the largest over the tokens of
    /// the mask: a vector of the vocabulary's size (SPLADE).
    Splade,
    /// Every token's logits by the language model's own head: the word embeddings where
    /// `tie_word_embeddings` says so, `lm_head.weight` otherwise. Rows outside the mask are zero.
    Logits,
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
    /// The embedding, by the name [`EMBEDDING`].
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
