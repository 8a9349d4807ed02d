//! Steps that find cheating loaders. They take away the file, the model or the weights that a loader may
//! secretly rely on.

use serde::Deserialize;

use super::expect::Refusal;

/// Removes a file, or every weight file of a model, from the disk. A loaded model must not change.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Which.
    #[serde(default = "super::default_names::main_file")]
    pub file: String,
}

/// Sends every request that takes a model with the handle of an unloaded one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UseAfterUnload {
    /// Which model.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
    /// The input that it is asked with, by a name that another step gave it.
    #[serde(default)]
    pub input: Option<String>,
    /// How each request must be refused.
    pub refused: Refusal,
}

/// Writes other weights into a loaded model by CUDA IPC. The output must follow, and it must be the first one
/// again once the first weights are back.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tamper {
    /// Which model.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
    /// Sentences of the batch that it is run on.
    #[serde(default = "some_rows")]
    pub rows: usize,
    /// Tokens of a prompt that it goes on from, in place of a batch.
    #[serde(default)]
    pub prompt: Option<usize>,
    /// Most tokens behind the prompt.
    #[serde(default = "some_tokens")]
    pub limit: u32,
    /// Largest difference from the oracle, relative to the largest value of the row, at least 1.
    #[serde(default = "tolerance")]
    pub tolerance: f64,
}

fn some_rows() -> usize {
    3
}

fn some_tokens() -> u32 {
    6
}

fn tolerance() -> f64 {
    1e-5
}
