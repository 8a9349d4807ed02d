//! What can be wrong with a manifest, and where.

use std::path::{Path, PathBuf};

/// Why a manifest cannot be used. Each message begins with the file, so that an editor finds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// No such file.
    #[error("{}: no such manifest", file.display())]
    Missing {
        /// The path given.
        file: PathBuf,
    },
    /// A folder, a FIFO or a device was given.
    #[error("{}: not a file, expected a manifest", file.display())]
    NotAFile {
        /// The path given.
        file: PathBuf,
    },
    /// The file is there and cannot be read as text.
    #[error("{}: manifest not readable: {why}", file.display())]
    Unreadable {
        /// The path given.
        file: PathBuf,
        /// The system's reason.
        why: String,
    },
    /// Not YAML, a key that is unknown, missing or twice there, a value of the wrong type.
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
    /// A value of the right type that makes no sense.
    #[error("{}: {key}: {why}", file.display())]
    Value {
        /// The manifest.
        file: PathBuf,
        /// The key, dotted.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The command's program is not there.
    #[error("{}: command: {why}", file.display())]
    Program {
        /// The manifest.
        file: PathBuf,
        /// Which program, and what is wrong.
        why: String,
    },
}

impl ManifestError {
    pub(super) fn yaml(path: &Path, error: &serde_yaml::Error) -> Self {
        let place = error.location();
        let text = error.without_snippet().to_string();
        // The place is a field here; the parser's own suffix would give it twice.
        let why = text.split(" at line ").next().unwrap_or(&text).trim().to_owned();
        ManifestError::Yaml {
            file: path.to_path_buf(),
            line: place.map_or(1, |place| place.line()),
            column: place.map_or(1, |place| place.column()),
            why,
        }
    }
}
