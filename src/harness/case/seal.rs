//! Seals for the files of a case: what is sealed, and what is wrong with the seal.

use serde::Deserialize;

use super::edits::TextEdits;

/// The seal that a load asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealing {
    /// What is wrong with it; nothing, by default.
    #[serde(default)]
    pub flaw: Flaw,
    /// The file that is sealed, under the name of the one that is loaded; that one itself unless
    /// named.
    #[serde(default)]
    pub of: Option<String>,
    /// Whether the file is sealed as it was before its recipe's damage was done.
    #[serde(default)]
    pub undamaged: bool,
    /// Size of a chunk, in bytes.
    #[serde(default = "usual_chunk")]
    pub chunk_bytes: u64,
    /// What is done to its text before it is pinned.
    #[serde(default)]
    pub edits: Option<TextEdits>,
}

impl Default for Sealing {
    fn default() -> Self {
        Sealing {
            flaw: Flaw::None,
            of: None,
            undamaged: false,
            chunk_bytes: usual_chunk(),
            edits: None,
        }
    }
}

const fn usual_chunk() -> u64 {
    64 << 10
}

/// What is wrong with a seal. But for the first ones the pin is that of the seal as it is, so that
/// only a look at what it says can find the flaw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// Nothing.
    #[default]
    None,
    /// Edited after it was pinned: one digit of the last chunk's digest.
    EditedAfterPin,
    /// The whole-file digest edited after it was pinned, the subject's to match.
    DigestAfterPin,
    /// A pin that differs in its last bit.
    PinOffByOne,
    /// No file at its path.
    Missing,
    /// No bytes.
    Empty,
    /// Text that is no JSON.
    NoJson,
    /// Its last half is gone.
    Cut,
    /// A first chunk's digest that differs in one bit.
    FirstChunk,
    /// A last chunk's digest that differs in one bit.
    LastChunk,
    /// Digests of the first two chunks exchanged.
    ChunksSwapped,
    /// The last chunk's digest is not there.
    ChunkMissing,
    /// One digest too many.
    ChunkExtra,
    /// Digests in upper case.
    UpperCase,
    /// A header digest that differs in one bit.
    Header,
    /// A header that is one byte longer.
    HeaderLength,
    /// A file that is one byte longer.
    FileLength,
    /// A subject's digest that is not that of the resources.
    Root,
    /// It does not name the last of the files.
    LastUnnamed,
    /// It names another file.
    AnotherName,
    /// It names the file twice.
    Twice,
    /// It names the files in falling order.
    OutOfOrder,
    /// Chunks of no bytes.
    ChunkZero,
    /// Chunks of a size that is no power of two.
    ChunkOdd,
    /// Chunks larger than allowed.
    ChunkLarge,
    /// A version that is not there yet.
    Version,
    /// A member that the version does not have.
    UnknownMember,
    /// A predicate of another kind.
    Predicate,
}
