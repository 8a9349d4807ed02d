//! Steps about one model in several formats.

use serde::Deserialize;

use super::generate::PromptSource;

/// Lets loaded models, all of the same weights, go on from one prompt, and compares them with the first:
/// the tokens that reached them, those that they chose, the logits of every step, and the memory that
/// they take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agree {
    /// Which models, two or more.
    pub models: Vec<String>,
    /// What they go on from, made for the first of them.
    pub prompt: PromptSource,
    /// Most tokens.
    #[serde(default = "some_tokens")]
    pub limit: u32,
    /// Largest difference of a logit, relative to the row's largest, at least 1.
    #[serde(default = "tolerance")]
    pub tolerance: f64,
}

fn some_tokens() -> u32 {
    12
}

fn tolerance() -> f64 {
    1e-5
}

/// Compares a quantised model with the one that it was made of: what the blocks say of each matrix, and
/// the logits of random inputs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// The quantised model, loaded.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
    /// The one that it was made of.
    #[serde(default = "super::default_names::main_file")]
    pub from: String,
    /// Sentences of the input.
    #[serde(default = "some_rows")]
    pub rows: usize,
    /// Largest root mean square of a block's differences, as a share of its largest element.
    pub element: f64,
    /// Largest difference of the L2 norm of a matrix, or of all logits, as a share.
    pub norm: f64,
}

fn some_rows() -> usize {
    16
}
