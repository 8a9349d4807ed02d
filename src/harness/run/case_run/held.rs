//! What a case holds: files that the harness wrote, and models that the loader says it has loaded.

use std::path::PathBuf;
use std::sync::Arc;

use super::case_end::CaseEnd;
use crate::contract::reply::Loaded;
use crate::contract::request::DtypePolicy;
use crate::harness::fixture::{Fixture, Truth};

/// A file as it stands on disk.
#[derive(Clone)]
pub struct FixtureOnDisk {
    /// What it holds. Two paths may hold the same.
    pub fixture: Arc<Fixture>,
    /// Where.
    pub path: PathBuf,
}

impl FixtureOnDisk {
    /// The file's tensors.
    ///
    /// # Errors
    /// [`CaseEnd::Fault`] where the case expects a file to load that is none: the case is wrong.
    pub fn tensors(&self) -> Result<&[Truth], CaseEnd> {
        self.fixture
            .tensors
            .as_deref()
            .ok_or_else(|| CaseEnd::Fault("the harness knows no tensors of this file".to_owned()))
    }

    /// A tensor's bytes as stored.
    pub fn stored(&self, truth: &Truth) -> &[u8] {
        &self.fixture.tensor_file()[truth.range.clone()]
    }
}

/// A model that the loader says it has loaded.
pub struct Model {
    /// Its handle.
    pub handle: u64,
    /// The file it came from, by the case's name.
    pub file: String,
    /// That file, as it was then.
    pub from: FixtureOnDisk,
    /// What it must hold now.
    pub keep: DtypePolicy,
    /// What the loader said of it.
    pub loaded: Loaded,
}
