//! Byte-level BPE: the text is split, every byte is a letter, and merges join pairs.

use serde_json::{Value, json};

use super::{Pieces, document, invalid, ways};
use crate::loader::error::{LoadError, Result, quote};
use crate::loader::remedies::formats::TOKENIZER_CUT_NOT_SUPPORTED;

/// Writes the document. `merges` are in the order of their priority, each two tokens with a space
/// between; `pre` is llama.cpp's name for the way to split text.
///
/// # Errors
/// `invalid_tokenizer` for a way that is not supported, a duplicate token, a merge that is not two
/// tokens, or an id that is not in the vocabulary.
pub fn write(pieces: &Pieces<'_>, merges: &[String], pre: &str) -> Result<Vec<u8>> {
    let Some(way) = ways::of(pre) else {
        return Err(LoadError::header(
            TOKENIZER_CUT_NOT_SUPPORTED.about([&quote(pre)]),
            "a way of splitting text that is not supported",
        )
        .expected(format!("one of {}", ways::names().join(", ")), quote(pre)));
    };
    let mut pairs = Vec::new();
    for merge in merges {
        // Byte-level tokens contain no space, so the first space separates the two tokens.
        let Some((left, right)) =
            merge.split_once(' ').filter(|(a, b)| !a.is_empty() && !b.is_empty())
        else {
            return Err(
                invalid("a merge that is not two tokens").expected("two tokens", quote(merge))
            );
        };
        pairs.push(json!([left, right]));
    }
    let bytes = |expression: bool| {
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
               "use_regex": expression})
    };
    let split = |expression: &&str| {
        json!({"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated",
               "invert": false})
    };
    let mut steps: Vec<Value> = way.splits.iter().map(split).collect();
    steps.push(bytes(false));
    document(
        pieces,
        pairs,
        json!({
            "normalizer": if way.composed { json!({"type": "NFC"}) } else { Value::Null },
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
            "decoder": bytes(true),
        }),
        json!({"ignore_merges": way.ignores_merges}),
    )
}
