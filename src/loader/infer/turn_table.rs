//! Cosines and sines of rotary positions that a model keeps.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Positions below this are kept. A thousand of them take milliseconds to compute, as long as a
/// device takes to run some layers.
const MOST_KEPT: usize = 1 << 15;

/// The turns that a model has computed, for the next pass. A clone shares them.
#[derive(Clone, Debug, Default)]
pub struct TurnTable(Arc<Mutex<Kept>>);

/// Turns of the first positions, and the frequencies that they belong to.
#[derive(Debug, Default)]
struct Kept {
    frequencies: Vec<f32>,
    turns: Vec<f32>,
}

impl TurnTable {
    /// Cosine and sine for each position and frequency, `[positions, frequencies, 2]`. Angles are in F32,
    /// as in training.
    pub fn find(&self, frequencies: &[f32], positions: Range<usize>) -> Vec<f32> {
        if positions.end > MOST_KEPT {
            return computed(frequencies, positions);
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.frequencies != frequencies {
            *kept = Kept { frequencies: frequencies.to_vec(), turns: Vec::new() };
        }
        let each = frequencies.len() * 2;
        let there = kept.turns.len() / each.max(1);
        if there < positions.end {
            kept.turns.extend(computed(frequencies, there..positions.end));
        }
        kept.turns[positions.start * each..positions.end * each].to_vec()
    }
}

fn computed(frequencies: &[f32], positions: Range<usize>) -> Vec<f32> {
    let turn = |position: usize, frequency: &f32| {
        let angle = f64::from(position as f32 * frequency);
        [angle.cos() as f32, angle.sin() as f32]
    };
    positions.flat_map(|position| frequencies.iter().flat_map(move |f| turn(position, f))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_would_be_computed() {
        let (table, frequencies) = (TurnTable::default(), [1.0, 0.25, 1e-3]);
        for positions in [3..5, 0..2, 0..9, 8..9, 4..4, MOST_KEPT - 1..MOST_KEPT + 1] {
            let wanted = computed(&frequencies, positions.clone());
            assert_eq!(table.find(&frequencies, positions.clone()), wanted, "{positions:?}");
        }
    }

    #[test]
    fn other_frequencies_have_other_turns() {
        let table = TurnTable::default();
        for frequencies in [&[1.0, 0.5][..], &[1.0, 0.25], &[0.5], &[]] {
            assert_eq!(table.find(frequencies, 0..7), computed(frequencies, 0..7));
        }
    }
}
