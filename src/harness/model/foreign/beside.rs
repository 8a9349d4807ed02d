//! What a file holds besides tensors and configuration: tokenizer, chat template, and the kind of
//! pre-tokenizer.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::super::chat;
use super::super::published::{TEMPLATE, template};

/// The pre-tokenizer of a BPE tokenizer: how it splits text before it merges pairs. The names are
/// llama.cpp's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Cut {
    /// GPT-2's.
    #[serde(rename = "gpt-2")]
    Gpt2,
    /// Qwen2's: text in Unicode NFC, each digit by itself.
    #[serde(rename = "qwen2")]
    Qwen2,
    /// Llama 3's: up to three digits together.
    #[serde(rename = "llama-bpe")]
    Llama3,
}

/// What a file holds besides tensors and configuration.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Content of `tokenizer.json`.
    pub tokenizer: Option<Value>,
    /// Content of `tokenizer_config.json`, with the template that applies.
    pub template: Option<Value>,
    /// The pre-tokenizer, if it has a name in llama.cpp.
    pub cut: Option<Cut>,
}

impl Beside {
    /// Reads the files of a model's folder. A file that does not exist gives `None`.
    ///
    /// # Errors
    /// If a file exists but is not JSON.
    pub fn read(folder: &Path, cut: Option<Cut>) -> Result<Beside, String> {
        let json = |name: &str| -> Result<Option<Value>, String> {
            let Ok(text) = fs::read(folder.join(name)) else { return Ok(None) };
            serde_json::from_slice(&text).map(Some).map_err(|error| error.to_string())
        };
        let template = match folder.join(TEMPLATE).exists() {
            true => {
                let mut config = template(folder)?;
                // Of several templates, the file gets the one for a plain conversation.
                let named = config.get("chat_template").and_then(|named| named.get("default"));
                if let Some(default) = named.cloned() {
                    config.insert("chat_template".to_owned(), default);
                }
                Some(Value::Object(config))
            }
            false => None,
        };
        Ok(Beside { tokenizer: json(chat::TOKENIZER)?, template, cut })
    }
}

impl Cut {
    /// The name in llama.cpp and GGUF.
    pub const fn name(self) -> &'static str {
        match self {
            Cut::Gpt2 => "gpt-2",
            Cut::Qwen2 => "qwen2",
            Cut::Llama3 => "llama-bpe",
        }
    }

    /// Sets this pre-tokenizer in a `tokenizer.json`, as the models' published files have it.
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
