//! What a file says besides tensors and configuration: tokenizer, template, and how text is cut.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::super::chat;

/// A way in which a tokenizer cuts text before it joins pairs, by llama.cpp's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Cut {
    /// As GPT-2 does.
    #[serde(rename = "gpt-2")]
    Gpt2,
    /// As Qwen2 does: text composed, digits one by one.
    #[serde(rename = "qwen2")]
    Qwen2,
    /// As Llama 3 does: digits in threes.
    #[serde(rename = "llama-bpe")]
    Llama3,
}

/// What a file says besides tensors and configuration.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// `tokenizer.json`.
    pub tokenizer: Option<Value>,
    /// `tokenizer_config.json`.
    pub template: Option<Value>,
    /// How the tokenizer cuts text, where that has a name.
    pub cut: Option<Cut>,
}

impl Beside {
    /// What stands in a model's folder.
    ///
    /// # Errors
    /// Files that are there and no JSON.
    pub fn read(folder: &Path, cut: Option<Cut>) -> Result<Beside, String> {
        let json = |name: &str| -> Result<Option<Value>, String> {
            let Ok(text) = fs::read(folder.join(name)) else { return Ok(None) };
            serde_json::from_slice(&text).map(Some).map_err(|error| error.to_string())
        };
        let template = match folder.join(chat::TEMPLATE).exists() {
            true => Some(Value::Object(chat::template(folder)?)),
            false => None,
        };
        Ok(Beside { tokenizer: json(chat::TOKENIZER)?, template, cut })
    }
}

impl Cut {
    /// As the format names it.
    pub const fn name(self) -> &'static str {
        match self {
            Cut::Gpt2 => "gpt-2",
            Cut::Qwen2 => "qwen2",
            Cut::Llama3 => "llama-bpe",
        }
    }

    /// Makes a `tokenizer.json` cut text in this way, as the models' published ones do.
    pub fn put_into(self, tokenizer: &mut Value) {
        let words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+";
        let rest = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
        let split = |expression: String| {
            serde_json::json!({"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
            ]})
        };
        tokenizer["pre_tokenizer"] = match self {
            Cut::Gpt2 => serde_json::json!({
                "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true
            }),
            Cut::Qwen2 => split(format!(r"{words}|\p{{N}}|{rest}")),
            Cut::Llama3 => split(format!(r"{words}|\p{{N}}{{1,3}}|{rest}")),
        };
        tokenizer["normalizer"] = match self {
            Cut::Qwen2 => serde_json::json!({"type": "NFC"}),
            _ => Value::Null,
        };
        tokenizer["model"]["ignore_merges"] = Value::Bool(self == Cut::Llama3);
    }
}
