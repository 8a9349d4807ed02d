//! Errors in a manifest, with their place.

use std::path::{Path, PathBuf};

/// Why a manifest cannot be used. Each message begins with the file's path, so that an editor can
/// open it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// There is no such file.
    #[error("{}: no such manifest", file.display())]
    Missing {
        /// The path given.
        file: PathBuf,
    },
    /// The path is a folder, a FIFO or a device.
    #[error("{}: not a regular file, expected a manifest", file.display())]
    NotAFile {
        /// The path given.
        file: PathBuf,
    },
    /// The file cannot be read as text.
    #[error("{}: cannot read the manifest: {why}", file.display())]
    Unreadable {
        /// The path given.
        file: PathBuf,
        /// The operating system's reason.
        why: String,
    },
    /// The file is not YAML, a key is unknown, missing or given twice, or a value has the wrong
    /// type.
    #[error("{}:{line}:{column}: {why}", file.display())]
    Yaml {
        /// The manifest.
        file: PathBuf,
        /// Line, counted from 1.
        line: u64,
        /// Column in characters, counted from 1.
        column: u64,
        /// The parser's reason.
        why: String,
    },
    /// A value of the right type is not allowed.
    #[error("{}: {key}: {why}", file.display())]
    Value {
        /// The manifest.
        file: PathBuf,
        /// The key's path, with dots.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The command's program does not exist, or is not executable.
    #[error("{}: command: {why}", file.display())]
    Program {
        /// The manifest.
        file: PathBuf,
        /// Which program, and what is wrong with it.
        why: String,
    },
}

impl ManifestError {
    pub(super) fn yaml(path: &Path, error: &serde_yaml::Error) -> Self {
        let place = error.location();
        let text = error.without_snippet().to_string();
        // The parser appends the place, which the error text already begins with.
        let why = text.split(" at line ").next().unwrap_or(&text).trim().to_owned();
        ManifestError::Yaml {
            file: path.to_path_buf(),
            line: place.map_or(1, |place| place.line()),
            column: place.map_or(1, |place| place.column()),
            why,
        }
    }
}
