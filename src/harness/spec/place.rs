//! Where something stands in the spec's files, and what is wrong there.

use std::fmt;

use thiserror::Error;

/// A place in a file of the spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Path from the project's root.
    pub file: &'static str,
    /// Line, from 1; 0 where it is not known.
    pub line: u64,
    /// Column, from 1; 0 where it is not known.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What is wrong with the spec, and where.
#[derive(Debug, Error)]
pub enum SpecError {
    /// A file that cannot be read as what it should be.
    #[error("{at}: {message}")]
    Unreadable {
        /// Where.
        at: Place,
        /// What the reader says.
        message: String,
    },
    /// A row that breaks a rule of the spec as a whole.
    #[error("{at}: {message}")]
    Broken {
        /// Where.
        at: Place,
        /// Which rule, and by what value.
        message: String,
    },
}

impl SpecError {
    pub(super) fn broken(at: &Place, message: impl Into<String>) -> Self {
        SpecError::Broken { at: at.clone(), message: message.into() }
    }
}
