//! Reading a file of another format than safetensors, whichever it is.

use sha2::Sha256;

use crate::contract::request::Format;

use super::front::Front;
use super::{ImportedModel, apr, gguf};
use crate::loader::error::{LoadError, Result};
use crate::loader::read::file::OpenFile;

/// Reads everything before the data, and gives `hasher` all of it.
///
/// # Errors
/// `foreign_format` where the file is of another one; the `invalid_header` and `invalid_layout`
/// families, `unsupported_dtype`; `invalid_config`, `unknown_architecture`, `invalid_tokenizer`.
pub fn read(format: Format, source: &mut OpenFile, hasher: &mut Sha256) -> Result<ImportedModel> {
    let mut front = Front::new(source, hasher);
    match format {
        Format::Gguf => gguf::read(&mut front),
        Format::Apr => apr::read(&mut front),
        Format::Safetensors => Err(LoadError::internal("safetensors is no foreign format")),
    }
}
