//! The [`Mutant`] type, and a helper that builds one from the reference loader with replaced steps.

use crate::contract::Loader;
use crate::loader::{LoadDecisions, ReferenceLoader};

/// A loader that tells one lie.
pub struct Mutant {
    /// The name, as given to `weighbridge mutant`.
    pub name: &'static str,
    /// What the mutant does wrong: a phrase that follows "the loader".
    pub lie: &'static str,
    /// The real program, issue or kind of code that had this defect.
    pub seen_in: &'static str,
    /// Whether the lie needs a GPU. Such a mutant is honest on a host without one.
    pub needs_gpu: bool,
    /// Creates the loader.
    pub make: fn() -> Box<dyn Loader + Send>,
}

/// Mutants whose lie is that a request gets no answer. An audit waits for every other one as long as for an
/// honest loader, because a busy machine must not decide what a mutant shows.
const SILENT: &[&str] =
    &["hang", "lost-rank-waited-for", "machine-locked-in-load", "template-endless"];

/// Mutants whose lie is about a rank beside others. On GPUs, ranks are beside each other only where each has a card.
const OF_RANKS: &[&str] = &[
    "lost-rank-of-neighbour",
    "lost-rank-as-zeros",
    "lost-ranks-left-running",
    "lost-rank-told-as-loaded",
    "slow-rank-not-waited-for",
];

/// Mutants whose lie is about processes that hold weights in host memory. A run that loads onto a GPU does not try it.
const OF_HOST: &[&str] = &["segment-by-number"];

impl Mutant {
    /// Whether its lie is about host memory alone.
    pub fn needs_host(&self) -> bool {
        OF_HOST.contains(&self.name)
    }

    /// Whether its lie is about a rank beside others.
    pub fn needs_ranks(&self) -> bool {
        OF_RANKS.contains(&self.name)
    }

    /// Whether its lie is that a request gets no answer.
    pub fn is_silent(&self) -> bool {
        SILENT.contains(&self.name)
    }
}

/// Creates the reference loader with `steps` as its decisions.
pub(super) fn reference(decisions: impl LoadDecisions + 'static) -> Box<dyn Loader + Send> {
    Box::new(ReferenceLoader::with_decisions(Box::new(decisions)))
}
