//! What a case holds: files that the harness wrote, and models that the loader says it has loaded.

use std::path::PathBuf;
use std::sync::Arc;

use super::case_end::CaseEnd;
use crate::contract::Device;
use crate::contract::reply::Loaded;
use crate::contract::request::DtypePolicy;
use crate::harness::evidence::memory::Used;
use crate::harness::evidence::residue::Listing;
use crate::harness::fixture::{Fixture, Truth};

/// A file on disk.
#[derive(Clone)]
pub struct FixtureOnDisk {
    /// The contents. Two paths may have the same fixture.
    pub fixture: Arc<Fixture>,
    /// The path.
    pub path: PathBuf,
}

impl FixtureOnDisk {
    /// The file's tensors.
    ///
    /// # Errors
    /// [`CaseEnd::Fault`] if the harness knows no tensors of the file. Then the case is wrong: it
    /// expects an invalid file to load.
    pub fn tensors(&self) -> Result<&[Truth], CaseEnd> {
        self.fixture
            .tensors
            .as_deref()
            .ok_or_else(|| CaseEnd::Fault("the harness knows no tensors of this file".to_owned()))
    }

    /// A tensor's bytes as stored in the file.
    pub fn stored(&self, truth: &Truth) -> &[u8] {
        &self.fixture.tensor_file()[truth.range.clone()]
    }
}

/// What was there at a mark.
#[derive(Clone, Debug)]
pub struct Residues {
    /// What the loader and all that it had started used besides memory, or why that cannot be seen.
    pub used: Result<Used, String>,
    /// How many maps of the case's files they had, or why that cannot be seen.
    pub maps: Result<u64, String>,
    /// What lay in the case's folder.
    pub files: Listing,
}

/// A model that the loader says it has loaded.
pub struct Model {
    /// Its handle.
    pub handle: u64,
    /// The name of its file in the case.
    pub file: String,
    /// The file, as it was at the load.
    pub from: FixtureOnDisk,
    /// The element types that it must have in memory.
    pub keep: DtypePolicy,
    /// The device that the load named.
    pub asked: Device,
    /// The loader's reply to the load.
    pub loaded: Loaded,
}
