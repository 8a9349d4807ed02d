//! Mutants of digests: invented, partly compared, or of other bytes than those used.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::loader::LoadDecisions;
use crate::loader::decisions::Part;
use crate::loader::error::Result;
use crate::loader::read::file::OpenFile;

/// Returns the SHA-256 of the file's name.
pub struct OfTheName;

impl LoadDecisions for OfTheName {
    fn digest(&self, path: &Path, _used: [u8; 32]) -> [u8; 32] {
        let name = path.file_name().unwrap_or_default();
        Sha256::digest(name.as_encoded_bytes()).into()
    }
}

/// Compares only the first 64 bits.
pub struct Short;

impl LoadDecisions for Short {
    fn digests_match(&self, asked: &[u8; 32], actual: &[u8; 32]) -> bool {
        asked[..8] == actual[..8]
    }
}

/// Compares only the seal's own digest with the pin, and no digest inside the seal.
pub struct Unchecked;

impl LoadDecisions for Unchecked {
    fn sealed_matches(&self, part: Part, sealed: &[u8; 32], found: &[u8; 32]) -> bool {
        part != Part::Seal || sealed == found
    }
}

/// Skips every chunk after the first one.
pub struct FirstChunk;

impl LoadDecisions for FirstChunk {
    fn sealed_matches(&self, part: Part, sealed: &[u8; 32], found: &[u8; 32]) -> bool {
        matches!(part, Part::Chunk(1..)) || sealed == found
    }
}

/// Does not compare the seal's digest with the pinned one.
pub struct Unpinned;

impl LoadDecisions for Unpinned {
    fn sealed_matches(&self, part: Part, sealed: &[u8; 32], found: &[u8; 32]) -> bool {
        part == Part::Seal || sealed == found
    }
}

/// Hashes the open file, then opens its path again, which may now name another file.
#[derive(Default)]
pub struct Reopened {
    checked: Mutex<Option<[u8; 32]>>,
}

impl Reopened {
    fn held(&self) -> MutexGuard<'_, Option<[u8; 32]>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LoadDecisions for Reopened {
    fn source(&self, mut opened: OpenFile) -> Result<OpenFile> {
        let mut hasher = Sha256::new();
        let mut piece = vec![0; 1 << 20];
        while opened.left() > 0 {
            let next = piece.len().min(opened.left() as usize);
            opened.read(&mut piece[..next])?;
            hasher.update(&piece[..next]);
        }
        *self.held() = Some(hasher.finalize().into());
        OpenFile::open(opened.path())
    }

    fn digest(&self, _path: &Path, used: [u8; 32]) -> [u8; 32] {
        self.held().take().unwrap_or(used)
    }
}
