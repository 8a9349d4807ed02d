//! One replica's part of a claim, beside the true plan.

use std::collections::{BTreeSet, HashMap};

use super::finding::Finding;
use crate::harness::plan::document::{Held, Rank};
use crate::harness::plan::grid::Place;
use crate::harness::plan::layout::{Entry, Plan};

/// One replica's part of a claim, while it is judged. Replicas have nothing to do with each other.
pub(super) struct Replica<'c> {
    /// The true plan, with the claim's own stages.
    pub(super) plan: Plan,
    /// Every rank's claim, by global rank.
    pub(super) claimed: &'c [Claimed<'c>],
    /// Layers that have not one stage of their own.
    pub(super) unowned: BTreeSet<u64>,
    pub(super) findings: Vec<Finding>,
}

/// What a rank claims.
pub(super) struct Claimed<'c> {
    /// Its true place.
    pub(super) place: Place,
    pub(super) rank: &'c Rank,
    /// What it claims to hold, by tensor.
    pub(super) held: HashMap<&'c str, Vec<&'c Held>>,
}

impl<'c> Claimed<'c> {
    pub(super) fn new(place: Place, rank: &'c Rank) -> Self {
        let mut held: HashMap<&str, Vec<&Held>> = HashMap::new();
        for one in &rank.tensors {
            held.entry(one.tensor.as_str()).or_default().push(one);
        }
        Claimed { place, rank, held }
    }

    /// What it claims to hold of a tensor.
    pub(super) fn of(&self, entry: &Entry) -> &[&'c Held] {
        self.held.get(entry.declared.name.as_str()).map_or(&[], Vec::as_slice)
    }
}

impl<'c> Replica<'c> {
    /// The ranks of each stage, in the order of their slices.
    pub(super) fn groups(&self) -> std::slice::Chunks<'c, Claimed<'c>> {
        self.claimed.chunks(self.plan.grid.tp() as usize)
    }
}
