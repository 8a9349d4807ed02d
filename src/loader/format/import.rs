//! Reads a model of another format than safetensors.

use std::path::Path;

use crate::contract::request::Format;

use super::front::Front;
use super::{ImportedModel, Source, apr, gguf};
use crate::loader::error::{LoadError, Result};
use crate::loader::read::file::OpenFile;

/// Reads everything before the data, of all files of the model. `open` opens the files after the
/// first one.
///
/// # Errors
/// `foreign_format` if the file has another format; the `invalid_header` and `invalid_layout`
/// families, `unsupported_dtype`; `invalid_config`, `unknown_architecture`, `invalid_tokenizer`.
pub fn read(
    format: Format,
    first: OpenFile,
    open: &dyn Fn(&Path) -> Result<OpenFile>,
) -> Result<(Vec<Source>, ImportedModel)> {
    let mut sources = vec![Source::new(first)];
    let read = match format {
        Format::Gguf => gguf::read(&mut sources, open)?,
        Format::Apr => {
            let first = sources.first_mut();
            let first = first.ok_or_else(|| LoadError::internal("a model without a file"))?;
            apr::read(&mut Front::new(&mut first.file, &mut first.hasher))?
        }
        Format::Safetensors => return Err(LoadError::internal("safetensors has its own reader")),
    };
    Ok((sources, read))
}
