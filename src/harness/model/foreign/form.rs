//! How a GGUF file of a case differs from the plain one: what files in use have, and candle's writer
//! cannot make.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// How a GGUF file differs from the plain one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GgufForm {
    /// The element type of all matrices. Their blocks are those of `fixtures/gguf`, with the values that
    /// llama.cpp's package unpacks from them.
    pub blocks: Option<String>,
    /// The alignment of tensors, in bytes.
    pub alignment: u64,
    /// In how many files it is.
    pub parts: usize,
    /// Which of these files the loader is given; the first is 1.
    pub given: usize,
    /// A file that is not there.
    pub lost: Option<usize>,
    /// Whether Llama 3's scaling of positions stands there as a tensor of divisors.
    pub rope_factors: bool,
    /// Whether sizes that layers may differ in are given for each layer.
    pub per_layer: Option<PerLayer>,
    /// The SentencePiece tokenizer of `fixtures/gguf`, and a template that adds nothing.
    pub pieces: bool,
    /// The byte-level tokenizer of `fixtures/gguf` with this way of splitting text, and such a template.
    pub pairs: Option<String>,
    /// Keys that are left out. Without `general.` or `tokenizer.`, they are the architecture's.
    pub without: Vec<String>,
    /// Keys that are added or replaced, with their values.
    pub with: BTreeMap<String, Value>,
}

/// Sizes for each layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PerLayer {
    /// All layers have the same.
    Same,
    /// The last layer has another feed-forward size than the metadata of a plain model can say.
    Differing,
}

impl Default for GgufForm {
    fn default() -> Self {
        GgufForm {
            blocks: None,
            alignment: 32,
            parts: 1,
            given: 1,
            lost: None,
            rope_factors: false,
            per_layer: None,
            pieces: false,
            pairs: None,
            without: Vec::new(),
            with: BTreeMap::new(),
        }
    }
}

impl GgufForm {
    /// The name of a file of the model; the first is 1.
    pub fn name(&self, part: usize) -> String {
        match self.parts {
            1 => "model.gguf".to_owned(),
            parts => format!("model-{part:05}-of-{parts:05}.gguf"),
        }
    }
}
