//! A file of a model that is not the one that was sealed or signed.

use std::path::Path;

use super::invalid;
use crate::loader::error::LoadError;
use crate::loader::remedies::index_and_seal::{
    FILE_NOT_SIGNED, SIGNED_FILE_DIFFERS, SIGNED_FILE_MISSING,
};

/// One such file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its path in the model; `.` is the model itself.
    pub name: String,
    /// The sealed or signed SHA-256; `None` if the file is not named there.
    pub wanted: Option<String>,
    /// The file's SHA-256; `None` if there is no such file.
    pub found: Option<String>,
}

impl Difference {
    /// As the error of a load of a signed model.
    pub fn unsigned(&self, model: &Path) -> LoadError {
        let (cause, message) = match (&self.wanted, &self.found) {
            (None, _) => (FILE_NOT_SIGNED, "a file that is not signed"),
            (_, None) => (SIGNED_FILE_MISSING, "a signed file is missing"),
            _ => (SIGNED_FILE_DIFFERS, "the file is not the signed one"),
        };
        let words = |one: &Option<String>| one.clone().unwrap_or_else(|| "none".to_owned());
        let path = if self.name == "." { model.to_owned() } else { model.join(&self.name) };
        invalid(cause, message).expected(words(&self.wanted), words(&self.found)).path(&path)
    }
}
