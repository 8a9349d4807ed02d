//! Reads a file of another format than safetensors.

use sha2::Sha256;

use crate::contract::request::Format;

use super::front::Front;
use super::{ImportedModel, apr, gguf};
use crate::loader::error::{LoadError, Result};
use crate::loader::read::file::OpenFile;

/// Reads everything before the data, and updates `hasher` with it.
///
/// # Errors
/// `foreign_format` if the file has another format; the `invalid_header` and `invalid_layout`
/// families, `unsupported_dtype`; `invalid_config`, `unknown_architecture`, `invalid_tokenizer`.
pub fn read(format: Format, source: &mut OpenFile, hasher: &mut Sha256) -> Result<ImportedModel> {
    let mut front = Front::new(source, hasher);
    match format {
        Format::Gguf => gguf::read(&mut front),
        Format::Apr => apr::read(&mut front),
        Format::Safetensors => Err(LoadError::internal("safetensors has its own reader")),
    }
}
