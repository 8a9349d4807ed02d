//! A forward pass: what a loader needs to run a model, its input, its output and its intermediate
//! states.
//!
//! To run a model, a loader needs a weight file (or a shard index), the `config.json` that Hugging
//! Face writes beside it, and a [`Head`], which says what output is made of the token states.
//! `config.json` does not describe the head, so the request does. A GGUF or an APR file itself
//! holds configuration, tokenizer and chat template. The request then names no `config.json`, and
//! names the other files only if they replace those in the weight file.
//!
//! Input and output are safetensors files. This module has the names of their tensors.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::generation::LOGITS;

/// I64, shape `[batch, tokens]`: token ids.
pub const INPUT_IDS: &str = "input_ids";
/// I64, shape `[batch, tokens]`: 1 for a token, 0 for padding. Every row has at least one token.
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
    /// `config.json`; absent only if the weight file itself holds the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// `tokenizer.json`, for texts and conversations. Absent if neither is needed, or if the weight
    /// file holds its own and that is to be used. The same holds for the next two fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,
    /// `tokenizer_config.json`, for conversations. The template is the content of
    /// `chat_template.jinja` beside it or, if there is no such file, the field `chat_template`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<PathBuf>,
    /// `generation_config.json`. Its end tokens replace those of `config.json`; if it names none,
    /// those of `config.json` stay. Its settings that change which token comes next count for every
    /// choice, as transformers applies them: `repetition_penalty`, `no_repeat_ngram_size`,
    /// `suppress_tokens`, `begin_suppress_tokens`, `bad_words_ids`, `min_length` and
    /// `min_new_tokens`. Without this file, those in `config.json` count. A loader that does not
    /// serve one of them refuses the load and names it. The request alone states temperature,
    /// `top_p` and the most tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<PathBuf>,
    /// What output is made of the token states.
    pub head: Head,
    /// How exactly the model computes. It is sent only if it is not `exact`, so a loader that does not
    /// know it sees nothing new, and refuses a load that names it: it is an unknown field.
    #[serde(default, skip_serializing_if = "Compute::is_exact")]
    pub compute: Compute,
}

/// How exactly a model computes. Whoever runs a model chooses it; the judge never asks for another
/// than `exact`, so no case, no report and no golden is about another. Therefore no capability
/// stands for it: a capability is what cases try.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Compute {
    /// Activations keep their F32 precision.
    #[default]
    Exact,
    /// Before they are multiplied, activations may be rounded to the nearest BF16. Sums stay F32. A
    /// loader that does not compute so refuses the load with `unsupported_capability`, or with
    /// `compute_capability` if only the device is at fault. It never computes in another way
    /// without saying so.
    Bf16,
}

impl Compute {
    /// Whether it is the default.
    pub fn is_exact(&self) -> bool {
        *self == Compute::Exact
    }

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Compute::Exact => "exact",
            Compute::Bf16 => "bf16",
        }
    }
}

/// What output a model gives, and how it is made from the token states. A projection is a linear
/// layer, given by its prefix in the file: `NAME.weight` of shape `[out, in]`, and `NAME.bias` of
/// shape `[out]` if the file has one. Normalising divides a vector by its L2 norm, or by 1e-12 if
/// the norm is smaller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Head {
    /// One vector for each row: pool, project, normalise.
    Embedding {
        /// How token states become one vector.
        pooling: Pooling,
        /// The linear layer that follows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        projection: Option<String>,
        /// Whether the vector is normalised.
        normalize: bool,
    },
    /// Every token's state (`ColBERT`): project, normalise. Rows outside the mask are zero.
    TokenStates {
        /// The linear layer that follows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        projection: Option<String>,
        /// Whether each state is normalised.
        normalize: bool,
    },
    /// Every token's logits by the language model's own head: the word embeddings if
    /// `tie_word_embeddings` is true, else `lm_head.weight`. Rows outside the mask are zero.
    Logits {},
}

impl Head {
    /// An embedding by pooling only, without projection and normalisation.
    pub fn pooled(pooling: Pooling) -> Head {
        Head::Embedding { pooling, projection: None, normalize: false }
    }

    /// The kind of its output.
    pub const fn gives(&self) -> OutputKind {
        match self {
            Head::Embedding { .. } => OutputKind::Embedding,
            Head::TokenStates { .. } => OutputKind::TokenStates,
            Head::Logits {} => OutputKind::Logits,
        }
    }

    /// Its pooling, if it pools.
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

    /// Whether its output is normalised.
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
    /// SPLADE: a vector of the vocabulary's size. Each element is the largest `ln(1 + max(0, x))`
    /// over the tokens of the mask, where `x` is the masked language model's logit.
    Splade,
}

/// The kinds of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// One vector for each row.
    Embedding,
    /// One vector for each token.
    TokenStates,
    /// One score for each token and each entry of the vocabulary.
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

    /// An output of this kind and shape; `None` if the shape has the wrong number of dimensions.
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

/// The output of a forward pass. Its values are in the output file, in the F32 tensor that has the
/// name of the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Output {
    /// One vector for each row.
    Embedding {
        /// `[batch, dimension]`.
        shape: [u64; 2],
    },
    /// Every token's state, zeros where the mask is 0.
    TokenStates {
        /// `[batch, tokens, dimension]`.
        shape: [u64; 3],
    },
    /// Every token's logits, zeros where the mask is 0.
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

/// The input of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Input {
    /// A safetensors file with [`INPUT_IDS`] and [`ATTENTION_MASK`], and optionally
    /// [`TOKEN_TYPE_IDS`]; or with [`VECTORS`].
    File(PathBuf),
    /// Texts. The loader encodes them with the model's own tokenizer: it adds special tokens,
    /// truncates each text to the model's longest input, and pads all to the longest one.
    Texts(Vec<String>),
}

/// A batch, as numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Batch {
    /// Token ids, row-major `[rows, columns]`.
    Tokens {
        /// Number of sentences.
        rows: usize,
        /// Tokens of each sentence, padding included.
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
        /// Number of vectors.
        rows: usize,
        /// Size of each vector.
        columns: usize,
        /// Values.
        values: Vec<f32>,
    },
}

/// A named state of a run. Its name is one of:
///
/// - `embeddings`: the input of the first layer.
/// - `layer.N`: the output of layer N (from 0), residual added, shape `[batch, tokens, hidden]`.
/// - `layer.N.input_norm` and `layer.N.forward_norm`, decoders only: the outputs of its two norms.
/// - `layer.N.qkv`, decoders only: queries, keys and values side by side, biases added, before any
///   norm of heads and before positions.
/// - `layer.N.attention` and `layer.N.forward`, decoders only: the outputs of its two parts, before
///   they are added.
/// - `layer.N.inner`, decoders only: the input of the last product of the feed-forward part.
/// - `norm`: the output of the final norm, if there is one.
/// - `pooled`: the state before projection and normalisation.
///
/// The harness ignores the values at padding.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Its name, without [`TRACE`].
    pub name: String,
    /// Its shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f32>,
}

/// The output and the states of a traced run.
#[derive(Clone, Debug, PartialEq)]
pub struct Traced {
    /// The output, by its kind's [name](OutputKind::name).
    pub output: State,
    /// The intermediate states, in order; empty if no trace was requested.
    pub states: Vec<State>,
}

/// A model that can be run and returns its intermediate states. The oracle of the harness and the
/// engines of the reference loader implement it, so that they can be compared state by state.
pub trait TracedForward {
    /// Why a run failed.
    type Error;

    /// Runs the model once. A run does not affect the next one.
    ///
    /// # Errors
    /// Where the input does not fit the model, or the device fails.
    fn forward(&mut self, batch: &Batch, trace: bool) -> Result<Traced, Self::Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(compute: Compute) -> Inference {
        let head = Head::Logits {};
        Inference { config: None, tokenizer: None, template: None, generation: None, head, compute }
    }

    #[test]
    fn how_a_model_computes_is_sent_only_if_it_is_not_exactly() {
        for (compute, text) in [
            (Compute::Exact, r#"{"head":{"logits":{}}}"#),
            (Compute::Bf16, r#"{"head":{"logits":{}},"compute":"bf16"}"#),
        ] {
            assert_eq!(serde_json::to_string(&asked(compute)).unwrap(), text);
            assert_eq!(serde_json::from_str::<Inference>(text).unwrap(), asked(compute));
            assert_eq!(serde_json::to_value(compute).unwrap(), compute.name());
        }
        let named = r#"{"head":{"logits":{}},"compute":"exact"}"#;
        assert_eq!(serde_json::from_str::<Inference>(named).unwrap(), asked(Compute::Exact));
        let other = r#"{"head":{"logits":{}},"compute":"fp8"}"#;
        assert!(serde_json::from_str::<Inference>(other).is_err(), "an unknown word is no default");
    }
}
