//! Generates a tokenizer for one run, and texts whose tokens are known without a tokenizer library.
//!
//! The tokenizer is `WordPiece` over random words of lower-case letters. Every text begins with
//! `[CLS]` and ends with `[SEP]`.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Special tokens. Their ids depend on the padding id that the caller gives.
const SPECIAL: [&str; 4] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];

/// A generated tokenizer.
#[derive(Clone, Debug)]
pub struct MadeTokenizer {
    /// Every token; a token's index is its id.
    pub tokens: Vec<String>,
}

impl MadeTokenizer {
    /// A tokenizer with `size` tokens, at least eight. `padding` is the id of `[PAD]`.
    pub fn new(size: usize, padding: usize, seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut tokens: Vec<String> = Vec::with_capacity(size);
        while tokens.len() < size {
            let length = random.random_range(3..=7);
            let letter = |random: &mut Xoshiro256PlusPlus| random.random_range(b'a'..=b'z') as char;
            let word: String = (0..length).map(|_| letter(&mut random)).collect();
            // Every third token continues a word.
            let token = if tokens.len() % 3 == 2 { format!("##{word}") } else { word };
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        tokens[padding] = SPECIAL[0].to_owned();
        for (step, special) in SPECIAL[1..].iter().enumerate() {
            let place = (padding + 2 + step) % size;
            tokens[place] = (*special).to_owned();
        }
        MadeTokenizer { tokens }
    }

    fn id(&self, token: &str) -> i64 {
        self.tokens.iter().position(|held| held == token).unwrap_or(0) as i64
    }

    /// `tokenizer.json`, in the form of the `tokenizers` library.
    pub fn json(&self) -> Value {
        let vocabulary: serde_json::Map<String, Value> =
            self.tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
        let added: Vec<Value> = SPECIAL
            .iter()
            .map(|special| {
                json!({
                    "id": self.id(special), "content": special, "single_word": false,
                    "lstrip": false, "rstrip": false, "normalized": false, "special": true,
                })
            })
            .collect();
        let special = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
        let one = |name: &str| json!({"id": name, "ids": [self.id(name)], "tokens": [name]});
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": {
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": true,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [
                    special("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, special("[SEP]"),
                ],
                "pair": [
                    special("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, special("[SEP]"),
                    {"Sequence": {"id": "B", "type_id": 1}}, special("[SEP]"),
                ],
                "special_tokens": {"[CLS]": one("[CLS]"), "[SEP]": one("[SEP]")},
            },
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
            "model": {
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": vocabulary,
            },
        })
    }

    /// A text of `words` words, in upper and lower case, and its ids. If there are more than
    /// `longest` ids, words are cut off, and the closing `[SEP]` stays.
    pub fn text(&self, words: usize, longest: usize, seed: u64) -> (String, Vec<i64>) {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        // Only whole words, not tokens that continue a word.
        let whole: Vec<&String> = self
            .tokens
            .iter()
            .filter(|token| token.chars().all(|letter| letter.is_ascii_lowercase()))
            .collect();
        let (mut text, mut ids) = (Vec::new(), vec![self.id("[CLS]")]);
        for at in 0..words {
            let word = whole[random.random_range(0..whole.len())];
            text.push(if at % 4 == 1 { word.to_uppercase() } else { word.clone() });
            ids.push(self.id(word));
        }
        ids.truncate(longest.saturating_sub(1));
        ids.push(self.id("[SEP]"));
        (text.join(" "), ids)
    }
}

/// How many spaces `$spaces` stands for: more than a text of 2 KiB has.
const SPACES: usize = 2_100;

impl MadeTokenizer {
    /// A text in which `$N` is the N-th of some words and `$spaces` are many spaces, and its ids by the
    /// tokenizers library.
    ///
    /// # Errors
    /// The library's error.
    pub fn said(
        &self,
        text: &str,
        longest: usize,
        seed: u64,
    ) -> Result<(String, Vec<i64>), String> {
        let (words, _) = self.text(9, usize::MAX, seed);
        let words: Vec<&str> = words.split(' ').collect();
        let mut said = text.to_owned();
        for (at, word) in words.iter().enumerate() {
            said = said.replace(&format!("${}", at + 1), word);
        }
        let said = said.replace("$spaces", &" ".repeat(SPACES));
        let json = self.json().to_string();
        let mut library: tokenizers::Tokenizer =
            json.parse().map_err(|error: tokenizers::Error| error.to_string())?;
        let most = tokenizers::TruncationParams { max_length: longest, ..Default::default() };
        library.with_truncation(Some(most)).map_err(|error| error.to_string())?;
        let encoded = library.encode(said.as_str(), true).map_err(|error| error.to_string())?;
        Ok((said, encoded.get_ids().iter().map(|id| i64::from(*id)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_reads_it_and_agrees() {
        let made = MadeTokenizer::new(90, 3, 7);
        let text = serde_json::to_string(&made.json()).unwrap();
        let library: tokenizers::Tokenizer = text.parse().unwrap();
        for seed in 0..20 {
            let (text, ids) = made.text(seed as usize % 6, 50, seed);
            let encoded = library.encode(text.as_str(), true).unwrap();
            let found: Vec<i64> = encoded.get_ids().iter().map(|id| i64::from(*id)).collect();
            assert_eq!(found, ids, "{text}");
        }
        assert_eq!(made.tokens[3], "[PAD]");
    }
}
