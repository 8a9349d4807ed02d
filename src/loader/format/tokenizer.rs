//! Writes a byte-level BPE tokenizer as a `tokenizer.json`. Input: tokens, merges and the name of
//! the pre-tokenizer, which splits text before the merges.

use serde_json::{Value, json};

use crate::loader::error::{LoadError, Result, quote};
use crate::loader::remedies::formats::{TOKENIZER_CUT_NOT_SUPPORTED, TOKENIZER_DAMAGED};

/// GPT-2's split: contractions, words, numbers and signs, each with a space in front.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// Qwen2's split: single digits.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Llama 3's split: up to three digits.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Pre-tokenizers by llama.cpp's names: regular expression, whether text is normalised to NFC, and
/// whether a word that is a token is used without applying merges.
const WAYS: [(&str, &str, bool, bool); 4] = [
    ("gpt-2", GPT2, false, false),
    ("qwen2", QWEN2, true, false),
    ("llama-bpe", LLAMA3, false, true),
    ("llama3", LLAMA3, false, true),
];

/// The parts of a tokenizer.
pub struct Pieces<'p> {
    /// Tokens by id.
    pub tokens: &'p [String],
    /// Merges in the order of their priority, each two tokens with a space between.
    pub merges: &'p [String],
    /// Name of the pre-tokenizer.
    pub pre: &'p str,
    /// Ids of special tokens: matched as a whole, and left out of decoded text.
    pub special: Vec<u32>,
    /// Ids of added tokens that are not special: matched as a whole, and part of decoded text.
    pub added: Vec<u32>,
    /// The token before every text, if there is one.
    pub first: Option<u32>,
}

/// Writes the document.
///
/// # Errors
/// `invalid_tokenizer` for an unsupported pre-tokenizer, a duplicate token, a merge that is not two
/// tokens, or an id that is not in the vocabulary.
pub fn document(pieces: &Pieces<'_>) -> Result<Vec<u8>> {
    let Some((_, expression, composed, ignore_merges)) =
        WAYS.into_iter().find(|(name, ..)| *name == pieces.pre)
    else {
        let names: Vec<&str> = WAYS.iter().map(|(name, ..)| *name).collect();
        return Err(LoadError::header(
            TOKENIZER_CUT_NOT_SUPPORTED.about([&quote(pieces.pre)]),
            "a way of splitting text that is not supported",
        )
        .expected(format!("one of {}", names.join(", ")), quote(pieces.pre)));
    };
    let mut vocabulary = serde_json::Map::new();
    for (id, token) in pieces.tokens.iter().enumerate() {
        if vocabulary.insert(token.clone(), json!(id)).is_some() {
            return Err(invalid("a token occurs twice").expected("every token once", quote(token)));
        }
    }
    let mut merges = Vec::new();
    for merge in pieces.merges {
        // Byte-level tokens contain no space, so the first space separates the two tokens.
        let Some((left, right)) =
            merge.split_once(' ').filter(|(a, b)| !a.is_empty() && !b.is_empty())
        else {
            return Err(
                invalid("a merge that is not two tokens").expected("two tokens", quote(merge))
            );
        };
        merges.push(json!([left, right]));
    }
    let added = |ids: &[u32], special: bool| -> Result<Vec<Value>> {
        let one = |id: &u32| {
            let content = pieces.tokens.get(*id as usize);
            let content = content.ok_or_else(|| {
                invalid("an added token that is not in the vocabulary")
                    .expected(format!("an id below {}", pieces.tokens.len()), id)
            })?;
            Ok(json!({
                "id": id, "content": content, "special": special, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false,
            }))
        };
        ids.iter().map(one).collect()
    };
    let mut all_added = added(&pieces.special, true)?;
    all_added.extend(added(&pieces.added, false)?);
    all_added.sort_by_key(|token| token["id"].as_u64());
    let bytes = |expression: bool| {
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
               "use_regex": expression})
    };
    let document = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": all_added,
        "normalizer": if composed { json!({"type": "NFC"}) } else { Value::Null },
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": false},
            bytes(false),
        ]},
        "post_processor": first(pieces)?,
        "decoder": bytes(true),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": ignore_merges, "vocab": vocabulary, "merges": merges,
        },
    });
    serde_json::to_vec(&document).map_err(|error| LoadError::internal(error.to_string()))
}

/// Builds the post-processor that puts a token before every text.
fn first(pieces: &Pieces<'_>) -> Result<Value> {
    let Some(id) = pieces.first else { return Ok(Value::Null) };
    let token = pieces.tokens.get(id as usize).ok_or_else(|| {
        invalid("a first token that is not in the vocabulary")
            .expected(format!("an id below {}", pieces.tokens.len()), id)
    })?;
    let before = json!({"SpecialToken": {"id": token, "type_id": 0}});
    let text = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    Ok(json!({
        "type": "TemplateProcessing",
        "single": [before, text("A")],
        "pair": [before, text("A"), text("B")],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
    }))
}

fn invalid(message: impl Into<String>) -> LoadError {
    LoadError::header(TOKENIZER_DAMAGED, message)
}
