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
    TEXT_NOT_TOKENIZED, TEXT_TOO_LONG, TOKENIZER_MISSING, TOKENIZER_NO_ROOM, TOKENIZER_NOT_READ,
    TOKENIZER_TOO_LARGE, TOKENIZER_TOO_LONG, TOKENIZER_UNBOUNDED, TOKENS_WITHOUT_TEXT,
};

use super::beside::read_beside;
use super::config::Config;

mod bounds;
mod expressions;

/// Longest tokenizer file, in bytes: twice the size of the largest ones in use.
pub const LONGEST: u64 = 64 << 20;

/// Longest texts of one request, in bytes, as they are and after the steps that can make them longer. The
/// library holds 17 bytes and more for each of these.
const LONGEST_TEXT: usize = 8 << 20;
const LONGEST_GROWN: usize = 32 << 20;

/// A tokenizer. All its ids are in the model's vocabulary.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Without padding and truncation.
    plain: Box<Tokenizer>,
    /// With truncation and padding, for batches.
    batching: Box<Tokenizer>,
    /// Most bytes of all texts of one request.
    most: usize,
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
        if bytes.len() as u64 > LONGEST {
            return Err(invalid(TOKENIZER_TOO_LONG, "the tokenizer is too long")
                .expected(format!("at most {LONGEST} bytes"), format!("{} bytes", bytes.len())));
        }
        let unbounded = |(allowed, found): (String, String)| {
            invalid(TOKENIZER_UNBOUNDED, "the tokenizer may take too much time or memory")
                .expected(allowed, found)
        };
        bounds::measure(bytes).map_err(unbounded)?;
        let document = bounds::read(bytes).map_err(|error| unread(&error))?;
        let growth = bounds::check(&document).map_err(unbounded)?;
        let most = LONGEST_TEXT.min(LONGEST_GROWN / growth.max(1));
        let read = guarded(|| Tokenizer::from_bytes(bytes));
        let mut tokenizer = read.map_err(|error| unread(&error))?;
        let vocabulary = tokenizer.get_vocab(true);
        if let Some(longest) = vocabulary.keys().map(String::len).max()
            && longest > bounds::LONGEST_TOKEN
        {
            let cause = TOKENIZER_UNBOUNDED;
            return Err(invalid(cause, "the tokenizer may take too much time or memory").expected(
                format!("tokens of at most {} bytes", bounds::LONGEST_TOKEN),
                format!("{longest} bytes"),
            ));
        }
        // Check the largest id, not the count: ids may have gaps.
        let largest = vocabulary.into_values().max();
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
        // There is room for a text, as seen above.
        tokenizer.with_truncation(Some(cut)).map_err(|error| unread(&error))?;
        Ok(Tokens { plain, batching: Box::new(tokenizer), most })
    }

    /// Tokenizes texts as a batch. The caller checks the batch, which may be empty.
    ///
    /// # Errors
    /// `invalid_tokenizer` if a text cannot be tokenized.
    pub fn batch(&self, texts: &[String]) -> Result<Batch> {
        self.bounded(texts.iter().map(String::len).fold(0, usize::saturating_add))?;
        let inputs: Vec<&str> = texts.iter().map(String::as_str).collect();
        let encoded = guarded(|| self.batching.encode_batch(inputs, true)).map_err(|error| {
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
        self.bounded(text.len())?;
        let encoded = guarded(|| self.plain.encode(text, false)).map_err(|error| {
            invalid(TEXT_NOT_TOKENIZED, "a text was not tokenized").expected("tokens", error)
        })?;
        Ok(encoded.get_ids().to_vec())
    }

    /// Refuses texts that are too long to be cut into tokens.
    fn bounded(&self, bytes: usize) -> Result<()> {
        if bytes <= self.most {
            return Ok(());
        }
        Err(LoadError::refused(Phase::Infer, TEXT_TOO_LONG, "a text is too long for the tokenizer")
            .expected(format!("at most {} bytes", self.most), format!("{bytes} bytes")))
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
        guarded(|| self.plain.decode(ids, true)).map_err(|error| {
            invalid(TOKENS_WITHOUT_TEXT, "tokens have no text").expected("text", error)
        })
    }
}

/// Runs the library. A fault of it is one of the file, and does not end a program that holds models.
fn guarded<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> std::result::Result<T, String> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("the tokenizer library panicked".to_owned()),
    }
}

fn unread(reason: &dyn std::fmt::Display) -> LoadError {
    invalid(TOKENIZER_NOT_READ, "the tokenizer cannot be read")
        .expected("a tokenizer in the form of tokenizer.json", reason)
}

fn invalid(cause: impl Into<Cause>, message: &str) -> LoadError {
    LoadError::refused(Phase::Open, cause, message)
}

#[cfg(test)]
mod tests;
