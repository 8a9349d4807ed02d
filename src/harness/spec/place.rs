//! Places in the spec's files, and errors at a place.

use std::fmt;

use thiserror::Error;

/// A place in a file of the spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Path from the project's root.
    pub file: &'static str,
    /// Line, from 1; 0 if it is not known.
    pub line: u64,
    /// Column, from 1; 0 if it is not known.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// An error in the spec's files.
#[derive(Debug, Error)]
pub enum SpecError {
    /// A file is not YAML of the expected form.
    #[error("{at}: {message}")]
    Unreadable {
        /// Place of the error.
        at: Place,
        /// The YAML reader's message.
        message: String,
    },
    /// A row breaks a rule of the whole spec.
    #[error("{at}: {message}")]
    Broken {
        /// Place of the row.
        at: Place,
        /// The rule and the value that breaks it.
        message: String,
    },
}

impl SpecError {
    pub(super) fn broken(at: &Place, message: impl Into<String>) -> Self {
        SpecError::Broken { at: at.clone(), message: message.into() }
    }
}
