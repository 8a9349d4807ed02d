//! The files that stand beside the weights.

use std::path::Path;

use crate::contract::{Code, Phase};
use crate::loader::error::{LoadError, Result};
use crate::loader::host_memory::host_bytes;
use crate::loader::read::file::OpenFile;

/// Reads a file that stands beside the weights, of at most so many bytes, without waiting for a pipe.
///
/// # Errors
/// Those of opening and reading; `invalid_request` for one that is longer.
pub(super) fn read_beside(path: &Path, longest: u64) -> Result<Vec<u8>> {
    let mut source = OpenFile::open(path)?;
    if source.bytes() > longest {
        return Err(LoadError::refused(Phase::Open, Code::InvalidRequest, "too long")
            .expected(format!("at most {longest} bytes"), format!("{} bytes", source.bytes())));
    }
    let mut bytes = host_bytes(source.bytes())?;
    source.read(&mut bytes)?;
    Ok(bytes)
}
