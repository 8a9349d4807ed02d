//! `tokenizer.json`: texts into a batch, as the model was published.

use std::path::Path;

use tokenizers::{PaddingDirection, PaddingParams, PaddingStrategy, Tokenizer, TruncationParams};

use crate::contract::encoder::Batch;
use crate::contract::{Code, Phase};
use crate::loader::error::{LoadError, Result};

use super::config::Config;

/// A tokenizer that suits a model.
#[derive(Clone, Debug)]
pub struct Tokens(Box<Tokenizer>);

impl Tokens {
    /// Reads a tokenizer: special tokens are added, texts are cut at the model's longest input and
    /// padded to the longest of a batch.
    ///
    /// # Errors
    /// `invalid_tokenizer`: missing, none, or with more tokens than the model has.
    pub fn read(path: &Path, config: &Config) -> Result<Tokens> {
        let mut tokenizer = Tokenizer::from_file(path).map_err(|error| {
            invalid("tokenizer.json cannot be read")
                .expected("tokenizer.json, as it was published with the weights", error)
        })?;
        let tokens = tokenizer.get_vocab_size(true);
        if tokens > config.vocabulary {
            return Err(invalid("the tokenizer has more tokens than the model")
                .expected(format!("at most {}", config.vocabulary), tokens));
        }
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
            invalid("cannot be cut to the model's longest input")
                .expected(format!("room for {} tokens", config.longest), error)
        })?;
        Ok(Tokens(Box::new(tokenizer)))
    }

    /// The batch of these texts.
    ///
    /// # Errors
    /// `invalid_input` for no text at all, or one that gives no token; `invalid_tokenizer`.
    pub fn batch(&self, texts: &[String]) -> Result<Batch> {
        let inputs: Vec<&str> = texts.iter().map(String::as_str).collect();
        let encoded = self
            .0
            .encode_batch(inputs, true)
            .map_err(|error| invalid("a text was not tokenized").expected("tokens", error))?;
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

fn invalid(message: impl Into<String>) -> LoadError {
    LoadError::refused(Phase::Open, Code::InvalidTokenizer, message)
        .remedy("put tokenizer.json of the same revision beside the weights")
}
