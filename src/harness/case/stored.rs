//! A step that compares a decoder with a stored golden.

use serde::Deserialize;

/// Compares a decoder with what the transformers library gave for exactly these weights: logits at
/// every position of several prompts, and greedy tokens. Weights without a golden leave the case
/// untested.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredGolden {
    /// Which model.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
    /// Largest difference of a logit, relative to the largest of its position, at least 1.
    #[serde(default = "tolerance")]
    pub tolerance: f64,
}

fn tolerance() -> f64 {
    1e-5
}
