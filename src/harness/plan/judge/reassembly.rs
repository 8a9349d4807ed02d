//! Whether the claimed shares of a tensor are disjoint and make up the whole, by interval arithmetic alone.

use super::finding::Finding;
use crate::harness::plan::cut::Cut;
use crate::harness::plan::layout::Entry;
use crate::harness::plan::rule::Rule;
use crate::harness::plan::share::Share;

/// Compares the shares of the ranks of one stage. Ranks that should hold the same part of a block, as key heads
/// that are replicated, are looked at once; a block is looked at alone, because only keys may be replicated.
pub(super) fn check(entry: &Entry, cut: &Cut, shares: &[&Share]) -> Option<Finding> {
    let finding = |expected: String, found: String| {
        Some(Finding::new(Rule::Reassembles, expected, found).tensor(&entry.declared.name))
    };
    if let Some(at) = shares.iter().position(|share| share.repeats()) {
        let found = format!("{} of rank {at} of the group", shares[at]);
        return finding("every element once".to_owned(), found);
    }
    let side = entry.declared.shape[cut.dimension].max(1);
    let others = entry.declared.shape.iter().product::<u64>() / side;
    for block in &cut.blocks {
        let bound = block.whole();
        let parts: Vec<(usize, Share)> = shares
            .iter()
            .enumerate()
            .step_by(block.repeat as usize)
            .map(|(rank, share)| (rank, share.within(cut.dimension, bound)))
            .collect();
        for (at, (rank, part)) in parts.iter().enumerate() {
            if let Some((other, twice)) = parts[..at].iter().find(|(_, other)| other.meets(part)) {
                let found =
                    format!("{twice} of rank {other} and {part} of rank {rank} of the group");
                return finding("shares without a common element".to_owned(), found);
            }
        }
        let held = parts.iter().fold(0, |sum: u64, (_, part)| sum.saturating_add(part.elements()));
        let whole = bound.len() * others;
        if held != whole {
            let dimension = cut.dimension;
            let expected = format!("all {whole} elements of {bound} of dimension {dimension}");
            return finding(expected, format!("{held} of them"));
        }
    }
    None
}
