//! Full-size models of a run. Each is made once and shared by all cases that need it, because making
//! it takes longer than most cases do.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::model::{PlaceError, PlacedModel};
use crate::harness::case::forward::FullSize;

/// A model, once a case has made it. The lock is held while it is made, so that others wait for it.
type Slot = Arc<Mutex<Option<Arc<PlacedModel>>>>;

/// The models of all runs that share a setting. Their files lie in the run's scratch folder and go
/// with it.
#[derive(Clone, Default)]
pub struct SharedModels(Arc<Mutex<Vec<(FullSize, Slot)>>>);

impl SharedModels {
    /// The model of these sizes; `make` makes it if no case has made it before.
    ///
    /// # Errors
    /// Those of `make`. The next case then tries again.
    pub fn get(
        &self,
        sizes: FullSize,
        make: impl FnOnce() -> Result<PlacedModel, PlaceError>,
    ) -> Result<Arc<PlacedModel>, PlaceError> {
        let slot = self.slot(sizes);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = slot.as_ref() {
            return Ok(Arc::clone(model));
        }
        let model = Arc::new(make()?);
        *slot = Some(Arc::clone(&model));
        Ok(model)
    }

    fn slot(&self, sizes: FullSize) -> Slot {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = all.iter().find(|(known, _)| *known == sizes) {
            return Arc::clone(slot);
        }
        let slot = Slot::default();
        all.push((sizes, Arc::clone(&slot)));
        slot
    }
}

impl fmt::Debug for SharedModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedModels")
    }
}
