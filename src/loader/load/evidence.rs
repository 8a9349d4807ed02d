//! What a pass over the data is given, and what it finds of each file.

use std::sync::Arc;

use crate::contract::{Device, request};
use crate::loader::decisions::LoadDecisions;
use crate::loader::format::Tail;
use crate::loader::gates::Scan;
use crate::loader::open::files::File;
use crate::loader::progress::Progress;
use crate::loader::seal::Seal;

/// What a pass over the data is given.
pub struct PassInput<'a> {
    /// The files, in order.
    pub files: &'a [File],
    /// Decides.
    pub decisions: &'a dyn LoadDecisions,
    /// Where the load really goes.
    pub device: Device,
    /// Whether the gates will want to know.
    pub scan: bool,
    /// What the bytes are compared with, where they are sealed.
    pub seal: Option<&'a request::Seal>,
    /// Told how far it is.
    pub progress: &'a Progress,
}

/// What a pass found of one file.
pub struct FileEvidence {
    /// What was hashed of it.
    pub hashed: Hashed,
    /// What the gates need to know of its tensors; nothing was seen where that was not wanted.
    pub scans: Vec<Scan>,
    /// The sum that it ends in, where its format has one.
    pub tail: Option<Tail>,
}

/// What was hashed of a file.
pub enum Hashed {
    /// Nothing: that was not asked for.
    Nothing,
    /// The whole file: its digest, as it was computed, or as it was sealed and is proven by now.
    Whole([u8; 32]),
    /// The chunks of its data: their digests, which are still to be compared with this seal.
    Chunks(Arc<Seal>, Vec<[u8; 32]>),
}
