//! Ranks that exchange their results in a wrong way.

use std::ops::Range;

use crate::loader::LoadDecisions;
use crate::loader::infer::forward::ranks::{Exchange, InOrder};

/// A loader whose ranks exchange their results in another way.
pub(super) struct Exchanges(pub(super) fn() -> Box<dyn Exchange>);

impl LoadDecisions for Exchanges {
    fn exchange(&self) -> Box<dyn Exchange> {
        (self.0)()
    }
}

/// Takes the part of the first rank for the sum.
pub(super) struct FirstPart;

impl Exchange for FirstPart {
    fn sum(&self, parts: &[Vec<f32>]) -> Vec<f32> {
        parts.first().cloned().unwrap_or_default()
    }
}

/// Divides a sum by the number of ranks.
pub(super) struct Mean;

impl Exchange for Mean {
    fn sum(&self, parts: &[Vec<f32>]) -> Vec<f32> {
        let sum = InOrder.sum(parts);
        sum.iter().map(|value| value / parts.len() as f32).collect()
    }
}

/// Lets every rank look up every word, modulo the words that it holds.
pub(super) struct Unmasked;

impl Exchange for Unmasked {
    fn row(&self, id: u32, held: &Range<usize>) -> Option<u32> {
        (!held.is_empty()).then(|| id % held.len() as u32)
    }
}

/// Puts the logits of the last rank first.
pub(super) struct Turned;

impl Exchange for Turned {
    fn join(&self, parts: &[(Vec<f32>, usize)]) -> Vec<f32> {
        let turned: Vec<_> = parts.iter().rev().cloned().collect();
        InOrder.join(&turned)
    }
}

/// Leaves the padding between the words of the ranks, so that later words have other numbers.
pub(super) struct Padded;

impl Exchange for Padded {
    fn join(&self, parts: &[(Vec<f32>, usize)]) -> Vec<f32> {
        let all: usize = parts.iter().map(|(_, words)| words).sum();
        let widest = parts.iter().map(|(_, words)| *words).max().unwrap_or(0);
        let rows = parts.first().map_or(0, |(values, words)| values.len() / (*words).max(1));
        let of_row = |row: usize| {
            // The padding comes first here, so that it is never beyond the vocabulary.
            let padded = parts.iter().flat_map(move |(values, words)| {
                let own = &values[row * words..][..*words];
                std::iter::repeat_n(0.0, widest - words).chain(own.iter().copied())
            });
            padded.take(all)
        };
        (0..rows).flat_map(of_row).collect()
    }
}

/// Begins each stage with states of zero.
pub(super) struct Anew;

impl Exchange for Anew {
    fn hand_on(&self, states: Vec<f32>) -> Vec<f32> {
        vec![0.0; states.len()]
    }
}
