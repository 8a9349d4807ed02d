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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::remedies::config::{CONFIG_MISSING, CONFIG_TOO_LONG};

    #[test]
    fn a_document_is_read_whole_or_refused_by_its_cause() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("config.json");
        let read = |longest| read_beside(&path, longest, (CONFIG_MISSING, CONFIG_TOO_LONG));
        let error = read(3).expect_err("no file");
        assert_eq!(error.failure().message, "config.json is missing");
        assert_eq!((error.code(), error.phase()), (CONFIG_MISSING.code, Phase::Open));
        std::fs::write(&path, "{ }").expect("written");
        assert_eq!(read(3), Ok(b"{ }".to_vec()));
        let error = read(2).expect_err("one byte more");
        let failure = error.failure();
        let told = (failure.expected.as_deref(), failure.actual.as_deref());
        assert_eq!(told, (Some("at most 2 bytes"), Some("3 bytes")));
        assert_eq!((failure.code, failure.path.as_deref()), (CONFIG_TOO_LONG.code, path.to_str()));
    }
}
