//! Writes a byte-level BPE tokenizer as a `tokenizer.json`, from its tokens, its merges and the name of
//! its pre-tokenizer, which splits text before the merges.

use serde_json::{Value, json};

use crate::loader::error::{LoadError, Result, quote};
use crate::loader::remedies::formats::{TOKENIZER_CUT_NOT_SUPPORTED, TOKENIZER_DAMAGED};

/// Contractions, words, digits and signs, each with a space in front; as GPT-2 cuts text.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// Digits one by one; as Qwen2 does.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Digits in threes; as Llama 3 does.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Ways of cutting, by llama.cpp's names: expression, whether text is composed first (NFC), and
/// whether a whole word that is a token is taken without looking at pairs.
const WAYS: [(&str, &str, bool, bool); 4] = [
    ("gpt-2", GPT2, false, false),
    ("qwen2", QWEN2, true, false),
    ("llama-bpe", LLAMA3, false, true),
    ("llama3", LLAMA3, false, true),
];

/// What a tokenizer is made of.
pub struct Pieces<'p> {
    /// Tokens by id.
    pub tokens: &'p [String],
    /// Pairs in the order in which they are joined, each two tokens with a space between.
    pub merges: &'p [String],
    /// How text is cut.
    pub pre: &'p str,
    /// Ids that stand for themselves and have no text.
    pub special: Vec<u32>,
    /// Ids that stand for themselves and have one.
    pub added: Vec<u32>,
    /// The token put before every text, where one is.
    pub first: Option<u32>,
}

/// The document.
///
/// # Errors
/// `invalid_tokenizer`: a pre-tokenizer that is not supported, a token twice, a merge that is not two tokens.
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
            return Err(invalid("a token twice").expected("every token once", quote(token)));
        }
    }
    let mut merges = Vec::new();
    for merge in pieces.merges {
        // A token may begin with a space only where it is no byte-level one.
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

/// What puts a token before every text.
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
