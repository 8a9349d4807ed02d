//! The full-size model, made once and handed from case to case: to make it takes longer than most cases do.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::harness::run::PlacedModel;

/// The place where a case leaves it for the next one, whichever run with the same setting that is in.
#[derive(Clone, Default)]
pub struct FullSize(Arc<Mutex<Option<PlacedModel>>>);

impl FullSize {
    /// Takes it, where a case before has left it.
    pub fn take(&self) -> Option<PlacedModel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Leaves it for the next case.
    pub fn leave(&self, model: PlacedModel) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(model);
    }
}

impl fmt::Debug for FullSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FullSize")
    }
}
