//! Full-size models of a run, and the sets of thirteen. Each is made once and shared by all cases that
//! need it, because making it takes longer than most cases do.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::model::{Given, PlacedModel};
use crate::contract::registry::RegisteredModel;
use crate::harness::case::full_size::FullSize;
use crate::harness::model::registry::Scale;

/// The models of all runs that share a setting. Their files lie in the run's scratch folder and go
/// with it.
#[derive(Clone, Default)]
pub struct SharedModels {
    /// Full-size models, by their sizes.
    pub full_size: Shared<FullSize, PlacedModel>,
    /// The thirteen models of the registry, by scale.
    pub sets: Shared<Scale, DeployedSet>,
    /// The run's own checkpoint.
    pub given: Shared<(), Given>,
}

/// The thirteen models of the registry, as files.
pub struct DeployedSet {
    /// The folder that they are in.
    pub folder: PathBuf,
    /// The models, in the order of the registry.
    pub models: Vec<RegisteredModel>,
}

/// A value, once a case has made it. The lock is held while it is made, so that others wait for it.
type Slot<V> = Arc<Mutex<Option<Arc<V>>>>;

/// A value and its key.
type Keyed<K, V> = (K, Slot<V>);

/// Values that are made once, by key.
pub struct Shared<K, V>(Arc<Mutex<Vec<Keyed<K, V>>>>);

impl<K: Copy + PartialEq, V> Shared<K, V> {
    /// The value of this key; `make` makes it if no case has made it before.
    ///
    /// # Errors
    /// Those of `make`. The next case then tries again.
    pub fn get<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let slot = self.slot(key);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = slot.as_ref() {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(make()?);
        *slot = Some(Arc::clone(&value));
        Ok(value)
    }

    fn slot(&self, key: K) -> Slot<V> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = all.iter().find(|(known, _)| *known == key) {
            return Arc::clone(slot);
        }
        let slot = Slot::default();
        all.push((key, Arc::clone(&slot)));
        slot
    }
}

impl<K, V> Default for Shared<K, V> {
    fn default() -> Self {
        Shared(Arc::default())
    }
}

impl<K, V> Clone for Shared<K, V> {
    fn clone(&self) -> Self {
        Shared(Arc::clone(&self.0))
    }
}

impl fmt::Debug for SharedModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedModels")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_and_again_only_after_a_failure() {
        let shared = Shared::<u8, u32>::default();
        assert_eq!(shared.get(1, || Err::<u32, &str>("no room")), Err("no room"));
        assert_eq!(shared.get(1, || Ok::<u32, &str>(5)).map(|value| *value), Ok(5));
        let again = shared.clone().get(1, || Err::<u32, &str>("made twice"));
        assert_eq!(again.map(|value| *value), Ok(5));
        assert_eq!(shared.get(2, || Ok::<u32, &str>(6)).map(|value| *value), Ok(6));
    }
}
