//! The special tokens that a chat template can name: the judge's own reading of
//! `tokenizer_config.json`, `special_tokens_map.json` and `tokenizer.json`, by the rules of
//! transformers 5. Only tokens that are set are given to a template.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::harness::regular;

/// `special_tokens_map.json`. It counts only where `tokenizer_config.json` has no
/// `added_tokens_decoder`, and then it wins.
pub const MAP: &str = "special_tokens_map.json";

/// `tokenizer.json`.
const TOKENIZER: &str = "tokenizer.json";

/// The names that every tokenizer has.
const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The special tokens of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Special {
    /// Those that are set.
    pub set: Vec<(String, String)>,
    /// Those that the files leave open and the tokenizer's class decides. Releases of transformers
    /// differ in them.
    pub open: Vec<&'static str>,
}

impl Special {
    /// Reads the special tokens of a folder with this `tokenizer_config.json`.
    ///
    /// # Errors
    /// If a token is not one.
    pub fn read(folder: &Path, config: &Map<String, Value>) -> Result<Special, String> {
        let mut found: BTreeMap<String, Option<String>> = BTreeMap::new();
        for (name, value) in config {
            let marked = value.get("__type").is_some();
            let standard = NAMES.contains(&name.as_str());
            if standard && value.is_object() && !marked {
                return Err(format!("tokenizer_config.json: {name} is an object without __type"));
            }
            if standard || (name.ends_with("_token") && (value.is_string() || marked)) {
                found.insert(name.clone(), token(name, value)?);
            }
        }
        more(config, &mut found)?;
        if !config.contains_key("added_tokens_decoder")
            && let Some(map) = json(folder, MAP)?
        {
            for (name, value) in &map {
                let text = value.is_string() || value.is_object();
                if NAMES.contains(&name.as_str()) || (name.ends_with("_token") && text) {
                    found.insert(name.clone(), token(name, value)?);
                }
            }
            more(&map, &mut found)?;
        }
        let tokenizer = json(folder, TOKENIZER)?.unwrap_or_default();
        let padding = tokenizer.get("padding").map(|padding| &padding["pad_token"]);
        let classes = classes(folder, config)?;
        let mut open = Vec::new();
        for name in NAMES {
            if found.contains_key(name) {
                continue;
            }
            if classes.iter().any(|class| sets(class).contains(&name)) {
                open.push(name);
            } else if let (Some(Value::String(padding)), "pad_token") = (padding, name) {
                found.insert(name.to_owned(), Some(padding.clone()));
            }
        }
        let set = found.into_iter().filter_map(|(name, token)| Some((name, token?))).collect();
        Ok(Special { set, open })
    }
}

/// Tokens with names of the model's own.
fn more(
    from: &Map<String, Value>,
    found: &mut BTreeMap<String, Option<String>>,
) -> Result<(), String> {
    for own in ["extra_special_tokens", "model_specific_special_tokens"] {
        let extra = from.get(own).and_then(Value::as_object);
        for (name, value) in extra.into_iter().flatten() {
            found.insert(name.clone(), token(name, value)?);
        }
    }
    Ok(())
}

fn token(name: &str, value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        other => match other["content"].as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(format!("the special token {name} is not a text")),
        },
    }
}

/// A JSON object in a folder, if its file is there.
fn json(folder: &Path, name: &str) -> Result<Option<Map<String, Value>>, String> {
    let Ok(text) = regular::read(&folder.join(name)) else { return Ok(None) };
    serde_json::from_slice(&text).map(Some).map_err(|error| format!("{name}: {error}"))
}

/// The classes of tokenizers that may read this folder: the one that it names, and the one that
/// transformers has for its model type.
fn classes(folder: &Path, config: &Map<String, Value>) -> Result<Vec<String>, String> {
    let model = json(folder, super::file::CONFIG)?.unwrap_or_default();
    let text = |from: &Map<String, Value>, key: &str| from.get(key)?.as_str().map(str::to_owned);
    let named = text(config, "tokenizer_class").or_else(|| text(&model, "tokenizer_class"));
    let of_type = text(&model, "model_type").and_then(|kind| {
        let begins = |start: &str| kind.starts_with(start);
        Some(match kind.as_str() {
            _ if begins("qwen2") || begins("qwen3") => "Qwen2Tokenizer",
            _ if begins("gemma") => "GemmaTokenizer",
            _ if begins("cohere") => "CohereTokenizer",
            "gpt2" | "phi" | "codegen" | "gpt_neo" => "GPT2Tokenizer",
            "gpt_neox" | "olmo" | "mpt" => "GPTNeoXTokenizer",
            "code_llama" => "CodeLlamaTokenizer",
            _ => return None,
        })
    });
    Ok(named.into_iter().chain(of_type.map(str::to_owned)).collect())
}

/// The tokens that a class sets where the files do not.
fn sets(class: &str) -> &'static [&'static str] {
    match class.strip_suffix("Fast").unwrap_or(class) {
        "PreTrainedTokenizer" | "TokenizersBackend" | "PythonBackend" | "BloomTokenizer" => &[],
        "LlamaTokenizer" | "CodeLlamaTokenizer" | "GPT2Tokenizer" => {
            &["bos_token", "eos_token", "unk_token"]
        }
        "Qwen2Tokenizer" => &["eos_token", "unk_token", "pad_token"],
        "GPTNeoXTokenizer" => &["bos_token", "eos_token", "unk_token", "pad_token"],
        "GemmaTokenizer" => &["bos_token", "eos_token", "unk_token", "pad_token", "mask_token"],
        _ => &NAMES,
    }
}
