//! What a mutant is, and the reference loader with one decision replaced, which most of them are.

use crate::contract::Loader;
use crate::loader::{LoadDecisions, ReferenceLoader};

/// A loader that tells one lie.
pub struct Mutant {
    /// Its name.
    pub name: &'static str,
    /// The lie, in one sentence.
    pub lie: &'static str,
    /// Where it was seen.
    pub seen_in: &'static str,
    /// Whether its lie is about GPU memory, so that it tells none on the host.
    pub needs_gpu: bool,
    /// Makes one.
    pub make: fn() -> Box<dyn Loader + Send>,
}

/// The reference loader with these decisions.
pub(super) fn reference(decisions: impl LoadDecisions + 'static) -> Box<dyn Loader + Send> {
    Box::new(ReferenceLoader::with_decisions(Box::new(decisions)))
}
