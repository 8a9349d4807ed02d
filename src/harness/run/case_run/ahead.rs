//! Files and models that were made before their case begins. A case that runs alone takes them from
//! here, so that the rest of the machine does not wait while they are made.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::model::PlacedModel;
use crate::harness::fixture::Fixture;

/// What was made before its case. A seed belongs to one name in one case of one run.
#[derive(Clone, Default)]
pub struct Ahead {
    /// Files, by their seed.
    pub files: Made<Fixture>,
    /// Models, by their seed.
    pub models: Made<PlacedModel>,
}

/// Values by seed. Each is taken once.
pub struct Made<V>(Arc<Mutex<BTreeMap<u64, V>>>);

impl<V> Made<V> {
    /// Keeps a value for the case that needs it.
    pub fn put(&self, seed: u64, value: V) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, value);
    }

    /// The value of this seed, if it was made.
    pub fn take(&self, seed: u64) -> Option<V> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&seed)
    }
}

impl<V> Default for Made<V> {
    fn default() -> Self {
        Made(Arc::default())
    }
}

impl<V> Clone for Made<V> {
    fn clone(&self) -> Self {
        Made(Arc::clone(&self.0))
    }
}
