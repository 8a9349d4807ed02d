//! Writes the tokenizer of a GGUF file as a `tokenizer.json`.

pub mod byte_pairs;
pub mod sentencepiece;
mod ways;

use serde_json::{Map, Value, json};

use crate::loader::error::{LoadError, Result, quote};
use crate::loader::remedies::formats::TOKENIZER_DAMAGED;

pub use self::ways::adds_first;

/// What tokenizers of all kinds have.
pub struct Pieces<'p> {
    /// Tokens by id.
    pub tokens: &'p [String],
    /// Ids of special tokens: matched as a whole, and left out of decoded text.
    pub special: Vec<u32>,
    /// Ids of added tokens that are not special: matched as a whole, and part of decoded text.
    pub added: Vec<u32>,
    /// The token before every text, if there is one.
    pub first: Option<u32>,
    /// The token after every text, if there is one.
    pub last: Option<u32>,
}

impl Pieces<'_> {
    /// The token with this id. `what` describes it.
    fn token(&self, id: u32, what: &str) -> Result<&str> {
        self.tokens.get(id as usize).map(String::as_str).ok_or_else(|| {
            invalid(format!("{what} that is not in the vocabulary"))
                .expected(format!("an id below {}", self.tokens.len()), id)
        })
    }

    /// The ids of all tokens.
    fn vocabulary(&self) -> Result<Map<String, Value>> {
        let mut vocabulary = Map::new();
        for (id, token) in self.tokens.iter().enumerate() {
            if vocabulary.insert(token.clone(), json!(id)).is_some() {
                return Err(
                    invalid("a token occurs twice").expected("every token once", quote(token))
                );
            }
        }
        Ok(vocabulary)
    }

    /// The tokens that are matched as a whole, by id.
    fn whole_tokens(&self) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for (ids, special) in [(&self.special, true), (&self.added, false)] {
            for id in ids {
                all.push(json!({
                    "id": id, "content": self.token(*id, "an added token")?, "special": special,
                    "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                }));
            }
        }
        all.sort_by_key(|token| token["id"].as_u64());
        Ok(all)
    }

    /// The post-processor that puts tokens before and after every text.
    fn around(&self) -> Result<Value> {
        let mut special = Map::new();
        let mut one = |id: Option<u32>, what: &str| -> Result<Vec<Value>> {
            let Some(id) = id else { return Ok(Vec::new()) };
            let token = self.token(id, what)?;
            special.insert(token.to_owned(), json!({"id": token, "ids": [id], "tokens": [token]}));
            Ok(vec![json!({"SpecialToken": {"id": token, "type_id": 0}})])
        };
        let (first, last) = (one(self.first, "a first token")?, one(self.last, "a last token")?);
        if special.is_empty() {
            return Ok(Value::Null);
        }
        let text = |name: &str| {
            [&first[..], &[json!({"Sequence": {"id": name, "type_id": 0}})], &last].concat()
        };
        let (single, pair) = (text("A"), [text("A"), text("B")].concat());
        Ok(json!({
            "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special,
        }))
    }
}

/// Writes the document of a tokenizer that merges pairs. `of` gives `normalizer`, `pre_tokenizer`,
/// `decoder` and the fields of the model that differ between kinds.
fn document(pieces: &Pieces<'_>, merges: Vec<Value>, of: Value, differ: Value) -> Result<Vec<u8>> {
    let mut model = json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
        "ignore_merges": false, "vocab": pieces.vocabulary()?, "merges": merges,
    });
    let mut all = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": pieces.whole_tokens()?,
        "post_processor": pieces.around()?,
    });
    for (into, fields) in [(&mut model, differ), (&mut all, of)] {
        if let (Some(into), Value::Object(fields)) = (into.as_object_mut(), fields) {
            into.extend(fields);
        }
    }
    all["model"] = model;
    serde_json::to_vec(&all).map_err(|error| LoadError::internal(error.to_string()))
}

fn invalid(message: impl Into<String>) -> LoadError {
    LoadError::header(TOKENIZER_DAMAGED, message)
}
