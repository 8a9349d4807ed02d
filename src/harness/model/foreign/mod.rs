//! A model in another format, from the same weights: what is written, and what a loader must hold of it.
//!
//! The judge writes by other people's libraries, candle for GGUF and `apr-format` for APR, so that no
//! misreading of a format can be shared with a loader made here.

mod apr;
mod damage;
mod gguf;

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::Model;
use super::chat;
use crate::contract::request::Format;

pub use self::damage::{Break, apply};

/// How matrices are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantised {
    /// Eight bits, 32 elements a block.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// Four bits, 256 elements a block.
    Q4K,
    /// Six bits, 256 elements a block.
    Q6K,
}

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

/// A file, and the model that a loader must hold of it, under the names that models are published by.
pub struct Written {
    /// The file.
    pub bytes: Vec<u8>,
    /// The model; of quantised matrices what their blocks say, as F32, and as F32 too what GGUF has in no
    /// other type.
    pub held: Model,
}

/// Writes a model.
///
/// # Errors
/// What the format has no words for.
pub fn write(
    model: &Model,
    format: Format,
    quantised: Option<Quantised>,
    beside: &Beside,
) -> Result<Written, String> {
    match (format, quantised) {
        (Format::Gguf, _) => gguf::write(model, quantised, beside),
        (Format::Apr, None) => apr::write(model, beside),
        (Format::Apr, Some(_)) => Err("quantised models are written as GGUF alone".to_owned()),
        (Format::Safetensors, _) => Err("safetensors is written elsewhere".to_owned()),
    }
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

/// A size of the configuration.
fn size(config: &Value, field: &str) -> Result<u64, String> {
    config[field].as_u64().ok_or_else(|| format!("the configuration's {field} is no size"))
}

/// Every token that ends a sequence.
fn ends(config: &Value) -> Vec<u64> {
    let value = &config["eos_token_id"];
    let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    all.iter().filter_map(Value::as_u64).collect()
}
