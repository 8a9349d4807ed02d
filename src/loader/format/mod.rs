//! Readers of model formats. GGUF and APR hold a whole model in one file; their content is
//! converted to the form of a safetensors model, so that no other code depends on these formats.
//!
//! A reader returns the tensors under Hugging Face's names, each row-major `[out, in]`, and the
//! documents that accompany a safetensors file: configuration, tokenizer, template. A tensor's
//! [`Import`] says what the load does to its bytes: unpack blocks, reorder rows. This is done once,
//! while the data is read.
//!
//! The readers are ours. They are strict and bounded: a number in a file never causes an allocation
//! unless the file has that many bytes, and anything unknown is refused.

mod apr;
pub mod architecture;
pub mod blocks;
pub mod buffers;
mod front;
mod gguf;
mod import;
pub mod json_bounds;
mod layout;
pub mod safetensors;
mod source;
mod tail;
pub mod tensor;
pub mod tokenizer;
pub mod widen;

use std::ops::Range;

use serde_json::Value;

use crate::contract::Code;

use self::safetensors::TensorInfo;
use super::error::LoadError;

use self::blocks::Packing;
use crate::loader::remedies::formats::{ANOTHER_FORMAT, SETTING_DAMAGED, SETTING_NOT_SUPPORTED};

pub use self::import::read;
pub use self::source::Source;
pub use self::tail::Tail;

/// Conversions of a tensor's bytes between file and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// How elements are packed in blocks; `None` if they are not packed.
    pub packing: Option<Packing>,
    /// Number of heads, if the rows were reordered for RoPE over neighbouring elements.
    pub heads: Option<u64>,
}

impl Import {
    /// Returns the position of row `row` in memory; the tensor has `rows` rows.
    ///
    /// In the file, pair j of a head has rows 2j and 2j + 1 of the head. In memory it has rows j
    /// and j + half the head's size.
    pub fn row(&self, row: u64, rows: u64) -> u64 {
        let Some(heads) = self.heads else { return row };
        let size = rows / heads;
        let (head, within) = (row / size, row % size);
        head * size + within % 2 * (size / 2) + within / 2
    }
}

/// A tensor of a GGUF or APR file, described as in safetensors, with its conversions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedTensor {
    /// Name, shape and position. The dtype is the one before conversion; F32 for packed blocks.
    pub info: TensorInfo,
    /// The conversions.
    pub import: Import,
    /// The file that it is in, by its place in [`ImportedModel::files`].
    pub file: usize,
}

/// Documents that a file contains besides the tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbeddedDocuments {
    /// `config.json`.
    pub config: Value,
    /// `tokenizer.json`, if the file has a tokenizer.
    pub tokenizer: Option<Vec<u8>>,
    /// `tokenizer_config.json`, if the file has a chat template.
    pub template: Option<Value>,
    /// The tensor that holds a divisor for the frequency of each rotary pair, if there is one.
    pub rope_factors: Option<String>,
}

/// The headers of a GGUF or APR model.
#[derive(Clone, Debug)]
pub struct ImportedModel {
    /// Its tensors, in the order of the files.
    pub tensors: Vec<ImportedTensor>,
    /// The documents.
    pub documents: EmbeddedDocuments,
    /// Its files: one, or the parts of a split model.
    pub files: Vec<ImportedFile>,
}

/// A file of such a model.
#[derive(Clone, Debug)]
pub struct ImportedFile {
    /// Range of the file after the header, in bytes.
    pub data: Range<u64>,
    /// The checksum at the end of the file, if its format has one.
    pub tail: Option<Tail>,
}

/// The error for a file in another format than the requested one.
fn another(wanted: &str, head: &[u8]) -> LoadError {
    // An unknown format is described by its first bytes.
    if let Err(known) = self::safetensors::foreign::check(head)
        && !matches!(known.code(), Code::Gguf)
    {
        let found = known.failure().actual.clone().unwrap_or_default();
        return known.expected(format!("a file in {wanted}"), found);
    }
    let shown: String =
        head.iter().take(8).flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
    LoadError::header(ANOTHER_FORMAT, format!("not a file in {wanted}"))
        .expected(format!("a file in {wanted}"), format!("a file that begins \"{shown}\""))
}

/// The error for a setting that this loader does not support.
fn not_supported(what: &str, wanted: impl ToString, found: impl ToString) -> LoadError {
    LoadError::header(SETTING_NOT_SUPPORTED.about([what]), format!("{what} is not supported"))
        .expected(wanted, found)
}

/// The error for a setting that is missing or contradicts another.
fn damaged_setting(message: impl Into<String>) -> LoadError {
    LoadError::header(SETTING_DAMAGED, message)
}

#[cfg(test)]
mod tests;
