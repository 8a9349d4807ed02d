//! SentencePiece's BPE: no split, spaces are letters, and of all pairs that form a token the one
//! with the highest score is joined first. What is no token becomes the tokens of its bytes.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Pieces, document, invalid};
use crate::loader::error::Result;

/// Stands for a space in tokens.
const SPACE: &str = "\u{2581}";

/// Most squares of the tokens' lengths, in bytes: a million tokens of 64 bytes.
const MOST_CUTS: usize = 1 << 32;

/// What only this kind has.
pub struct Scored {
    /// Scores by id.
    pub scores: Vec<f32>,
    /// Whether tokens may be joined from others and to others, by id. Not so control tokens and
    /// those of bytes.
    pub joined: Vec<bool>,
    /// The token for text that has none.
    pub unknown: Option<u32>,
    /// Whether a text begins with a space, also after each token that is matched as a whole.
    pub leading_space: bool,
}

/// Writes the document.
///
/// # Errors
/// `invalid_tokenizer` for a duplicate token, a score that is not a number, or an id that is not in
/// the vocabulary.
pub fn write(pieces: &Pieces<'_>, scored: &Scored) -> Result<Vec<u8>> {
    if scored.scores.len() != pieces.tokens.len() {
        return Err(invalid("tokenizer.ggml.scores has another length than the tokens")
            .expected(pieces.tokens.len(), scored.scores.len()));
    }
    if scored.scores.iter().any(|score| score.is_nan()) {
        return Err(invalid("a token's score is not a number").expected("a number", "NaN"));
    }
    // Every token is cut at every letter.
    let work: usize =
        pieces.tokens.iter().map(|token| token.len().saturating_mul(token.len())).sum();
    if work > MOST_CUTS {
        return Err(invalid("tokens that are too long")
            .expected(format!("squares of lengths of at most {MOST_CUTS} in all"), work));
    }
    let unknown = scored.unknown.map(|id| pieces.token(id, "a token for unknown text"));
    let replaced = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
    let prepended = json!({"type": "Prepend", "prepend": SPACE});
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if scored.leading_space {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    document(
        pieces,
        merges(pieces.tokens, scored),
        json!({
            "normalizer": match scored.leading_space {
                true => json!({"type": "Sequence", "normalizers": [prepended, replaced]}),
                false => replaced,
            },
            "pre_tokenizer": Value::Null,
            "decoder": {"type": "Sequence", "decoders": decoders},
        }),
        json!({"unk_token": unknown.transpose()?, "fuse_unk": true, "byte_fallback": true}),
    )
}

/// Every pair of tokens that forms a token, the best first. Among pairs of one score, those with the
/// longer first token come first, as in the files that transformers makes of such tokenizers.
fn merges(tokens: &[String], scored: &Scored) -> Vec<Value> {
    let joined = |id: usize| scored.joined.get(id).copied().unwrap_or(true);
    let ids = tokens.iter().enumerate().filter(|(id, _)| joined(*id));
    let ids: HashMap<&str, usize> = ids.map(|(id, token)| (token.as_str(), id)).collect();
    let mut pairs = Vec::new();
    for (id, token) in tokens.iter().enumerate().filter(|(id, _)| joined(*id)) {
        for (cut, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(cut);
            if let (Some(first), Some(second)) = (ids.get(left), ids.get(right)) {
                pairs.push((id, *first, *second));
            }
        }
    }
    let letters = |id: usize| tokens[id].chars().count();
    pairs.sort_by(|a, b| {
        let best = scored.scores[b.0].total_cmp(&scored.scores[a.0]);
        best.then_with(|| letters(b.1).cmp(&letters(a.1)))
            .then_with(|| letters(b.2).cmp(&letters(a.2)))
            .then_with(|| (a.1, a.2).cmp(&(b.1, b.2)))
    });
    pairs.iter().map(|(_, left, right)| json!([tokens[*left], tokens[*right]])).collect()
}
