//! The special tokens that a template can name, as transformers gives them: only those that are set.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::contract::{Code, Phase};
use crate::loader::error::{LoadError, Result, json_text};
use crate::loader::format::json_bounds;
use crate::loader::infer::beside::read_beside;
use crate::loader::remedies::files::FILE_NOT_FOUND;
use crate::loader::remedies::tokenizer_and_template::{
    SPECIAL_NOT_JSON, SPECIAL_NOT_TEXT, TEMPLATE_TOO_LONG,
};

/// The file that wins over `tokenizer_config.json`, where that has no `added_tokens_decoder`.
const MAP: &str = "special_tokens_map.json";

/// Longest file that is looked up, in bytes. A vocabulary of 256,000 tokens takes 34 MB.
const LONGEST: u64 = crate::loader::infer::tokenizer::LONGEST;

/// Most memory that a file takes as a tree of values, in bytes.
pub const MEMORY: usize = 512 << 20;

/// The special tokens that every tokenizer has a name for.
pub const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The special tokens of a parsed `tokenizer_config.json`.
///
/// # Errors
/// `invalid_template` if one is not a text.
pub fn of(config: &Map<String, Value>) -> Result<BTreeMap<String, String>> {
    let mut set = BTreeMap::new();
    let mut add = |name: &str, value: &Value| {
        let content = value.as_str().or_else(|| value["content"].as_str());
        match (content, value) {
            (Some(text), _) => {
                set.insert(name.to_owned(), text.to_owned());
                Ok(())
            }
            (None, Value::Null) => Ok(()),
            (None, other) => Err(LoadError::refused(
                Phase::Open,
                SPECIAL_NOT_TEXT,
                format!("the special token {name} is not a text"),
            )
            .expected("a text, or an object with content", json_text(other))),
        }
    };
    for (name, value) in config {
        let own = name.ends_with("_token") && (value.is_string() || value.is_object());
        if own || NAMES.contains(&name.as_str()) {
            add(name, value)?;
        }
    }
    for own in ["extra_special_tokens", "model_specific_special_tokens"] {
        if let Some(Value::Object(extra)) = config.get(own) {
            extra.iter().try_for_each(|(name, value)| add(name, value))?;
        }
    }
    Ok(set)
}

/// The tokens that a `tokenizer_config.json` adds to the tokenizer, where it does not have them:
/// the special ones and those of `added_tokens_decoder`.
///
/// # Errors
/// As above.
pub fn added(config: &Map<String, Value>) -> Result<Vec<String>> {
    let listed = config.get("added_tokens_decoder").and_then(Value::as_object);
    let listed = listed.into_iter().flatten().filter_map(|(_, token)| token["content"].as_str());
    let all = of(config)?.into_values().chain(listed.map(str::to_owned));
    Ok(all.filter(|token| !token.is_empty()).collect())
}

/// Adds what other files beside a `tokenizer_config.json` say of special tokens. `names` tells
/// whether the template names a token: what it does not name is not looked up.
///
/// # Errors
/// `invalid_template` if a file is there and is not JSON; those of opening and reading.
pub fn complete(
    path: &Path,
    config: &mut Map<String, Value>,
    names: impl Fn(&str) -> bool,
) -> Result<()> {
    if !config.contains_key("added_tokens_decoder")
        && let Some(map) = beside_json::<Map<String, Value>>(path, MAP)?
    {
        config.extend(map);
    }
    let absent = |name: &&str| !config.contains_key(*name) && names(name);
    let absent: Vec<&str> = NAMES.into_iter().filter(absent).collect();
    if absent.is_empty() {
        return Ok(());
    }
    let model: Model = beside_json(path, "config.json")?.unwrap_or_default();
    let tokenizer: Tokenizer = beside_json(path, "tokenizer.json")?.unwrap_or_default();
    let named = config.get("tokenizer_class").and_then(Value::as_str).map(str::to_owned);
    let class = class(named.or(model.tokenizer_class), model.model_type, &tokenizer);
    let defaults = class.map(|class| defaults(&class)).unwrap_or_default();
    for name in absent {
        let at = NAMES.iter().position(|one| *one == name).unwrap_or(0);
        let padding = tokenizer.padding.as_ref().map(|padding| padding.pad_token.as_str());
        let token = match defaults.get(at) {
            Some(token) if !token.is_empty() => Some(*token),
            _ => padding.filter(|_| name == "pad_token"),
        };
        if let Some(token) = token {
            config.insert(name.to_owned(), Value::from(token));
        }
    }
    Ok(())
}

/// Reads a JSON file in the folder of `path`, if it is there.
fn beside_json<T: DeserializeOwned>(path: &Path, name: &str) -> Result<Option<T>> {
    let path = path.with_file_name(name);
    let bytes = match read_beside(&path, LONGEST, (FILE_NOT_FOUND, TEMPLATE_TOO_LONG)) {
        Err(error) if error.code() == Code::NotFound => return Ok(None),
        read => read?,
    };
    let parsed = json_bounds::check(&bytes, MEMORY)
        .and_then(|()| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
    parsed.map(Some).map_err(|error| {
        let message = format!("{name} has no special tokens that can be read");
        LoadError::refused(Phase::Open, SPECIAL_NOT_JSON, message)
            .expected("a JSON object", error)
            .path(&path)
    })
}

/// What of `config.json` decides about special tokens.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Model {
    model_type: Option<String>,
    tokenizer_class: Option<String>,
}

/// What of `tokenizer.json` decides about special tokens.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Tokenizer {
    padding: Option<Padding>,
    pre_tokenizer: Value,
    decoder: Value,
}

#[derive(Deserialize)]
struct Padding {
    pad_token: String,
}

/// The class of tokenizer that transformers 5 makes: mostly the one that is named, except for some
/// model types, and for names that publishers often give wrongly.
fn class(named: Option<String>, model: Option<String>, tokenizer: &Tokenizer) -> Option<String> {
    let plain = |class: String| class.strip_suffix("Fast").map_or(class.clone(), str::to_owned);
    let named = named.map(plain);
    let kind = model.as_deref().unwrap_or_default();
    // The class for a model type. `TokenizersBackend` sets no token by itself.
    let of_type = match kind {
        "qwen2" | "qwen2_moe" | "qwen3" | "qwen3_moe" => Some("Qwen2Tokenizer"),
        "gpt2" | "phi" => Some("GPT2Tokenizer"),
        "gpt_neox" | "olmo" => Some("GPTNeoXTokenizer"),
        "mistral" | "phi3" => Some("TokenizersBackend"),
        kind if kind.starts_with("gemma") => Some("GemmaTokenizer"),
        _ => None,
    };
    let bytes = [&tokenizer.pre_tokenizer, &tokenizer.decoder]
        .iter()
        .any(|part| part.to_string().contains("\"ByteLevel\""));
    match (named, of_type) {
        (Some(named), _) if named == "LlamaTokenizer" && bytes && kind != "qwen2" => None,
        (Some(_), Some("TokenizersBackend")) => None,
        (Some(named), Some(of_type)) if named != of_type && kind == "qwen2" => {
            Some(of_type.to_owned())
        }
        (Some(named), _) => Some(named),
        (None, of_type) => of_type.map(str::to_owned),
    }
}

/// The tokens that a class sets where no file does, in the order of [`NAMES`].
fn defaults(class: &str) -> [&'static str; 7] {
    let end = "<|endoftext|>";
    match class {
        "LlamaTokenizer" | "CodeLlamaTokenizer" => ["<s>", "</s>", "<unk>", "", "", "", ""],
        "Qwen2Tokenizer" => ["", end, end, "", end, "", ""],
        "GPT2Tokenizer" => [end, end, end, "", "", "", ""],
        "GPTNeoXTokenizer" => [end, end, end, "", "<|padding|>", "", ""],
        "GemmaTokenizer" => ["<bos>", "<eos>", "<unk>", "", "<pad>", "", "<mask>"],
        _ => [""; 7],
    }
}
