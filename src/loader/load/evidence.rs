//! Input and results of a pass over the data.

use std::sync::Arc;

use crate::contract::{Device, request};
use crate::loader::decisions::LoadDecisions;
use crate::loader::format::Tail;
use crate::loader::gates::Scan;
use crate::loader::open::files::File;
use crate::loader::parallel::Divided;
use crate::loader::progress::Progress;
use crate::loader::seal::Seal;

/// The input of a pass over the data.
pub struct PassInput<'a> {
    /// The files, in order.
    pub files: &'a [File],
    /// The replaceable decisions.
    pub decisions: &'a dyn LoadDecisions,
    /// The device that receives the data.
    pub device: Device,
    /// The slices of every rank, if the model is divided.
    pub divided: Option<&'a Divided>,
    /// Whether to collect statistics for the gates.
    pub scan: bool,
    /// The seal to compare the bytes with, if one was given.
    pub seal: Option<&'a request::Seal>,
    /// Counters that another thread may read.
    pub progress: &'a Progress,
}

/// The results of a pass for one file.
pub struct FileEvidence {
    /// The digests.
    pub hashed: Hashed,
    /// Statistics of each tensor for the gates. They are empty if `scan` is false.
    pub scans: Vec<Scan>,
    /// The checksum at the end of the file, if its format has one.
    pub tail: Option<Tail>,
}

/// The digests of a file.
pub enum Hashed {
    /// Nothing was hashed.
    Nothing,
    /// SHA-256 of the whole file: computed, or taken from the seal after all chunks were found
    /// equal.
    Whole([u8; 32]),
    /// Digests of the data's chunks, not yet compared with this seal.
    Chunks(Arc<Seal>, Vec<[u8; 32]>),
}
