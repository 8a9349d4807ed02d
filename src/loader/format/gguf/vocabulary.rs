//! Converts GGUF's tokenizer and chat template to `tokenizer.json` and `tokenizer_config.json`.

use serde_json::{Value as Json, json};

use crate::loader::error::{LoadError, Result, quote};

use super::metadata::Metadata;
use crate::loader::format::tokenizer;
use crate::loader::format::tokenizer::Pieces;
use crate::loader::remedies::formats::{TOKENIZER_DAMAGED, TOKENIZER_KIND_NOT_SUPPORTED};

/// Kinds of tokens, by the format's ids.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// Returns a `tokenizer.json`: the embedded one if there is one, else one built from tokens and
/// merges.
///
/// # Errors
/// `invalid_tokenizer`.
pub fn tokenizer(metadata: &Metadata) -> Result<Option<Vec<u8>>> {
    if let Some(whole) = metadata.text("tokenizer.huggingface.json")? {
        return Ok(Some(whole.as_bytes().to_vec()));
    }
    let Some(model) = metadata.text("tokenizer.ggml.model")? else { return Ok(None) };
    if model == "no_vocab" {
        return Ok(None);
    }
    if model != "gpt2" {
        let cause = TOKENIZER_KIND_NOT_SUPPORTED.about([&quote(model)]);
        return Err(LoadError::header(cause, "a kind of tokenizer that is not supported")
            .expected("tokenizer.ggml.model: gpt2, byte-level pairs", quote(model)));
    }
    let tokens = metadata.texts("tokenizer.ggml.tokens")?;
    let tokens = tokens.ok_or_else(|| missing("tokenizer.ggml.tokens"))?;
    let merges = metadata.texts("tokenizer.ggml.merges")?;
    let merges = merges.ok_or_else(|| missing("tokenizer.ggml.merges"))?;
    let pre = metadata.text("tokenizer.ggml.pre")?;
    let pre = pre.ok_or_else(|| missing("tokenizer.ggml.pre"))?;
    let kinds = metadata.wholes("tokenizer.ggml.token_type")?.unwrap_or_default();
    if !kinds.is_empty() && kinds.len() != tokens.len() {
        return Err(invalid("tokenizer.ggml.token_type has another length than the tokens")
            .expected(tokens.len(), kinds.len()));
    }
    let of = |kind: i64| -> Vec<u32> {
        let ids = kinds.iter().zip(0..).filter(|(found, _)| **found == kind);
        ids.map(|(_, id)| id).collect()
    };
    let first = match metadata.flag("tokenizer.ggml.add_bos_token")? {
        Some(true) => Some(special(metadata, "bos")?.ok_or_else(|| missing("a first token"))?),
        _ => None,
    };
    let pieces =
        Pieces { tokens, merges, pre, special: of(CONTROL), added: of(USER_DEFINED), first };
    tokenizer::document(&pieces).map(Some)
}

/// Returns a `tokenizer_config.json`; `None` without a chat template.
///
/// # Errors
/// `invalid_tokenizer` for special tokens that are not in the vocabulary.
pub fn template(metadata: &Metadata) -> Result<Option<Json>> {
    let Some(template) = metadata.text("tokenizer.chat_template")? else { return Ok(None) };
    let tokens = metadata.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
    let token = |name: &str| -> Result<Json> {
        let id = special(metadata, name)?;
        let text = id.and_then(|id| tokens.get(id as usize));
        match (id, text) {
            (Some(id), None) if !tokens.is_empty() => {
                Err(invalid("a special token that is not in the vocabulary")
                    .expected(format!("an id below {}", tokens.len()), id))
            }
            (_, text) => Ok(json!(text)),
        }
    };
    Ok(Some(json!({
        "chat_template": template,
        "bos_token": token("bos")?,
        "eos_token": token("eos")?,
        "pad_token": token("padding")?,
        "unk_token": token("unknown")?,
    })))
}

fn special(metadata: &Metadata, name: &str) -> Result<Option<u32>> {
    let key = format!("tokenizer.ggml.{name}_token_id");
    let id = metadata.whole(&key)?;
    id.map(|id| {
        u32::try_from(id)
            .map_err(|_| invalid(format!("{key} is not a token id")).expected("an id", id))
    })
    .transpose()
}

fn missing(what: &str) -> LoadError {
    invalid(format!("{what} is missing")).expected(what, "none")
}

fn invalid(message: impl Into<String>) -> LoadError {
    LoadError::header(TOKENIZER_DAMAGED, message)
}
