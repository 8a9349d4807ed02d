//! Full-size models of a run, and the sets of thirteen. Each is made once and shared by all cases that
//! need it, because making it takes longer than most cases do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::ahead::Ahead;
use super::model::{Given, PlacedModel};
use crate::contract::registry::RegisteredModel;
use crate::harness::case::full_size::FullSize;
use crate::harness::model::deploy;
use crate::harness::model::registry::{self, Scale};

/// The models of all runs that share a setting. Their files lie in the run's scratch folder and go
/// with it.
#[derive(Clone, Default)]
pub struct SharedModels {
    /// Full-size models, by their sizes.
    pub full_size: Shared<FullSize, PlacedModel>,
    /// What was made before its case begins.
    pub ahead: Ahead,
    /// The run's own checkpoint.
    pub given: Shared<(), Given>,
    sets: Shared<Scale, DeployedSet>,
}

impl SharedModels {
    /// The thirteen models of the registry at this scale, as files below a folder.
    ///
    /// # Errors
    /// Why they cannot be written.
    pub fn set(&self, scale: Scale, below: &Path) -> Result<Arc<DeployedSet>, String> {
        self.sets.get(scale, || deployed(scale, below))
    }
}

/// Writes the models of the registry, each by its own thread.
fn deployed(scale: Scale, below: &Path) -> Result<DeployedSet, String> {
    let entries = registry::models()?;
    let folder = below.join(format!("set-{:016x}", rand::random::<u64>()));
    std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
    let write =
        |entry| deploy::write(entry, scale, &folder, &|_| ()).map_err(|error| error.to_string());
    let models = std::thread::scope(|scope| {
        let threads: Vec<_> =
            entries.iter().map(|entry| scope.spawn(move || write(entry))).collect();
        let lost = |_| Err("a writing thread panicked".to_owned());
        let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(lost));
        joined.collect::<Result<Vec<RegisteredModel>, String>>()
    })?;
    Ok(DeployedSet { folder, models })
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
