//! Which tensors and elements the data-quality gates must check in a file, and which tensors they
//! must refuse.
//!
//! A tensor's kind is the first of these that applies (`roles.rs`). *Index*: dtype I64. *Empty*: no
//! elements. *Buffer*: computed by its module, and stored by older exports only. *Scalar*: one
//! element. *Bias* and *norm weight*: rank at most one, and named so. *Embedding*: named as one.
//! *Weight*: the rest. Names are split at dots. The non-finite gate checks every tensor except index,
//! empty and buffer; the norm gate checks norm weights, embeddings and weights; every other gate
//! checks embeddings and weights only.
//!
//! Thresholds (F-DATA-QUALITY-001 to 004): an embedding is refused if at least 50 % of its
//! elements are zero, a weight if at least 80 % are. The L2 norm must exceed 1e-6. The values must
//! not all be equal. The spot check reads three windows of up to 64 elements, which start at 10, 50
//! and 90 % of the tensor, or earlier if they would pass its end. Each window must have a non-zero
//! element. Zeros that are normal for a tensor's role are no fault: a tensor that may be all zeros is
//! not refused if it is, and in a table of tokens a window may lie in whole rows of zeros.

mod roles;

use rayon::prelude::*;

use self::roles::{Kind, kind, looks_at, rows_of_zeros_are_sound, zeros_alone_are_sound};
use super::widen;
use crate::contract::DType;
use crate::contract::reply::Gate;

/// The L2 norm must be above this.
const LEAST_NORM: f64 = 1e-6;
/// Longest window of the spot check, in elements.
const WINDOW: u64 = 64;
/// Bytes that one task checks; a multiple of every dtype's element size.
const SHARE: usize = 4 << 20;

/// The gates' correct result for one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateTruth {
    /// One for each gate, in the order of [`Gate::ALL`].
    pub counts: Vec<GateCount>,
    /// One for each tensor, in the order given.
    pub verdicts: Vec<Verdict>,
}

/// What one gate must have checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateCount {
    /// The gate.
    pub gate: Gate,
    /// Number of tensors it checks.
    pub checked: u64,
    /// Number of tensors that the rules exempt from it.
    pub exempt: u64,
    /// Least number of elements it must have checked.
    pub least_elements: u64,
    /// Largest number of elements it may have checked. It differs from `least_elements` for the
    /// spot check only: the windows of a short tensor overlap, and a loader may check the whole
    /// tensor.
    pub most_elements: u64,
}

/// The correct result for one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The tensor.
    pub tensor: String,
    /// The gates that refuse it; empty if none does.
    pub refused_by: Vec<Gate>,
}

pub use self::roles::is_buffer;

/// One tensor of a file.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// Name.
    pub name: &'a str,
    /// Element type. I64 holds no weights and is exempt from every gate.
    pub dtype: DType,
    /// Shape.
    pub shape: &'a [u64],
    /// Bytes as stored.
    pub bytes: &'a [u8],
}

impl GateTruth {
    /// Computes the result for the tensors of a file, given in the header's order.
    pub fn of<'a>(tensors: impl IntoIterator<Item = Weights<'a>>) -> GateTruth {
        let mut counts: Vec<GateCount> = Gate::ALL
            .into_iter()
            .map(|gate| GateCount {
                gate,
                checked: 0,
                exempt: 0,
                least_elements: 0,
                most_elements: 0,
            })
            .collect();
        let mut verdicts = Vec::new();
        for tensor in tensors {
            let elements: u64 = tensor.shape.iter().product();
            let kind = kind(tensor.name, tensor.dtype, tensor.shape);
            for count in &mut counts {
                if !looks_at(count.gate, kind) {
                    count.exempt += 1;
                    continue;
                }
                count.checked += 1;
                let spots = windows(elements);
                (count.least_elements, count.most_elements) = if count.gate == Gate::SpotCheck {
                    let distinct = distinct(&spots);
                    let most = elements.max(spots.iter().map(|spot| spot.1 - spot.0).sum());
                    (count.least_elements + distinct, count.most_elements + most)
                } else {
                    (count.least_elements + elements, count.most_elements + elements)
                };
            }
            verdicts.push(Verdict {
                tensor: tensor.name.to_owned(),
                refused_by: refusals(&tensor, kind, elements),
            });
        }
        GateTruth { counts, verdicts }
    }

    /// Whether no gate refuses a tensor.
    pub fn admits(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.refused_by.is_empty())
    }

    /// The refusal that a loader must report: the first gate in the order of [`Gate::ALL`] that
    /// refuses a tensor, and the first tensor that it refuses.
    pub fn first_refusal(&self) -> Option<(Gate, &str)> {
        Gate::ALL.into_iter().find_map(|gate| {
            let refused = self.verdicts.iter().find(|v| v.refused_by.contains(&gate))?;
            Some((gate, refused.tensor.as_str()))
        })
    }
}

/// The spot check's windows, each as (first element, one past the last element).
fn windows(elements: u64) -> [(u64, u64); 3] {
    let length = elements.min(WINDOW);
    [10, 50, 90].map(|percent| {
        // In 128 bits, since a shape may claim nearly 2^64 elements.
        let place = (u128::from(elements) * percent / 100) as u64;
        let start = place.min(elements - length);
        (start, start + length)
    })
}

/// Number of different elements that the windows cover. The windows are in ascending order.
fn distinct(windows: &[(u64, u64); 3]) -> u64 {
    let mut covered = 0;
    let mut end = 0;
    for (first, past) in windows {
        covered += past.saturating_sub(end.max(*first));
        end = end.max(*past);
    }
    covered
}

/// Statistics of a run of elements.
#[derive(Clone, Copy, Default)]
struct Seen {
    elements: u64,
    zeros: u64,
    non_finite: u64,
    squares: f64,
    first: Option<f32>,
    varies: bool,
}

impl Seen {
    fn of(dtype: DType, bytes: &[u8]) -> Seen {
        let mut seen = Seen::default();
        widen::for_each_value(dtype, bytes, |value| {
            seen.elements += 1;
            seen.zeros += u64::from(value == 0.0);
            seen.non_finite += u64::from(!value.is_finite());
            seen.squares += f64::from(value) * f64::from(value);
            // A NaN equals nothing, not even itself, so it always counts as a different value.
            seen.varies |= value != *seen.first.get_or_insert(value);
        });
        seen
    }

    /// The statistics of this run and the one that follows it, as one run.
    fn and(self, next: Seen) -> Seen {
        let differ = self.first.zip(next.first).is_some_and(|(a, b)| a != b);
        Seen {
            elements: self.elements + next.elements,
            zeros: self.zeros + next.zeros,
            non_finite: self.non_finite + next.non_finite,
            squares: self.squares + next.squares,
            first: self.first.or(next.first),
            varies: self.varies || next.varies || differ,
        }
    }
}

fn refusals(tensor: &Weights, kind: Kind, elements: u64) -> Vec<Gate> {
    let width = (tensor.dtype.bits() / 8) as usize;
    let parts: Vec<Seen> =
        tensor.bytes.par_chunks(SHARE).map(|part| Seen::of(tensor.dtype, part)).collect();
    let Seen { elements: at, zeros, non_finite, squares, varies, .. } =
        parts.into_iter().fold(Seen::default(), Seen::and);
    let all_zero = |(first, past): (u64, u64)| {
        let window = tensor.bytes.get(first as usize * width..past as usize * width);
        let seen = Seen::of(tensor.dtype, window.unwrap_or_default());
        seen.zeros == seen.elements
    };
    let by_row = rows_of_zeros_are_sound(tensor.name, tensor.shape, kind);
    let row = tensor.shape.last().copied().unwrap_or(1).max(1);
    let is_hole = |(first, past): (u64, u64)| {
        let rows = (first - first % row, past.next_multiple_of(row).min(elements));
        all_zero((first, past)) && !(by_row && all_zero(rows))
    };
    let has_hole = windows(elements).into_iter().any(is_hole);
    let zeros_are_sound = zeros == at && zeros_alone_are_sound(tensor.name, tensor.shape);
    let too_many_zeros = match kind {
        Kind::Embedding => zeros * 2 >= elements,
        _ => zeros * 5 >= elements * 4,
    };
    Gate::ALL
        .into_iter()
        .filter(|gate| looks_at(*gate, kind) && at > 0)
        .filter(|gate| match gate {
            Gate::NonFinite => non_finite > 0,
            _ if zeros_are_sound => false,
            Gate::Density => too_many_zeros,
            Gate::Norm => squares.sqrt() <= LEAST_NORM,
            Gate::Variation => !varies,
            Gate::SpotCheck => has_hole,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, shape: &[u64], values: &[f32]) -> Vec<Gate> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let weights = Weights { name, dtype: DType::F32, shape, bytes: &bytes };
        GateTruth::of([weights]).verdicts.remove(0).refused_by
    }

    #[test]
    fn shares_are_judged_as_one_tensor() {
        let share = SHARE / 4;
        let shape = [2 * share as u64 + 3];
        let mut values = vec![1.0; 2 * share + 3];
        assert_eq!(refused("w", &shape, &values), [Gate::Variation]);
        // Each share is constant, but the tensor is not.
        values[share..].fill(2.0);
        assert_eq!(refused("w", &shape, &values), []);
        // Only the first share reaches the limit of zeros; the whole tensor does not.
        values[..share].fill(0.0);
        values[share..].iter_mut().step_by(3).for_each(|value| *value = 3.0);
        assert_eq!(refused("w", &shape, &values), [Gate::SpotCheck]);
        values[share..2 * share - share / 4].fill(0.0);
        assert_eq!(refused("w", &shape, &values), [Gate::Density, Gate::SpotCheck]);
        values[2 * share + 1] = f32::NAN;
        let all = [Gate::Density, Gate::NonFinite, Gate::SpotCheck];
        assert_eq!(refused("w", &shape, &values), all);
    }

    #[test]
    fn thresholds_are_where_the_documents_put_them() {
        let zeros = |count: usize| {
            let mut values: Vec<f32> = (0..100).map(|i| 1.0 + i as f32).collect();
            // Every other element first, so that no window is all zeros.
            let order = (0..100).step_by(2).chain((1..100).step_by(2));
            order.take(count).for_each(|i| values[i] = 0.0);
            values
        };
        assert_eq!(refused("embed.weight", &[10, 10], &zeros(49)), []);
        assert_eq!(refused("embed.weight", &[10, 10], &zeros(50)), [Gate::Density]);
        assert_eq!(refused("w", &[10, 10], &zeros(79)), []);
        assert_eq!(refused("w", &[10, 10], &zeros(80)), [Gate::Density]);
        assert_eq!(refused("w", &[2], &[9e-7, 1e-7]), [Gate::Norm]);
        assert_eq!(refused("w", &[2], &[1e-6, 1e-7]), []);
        assert_eq!(refused("w", &[2], &[1.0, 1.0]), [Gate::Variation]);
        assert_eq!(refused("norm.weight", &[2], &[1.0, 1.0]), []);
        assert_eq!(refused("norm.weight", &[2], &[0.0, 0.0]), [Gate::Norm]);
        assert_eq!(refused("norm.bias", &[2], &[0.0, 0.0]), []);
        assert_eq!(refused("bias", &[2], &[0.0, f32::NAN]), [Gate::NonFinite]);
    }

    #[test]
    fn a_run_of_zeros_over_a_window_is_seen() {
        let holed = |from: usize, to: usize| {
            let mut values: Vec<f32> = (0..1000).map(|i| 1.0 + i as f32).collect();
            values[from..to].fill(0.0);
            refused("w", &[1000], &values)
        };
        assert_eq!(holed(100, 164), [Gate::SpotCheck]);
        assert_eq!(holed(500, 564), [Gate::SpotCheck]);
        assert_eq!(holed(900, 964), [Gate::SpotCheck]);
        assert_eq!(holed(100, 163), []);
        assert_eq!(holed(200, 490), []);
    }

    #[test]
    fn whole_rows_of_zeros_are_tokens_that_are_not_in_use() {
        let zeroed = |name: &str, from: usize, to: usize| {
            let mut values: Vec<f32> = (0..21 * 47).map(|i| 1.0 + i as f32).collect();
            values[from..to].fill(0.0);
            refused(name, &[21, 47], &values)
        };
        // The first window is [98, 162), in the third and the fourth row.
        assert_eq!(zeroed("embed.weight", 2 * 47, 4 * 47), []);
        assert_eq!(zeroed("lm_head.weight", 2 * 47, 4 * 47), []);
        assert_eq!(zeroed("embed.weight", 98, 162), [Gate::SpotCheck]);
        assert_eq!(zeroed("embed.weight", 2 * 47 + 1, 4 * 47), [Gate::SpotCheck]);
        assert_eq!(zeroed("embed.weight", 2 * 47, 4 * 47 - 1), [Gate::SpotCheck]);
        assert_eq!(zeroed("w", 2 * 47, 4 * 47), [Gate::SpotCheck]);
    }

    #[test]
    fn counts_name_what_was_looked_at() {
        let bytes = vec![0x3f; 400];
        let weights = |name, shape| Weights { name, dtype: DType::F32, shape, bytes: &bytes };
        let truth = GateTruth::of([
            weights("a.weight", &[10, 10]),
            weights("a.bias", &[100]),
            Weights { bytes: &[], ..weights("none", &[0]) },
        ]);
        let non_finite = truth.counts[1];
        assert_eq!((non_finite.checked, non_finite.exempt, non_finite.least_elements), (2, 1, 200));
        let spot = truth.counts[4];
        assert_eq!((spot.checked, spot.exempt), (1, 2));
        // Windows [10, 74), [36, 100) and [36, 100).
        assert_eq!((spot.least_elements, spot.most_elements), (90, 192));
        assert_eq!(truth.first_refusal(), Some((Gate::Variation, "a.weight")));
    }
}
