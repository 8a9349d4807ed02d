//! Formats that carry a whole model in one file: GGUF and APR. What they say is brought into the form
//! that the rest of this house knows, and nothing of it reaches further than the load.
//!
//! A reader here gives the tensors under Hugging Face's names, each row-major `[out, in]`, and the
//! documents that would stand beside a safetensors file: configuration, tokenizer, template. What
//! the load has to do to a tensor's bytes on their way (unpack blocks, put rows in their order) stands in
//! its [`Import`], and is done once, while the bytes pass.
//!
//! Readers of our own, strict and bounded: no number in a file reserves memory before that many bytes
//! are known to be there, and what is not understood is refused, never passed over.

mod apr;
pub mod architecture;
pub mod blocks;
mod front;
mod gguf;
mod import;
mod layout;
pub mod safetensors;
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
pub use self::tail::Tail;

/// What has to be done to a tensor's bytes between its file and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// How elements are packed in blocks, where they are.
    pub packing: Option<Packing>,
    /// Where rows were reordered for rotary positions that turn neighbours: in how many heads.
    pub heads: Option<u64>,
}

impl Import {
    /// Where a row of a tensor of so many rows belongs.
    ///
    /// Pair j of a head stands in rows 2j and 2j + 1 of it; it belongs in rows j and half a head
    /// further on.
    pub fn row(&self, row: u64, rows: u64) -> u64 {
        let Some(heads) = self.heads else { return row };
        let size = rows / heads;
        let (head, within) = (row / size, row % size);
        head * size + within % 2 * (size / 2) + within / 2
    }
}

/// A tensor of a file in another format: what the table says, in safetensors' words, and what is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedTensor {
    /// Name, shape and place; the element type is the one that conversion starts from, F32 for blocks.
    pub info: TensorInfo,
    /// What is to be done to its bytes.
    pub import: Import,
}

/// What a file says of its model besides the tensors, as the documents that would stand beside them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbeddedDocuments {
    /// `config.json`.
    pub config: Value,
    /// `tokenizer.json`, where the file has a tokenizer.
    pub tokenizer: Option<Vec<u8>>,
    /// `tokenizer_config.json`, where it has a chat template.
    pub template: Option<Value>,
}

/// A model in a file of another format, read up to its data.
#[derive(Clone, Debug)]
pub struct ImportedModel {
    /// Its tensors, in the file's order.
    pub tensors: Vec<ImportedTensor>,
    /// What else it says.
    pub documents: EmbeddedDocuments,
    /// Where in the file everything behind the header lies, in bytes.
    pub data: Range<u64>,
    /// The sum that the file ends in, where its format has one.
    pub tail: Option<Tail>,
}

/// The file is of another format than the one that was named.
fn another(wanted: &str, head: &[u8]) -> LoadError {
    // What is not recognised is told by its first bytes.
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

/// A setting in the file that this loader does not support.
fn not_supported(what: &str, wanted: impl ToString, found: impl ToString) -> LoadError {
    LoadError::header(SETTING_NOT_SUPPORTED.about([what]), format!("{what} is not supported"))
        .expected(wanted, found)
}

/// A setting in the file that is missing or contradicts another.
fn damaged_setting(message: impl Into<String>) -> LoadError {
    LoadError::header(SETTING_DAMAGED, message)
}

#[cfg(test)]
mod tests;
