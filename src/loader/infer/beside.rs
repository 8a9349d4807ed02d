//! Reads files in the same folder as the weights, such as `config.json`.

use std::path::Path;

use crate::contract::{Code, Phase};
use crate::loader::error::{LoadError, Result};
use crate::loader::host_memory::host_bytes;
use crate::loader::read::file::OpenFile;
use crate::loader::remedies::Remedy;

/// Reads a file of at most `longest` bytes. Does not block on a pipe.
///
/// # Errors
/// The cause `missing` if there is no file, the cause `too_long` if it is longer; those of opening
/// and reading.
pub fn read_beside(
    path: &Path,
    longest: u64,
    (missing, too_long): (Remedy, Remedy),
) -> Result<Vec<u8>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut source = OpenFile::open(path).map_err(|error| match error.code() {
        Code::NotFound => LoadError::refused(Phase::Open, missing, format!("{name} is missing"))
            .expected("a readable file", error.failure().actual.clone().unwrap_or_default())
            .path(path),
        _ => error,
    })?;
    if source.bytes() > longest {
        return Err(LoadError::refused(Phase::Open, too_long, format!("{name} is too long"))
            .path(path)
            .expected(format!("at most {longest} bytes"), format!("{} bytes", source.bytes())));
    }
    let mut bytes = host_bytes(source.bytes())?;
    source.read(&mut bytes)?;
    Ok(bytes)
}
