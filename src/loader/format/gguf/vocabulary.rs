//! Converts GGUF's tokenizer and chat template to `tokenizer.json` and `tokenizer_config.json`.

use serde_json::{Value as Json, json};

use crate::loader::error::{LoadError, Result, quote};

use super::metadata::Metadata;
use crate::loader::format::tokenizer;
use crate::loader::format::tokenizer::Pieces;
use crate::loader::format::tokenizer::sentencepiece::Scored;
use crate::loader::remedies::formats::{
    TOKENIZER_CUT_MISSING, TOKENIZER_DAMAGED, TOKENIZER_KIND_NOT_SUPPORTED, TOKENIZER_SETTING,
};

/// Kinds of tokens, by the format's ids.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const BYTE: i64 = 6;

/// Returns a `tokenizer.json`: the embedded one if there is one, else one built from tokens and
/// merges or scores.
///
/// # Errors
/// `invalid_tokenizer`.
pub fn tokenizer(metadata: &Metadata) -> Result<Option<Vec<u8>>> {
    if let Some(whole) = metadata.text("tokenizer.huggingface.json")? {
        return Ok(Some(whole.as_bytes().to_vec()));
    }
    let Some(model) = metadata.text("tokenizer.ggml.model")? else { return Ok(None) };
    match model {
        "no_vocab" | "none" => Ok(None),
        "gpt2" => byte_pairs(metadata).map(Some),
        "llama" => sentencepiece(metadata).map(Some),
        other => {
            let cause = TOKENIZER_KIND_NOT_SUPPORTED.about([&quote(other)]);
            Err(LoadError::header(cause, "a kind of tokenizer that is not supported").expected(
                "tokenizer.ggml.model: gpt2 (byte-level pairs) or llama (SentencePiece)",
                quote(other),
            ))
        }
    }
}

fn byte_pairs(metadata: &Metadata) -> Result<Vec<u8>> {
    let merges = metadata.texts("tokenizer.ggml.merges")?;
    let merges = merges.ok_or_else(|| missing("tokenizer.ggml.merges"))?;
    let pre = metadata.text("tokenizer.ggml.pre")?;
    let pre = pre.ok_or_else(|| {
        LoadError::header(TOKENIZER_CUT_MISSING, "the file does not say how text is split")
            .expected("tokenizer.ggml.pre", "none")
    })?;
    let (pieces, _) = pieces(metadata, tokenizer::adds_first(pre))?;
    tokenizer::byte_pairs::write(&pieces, merges, pre)
}

fn sentencepiece(metadata: &Metadata) -> Result<Vec<u8>> {
    let scores = metadata.numbers("tokenizer.ggml.scores")?;
    let scores = scores.ok_or_else(|| missing("tokenizer.ggml.scores"))?;
    if metadata.flag("tokenizer.ggml.remove_extra_whitespaces")? == Some(true) {
        return Err(setting("tokenizer.ggml.remove_extra_whitespaces", "false", "true"));
    }
    if metadata.get("tokenizer.ggml.precompiled_charsmap").is_some() {
        return Err(setting("tokenizer.ggml.precompiled_charsmap", "none", "a table"));
    }
    let (pieces, kinds) = pieces(metadata, true)?;
    let unknown = match special(metadata, "unknown")? {
        None => kinds.iter().position(|kind| *kind == UNKNOWN).map(|id| id as u32),
        told => told,
    };
    let scored = Scored {
        scores,
        joined: kinds.iter().map(|kind| ![UNKNOWN, CONTROL, BYTE].contains(kind)).collect(),
        unknown,
        leading_space: metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true),
    };
    tokenizer::sentencepiece::write(&pieces, &scored)
}

/// Reads what both kinds have, and the kinds of the tokens. `first` says whether a first token is
/// added unless the file says otherwise.
fn pieces(metadata: &Metadata, first: bool) -> Result<(Pieces<'_>, &[i64])> {
    let tokens = metadata.texts("tokenizer.ggml.tokens")?;
    let tokens = tokens.ok_or_else(|| missing("tokenizer.ggml.tokens"))?;
    let kinds = metadata.wholes("tokenizer.ggml.token_type")?.unwrap_or_default();
    if !kinds.is_empty() && kinds.len() != tokens.len() {
        return Err(invalid("tokenizer.ggml.token_type has another length than the tokens")
            .expected(tokens.len(), kinds.len()));
    }
    let of = |wanted: &[i64]| -> Vec<u32> {
        let ids = kinds.iter().zip(0..).filter(|(found, _)| wanted.contains(found));
        ids.map(|(_, id)| id).collect()
    };
    if metadata.flag("tokenizer.ggml.add_sep_token")? == Some(true) {
        return Err(setting("tokenizer.ggml.add_sep_token", "false", "true"));
    }
    let asked = metadata.flag("tokenizer.ggml.add_bos_token")?;
    let first = match (asked.unwrap_or(first), special(metadata, "bos")?) {
        (false, _) => None,
        (true, Some(id)) => Some(id),
        // By default a text has a first token only where the file names one.
        (true, None) if asked.is_none() => None,
        (true, None) => return Err(missing("tokenizer.ggml.bos_token_id")),
    };
    let last = match metadata.flag("tokenizer.ggml.add_eos_token")? {
        Some(true) => {
            let id = special(metadata, "eos")?;
            Some(id.ok_or_else(|| missing("tokenizer.ggml.eos_token_id"))?)
        }
        _ => None,
    };
    let (special, added) = (of(&[UNKNOWN, CONTROL]), of(&[USER_DEFINED]));
    Ok((Pieces { tokens, special, added, first, last }, kinds))
}

/// Returns a `tokenizer_config.json`; `None` without a chat template.
///
/// # Errors
/// `invalid_tokenizer` for special tokens that are not in the vocabulary.
pub fn template(metadata: &Metadata) -> Result<Option<Json>> {
    // Of several templates with names, `default` is the one for a plain conversation.
    let plain = metadata.text("tokenizer.chat_template")?;
    let Some(template) = plain.or(metadata.text("tokenizer.chat_template.default")?) else {
        return Ok(None);
    };
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

/// The error for a setting that changes the tokens and is not supported.
fn setting(key: &str, wanted: &str, found: &str) -> LoadError {
    let cause = TOKENIZER_SETTING.about([&format!("{key} = {found}")]);
    LoadError::header(cause, format!("{key} = {found} is not supported")).expected(wanted, found)
}

fn missing(what: &str) -> LoadError {
    invalid(format!("{what} is missing")).expected(what, "none")
}

fn invalid(message: impl Into<String>) -> LoadError {
    LoadError::header(TOKENIZER_DAMAGED, message)
}
