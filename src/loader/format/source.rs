//! A file of a model while its headers are read.

use sha2::{Digest, Sha256};

use crate::loader::read::file::OpenFile;

/// An open file that was read up to its data.
pub struct Source {
    /// The file.
    pub file: OpenFile,
    /// A hasher that has processed everything before the data.
    pub hasher: Sha256,
}

impl Source {
    /// A file of which nothing was read yet.
    pub fn new(file: OpenFile) -> Source {
        Source { file, hasher: Sha256::new() }
    }
}
