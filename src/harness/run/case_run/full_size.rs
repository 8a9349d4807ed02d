//! The full-size model. It is made once and handed from case to case, because making it takes
//! longer than most cases do.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::model::PlacedModel;

/// Holds the model between two cases, in all runs that share the setting.
#[derive(Clone, Default)]
pub struct FullSize(Arc<Mutex<Option<PlacedModel>>>);

impl FullSize {
    /// Takes the model, if an earlier case has left it.
    pub fn take(&self) -> Option<PlacedModel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Leaves the model for the next case.
    pub fn leave(&self, model: PlacedModel) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(model);
    }
}

impl fmt::Debug for FullSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FullSize")
    }
}
