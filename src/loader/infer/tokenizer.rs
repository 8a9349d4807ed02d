//! Tokenizes text with the model's published `tokenizer.json`.

use std::path::Path;

use tokenizers::{
    PaddingDirection, PaddingParams, PaddingStrategy, PostProcessor, Tokenizer, TruncationParams,
};

use crate::contract::Phase;
use crate::contract::inference::Batch;
use crate::loader::error::{LoadError, Result};
use crate::loader::remedies::Cause;
use crate::loader::remedies::tokenizer_and_template::{
    TEXT_NOT_TOKENIZED, TOKENIZER_MISSING, TOKENIZER_NO_ROOM, TOKENIZER_NOT_READ,
    TOKENIZER_TOO_LARGE, TOKENIZER_TOO_LONG, TOKENS_WITHOUT_TEXT,
};

use super::beside::read_beside;
use super::config::Config;

/// Longest tokenizer file, in bytes: several times the size of the largest vocabularies in use.
const LONGEST: u64 = 256 << 20;

/// A tokenizer. All its ids are in the model's vocabulary.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Without padding and truncation.
    plain: Box<Tokenizer>,
    /// With truncation and padding, for batches.
    batching: Box<Tokenizer>,
}

impl Tokens {
    /// Reads a tokenizer. For batches it adds special tokens, cuts texts at the model's longest
    /// input, and pads them to the longest text of the batch.
    ///
    /// # Errors
    /// `invalid_tokenizer` if the file is missing, is not a tokenizer, or has a token id that the
    /// model does not have; those of opening and reading.
    pub fn read(path: &Path, config: &Config) -> Result<Tokens> {
        let bytes = read_beside(path, LONGEST, (TOKENIZER_MISSING, TOKENIZER_TOO_LONG))?;
        Tokens::parse(&bytes, config)
    }

    /// Reads a tokenizer's text.
    ///
    /// # Errors
    /// As above.
    pub fn parse(bytes: &[u8], config: &Config) -> Result<Tokens> {
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| unread(&error))?;
        // Check the largest id, not the count: ids may have gaps.
        let largest = tokenizer.get_vocab(true).into_values().max();
        if let Some(largest) = largest.filter(|id| *id as usize >= config.vocabulary) {
            let cause = TOKENIZER_TOO_LARGE.about([&config.vocabulary.to_string()]);
            return Err(invalid(cause, "the tokenizer has more tokens than the model")
                .expected(format!("ids below {}", config.vocabulary), largest));
        }
        let added = tokenizer.get_post_processor().map_or(0, |last| last.added_tokens(false));
        if added >= config.longest {
            let cause = TOKENIZER_NO_ROOM.about([&config.longest.to_string()]);
            return Err(invalid(cause, "the model's longest input has no room for a text")
                .expected(format!("more than {added} tokens"), config.longest));
        }
        let mut plain = Box::new(tokenizer.clone());
        plain.with_padding(None);
        plain.with_truncation(None).map_err(|error| unread(&error))?;
        let mut padding = tokenizer.get_padding().cloned().unwrap_or_else(|| PaddingParams {
            pad_id: config.padding as u32,
            ..PaddingParams::default()
        });
        padding.strategy = PaddingStrategy::BatchLongest;
        padding.direction = PaddingDirection::Right;
        padding.pad_to_multiple_of = None;
        tokenizer.with_padding(Some(padding));
        let cut = TruncationParams { max_length: config.longest, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(cut)).map_err(|error| {
            let cause = TOKENIZER_NO_ROOM.about([&config.longest.to_string()]);
            invalid(cause, "texts cannot be cut to the model's longest input")
                .expected(format!("room for {} tokens", config.longest), error)
        })?;
        Ok(Tokens { plain, batching: Box::new(tokenizer) })
    }

    /// Tokenizes texts as a batch. The caller checks the batch, which may be empty.
    ///
    /// # Errors
    /// `invalid_tokenizer` if a text cannot be tokenized.
    pub fn batch(&self, texts: &[String]) -> Result<Batch> {
        let inputs: Vec<&str> = texts.iter().map(String::as_str).collect();
        let encoded = self.batching.encode_batch(inputs, true).map_err(|error| {
            invalid(TEXT_NOT_TOKENIZED, "a text was not tokenized").expected("tokens", error)
        })?;
        let columns = encoded.first().map_or(0, |first| first.len());
        let all = |get: fn(&tokenizers::Encoding) -> &[u32]| -> Vec<i64> {
            encoded.iter().flat_map(get).map(|value| i64::from(*value)).collect()
        };
        Ok(Batch::Tokens {
            rows: encoded.len(),
            columns,
            ids: all(tokenizers::Encoding::get_ids),
            mask: all(tokenizers::Encoding::get_attention_mask),
            types: all(tokenizers::Encoding::get_type_ids),
        })
    }
}

impl Tokens {
    /// Tokenizes a text that already contains its special tokens; none is added.
    ///
    /// # Errors
    /// `invalid_tokenizer`.
    pub fn plain(&self, text: &str) -> Result<Vec<u32>> {
        let encoded = self.plain.encode(text, false).map_err(|error| {
            invalid(TEXT_NOT_TOKENIZED, "a text was not tokenized").expected("tokens", error)
        })?;
        Ok(encoded.get_ids().to_vec())
    }

    /// Whether the tokenizer takes this text for one token wherever it stands.
    pub fn adds(&self, token: &str) -> bool {
        self.plain.get_added_tokens_decoder().values().any(|added| added.content == token)
    }

    /// Converts tokens to text, without special tokens. An id without a token gives no text.
    ///
    /// # Errors
    /// `invalid_tokenizer`.
    pub fn text(&self, ids: &[u32]) -> Result<String> {
        self.plain.decode(ids, true).map_err(|error| {
            invalid(TOKENS_WITHOUT_TEXT, "tokens have no text").expected("text", error)
        })
    }
}

fn unread(reason: &dyn std::fmt::Display) -> LoadError {
    invalid(TOKENIZER_NOT_READ, "the tokenizer cannot be read")
        .expected("a tokenizer in the form of tokenizer.json", reason)
}

fn invalid(cause: impl Into<Cause>, message: &str) -> LoadError {
    LoadError::refused(Phase::Open, cause, message)
}
