//! The data-quality gates, which decide whether weights are admitted. Rules F-DATA-QUALITY-001 to
//! 004.
//!
//! # Definition
//!
//! *Values.* An element's value is that of its stored type (F16, BF16 or F32). Widening does not
//! change it. Zero means +0 or -0. Non-finite means NaN, +infinity or -infinity.
//!
//! *Kinds of tensor.* The first kind that fits applies. A name is split into segments at each `.`,
//! and segments are compared in lower case.
//!
//! 1. **Index**: I64, which holds no weights.
//! 2. **Empty**: no elements.
//! 3. **Buffer**: a mask, positions or a rotary table of an older export
//!    ([`buffers`](super::format::buffers)).
//! 4. **Scalar**: one element, whatever the shape.
//! 5. **Vector**: rank 0 or 1, and a bias by name: the last segment ends in `bias` or is `beta`.
//! 6. **Scale**: rank 0 or 1, and the weights of a norm by name: the last segment is `gamma`; or any
//!    segment contains `norm`, is `ln`, ends in `_ln`, or begins with `ln` followed by a digit or
//!    `_`.
//! 7. **Embedding**: the name contains `embed`, or any segment is `wte` or `wpe`.
//! 8. **Weight**: everything else.
//!
//! *Gates.* A gate checks only some kinds; all other kinds are exempt. All counts are exact and
//! include all elements of the tensor. n is the number of elements.
//!
//! | gate | checks | refuses |
//! |---|---|---|
//! | density | embedding | zeros x 2 >= n (50 %) |
//! | density | weight | zeros x 5 >= n x 4 (80 %) |
//! | non-finite | all but index, empty and buffer | any non-finite element |
//! | norm | embedding, weight, scale | root of the sum of squares (in F64) <= 1e-6 |
//! | variation | embedding, weight | every value equal to the first |
//! | spot check | embedding, weight | any of three windows that holds only zeros |
//!
//! *Windows* of the spot check: w = min(n, 64) consecutive elements in row-major order. They begin
//! at element min(floor(n x p / 100), n - w) for p = 10, 50 and 90.
//!
//! *Zeros that are sound* (`roles.rs`; `spec/gates.yaml` has the reasons). A token-type table of one
//! row, and the second matrix of a LoRA adapter, may hold zeros only: then no gate refuses them. In
//! an embedding, and in a head of a vocabulary, whole rows may be zeros: a window of zeros is refused
//! only if the rows that it touches hold another value. The density of such a table is still checked.
//!
//! *Order.* Gates run in the order of [`Gate::ALL`]; within a gate, tensors in the header's order.
//! The first refusal is reported. So an all-zero weight is refused for its density.
//!
//! # Reasons
//!
//! The thresholds 50 %, 80 %, 0, 1e-6 and the positions 10/50/90 % are those of the source
//! documents. The documents exempt norms and biases from variation, because a norm is initialised
//! with ones. We exempt biases from all gates but non-finite. An all-zero bias is common in sound
//! checkpoints, and it is constant, has 100 % zeros *and* has norm 0. So an exemption from
//! variation alone would not admit it. The weights of a norm may be constant, but zeros only would
//! remove what they scale. Scalars are exempt in the same way, because a single zero
//! would be 100 % zeros. A name alone does not exempt a matrix: an adaptive norm's projection is a
//! weight. One zero at a sampled position is no defect. But 64 zeros in a row, in a tensor that is
//! otherwise dense, are a sign of a wrong offset or of missing data.

mod roles;
mod scan;

pub use self::roles::{Kind, may_be_zero};
pub use self::scan::{POSITIONS, Scan, WINDOW, row_windows, windows};

use std::collections::BTreeSet;

use crate::contract::Phase;
use crate::contract::reply::{Gate, GateReport};

use super::error::{LoadError, Result, quote};
use super::format::safetensors::TensorInfo;
use crate::loader::remedies::Remedy;
use crate::loader::remedies::gates_and_golden::{CONSTANT, DENSITY, NON_FINITE, NORM, SPOT_CHECK};

/// L2 norms up to this one, inclusive, are refused. Source: F-DATA-QUALITY-003.
pub const MIN_NORM: f64 = 1e-6;

/// Applies one gate to one tensor of a kind that the gate checks.
///
/// # Errors
/// The gate's refusal, class `refused`, phase `admit`, with the tensor.
pub fn judge(gate: Gate, tensor: &TensorInfo, scan: &Scan) -> Result<()> {
    let refusal = |cause: Remedy, what: &str| {
        LoadError::refused(Phase::Admit, cause, format!("tensor {}: {what}", quote(&tensor.name)))
            .tensor(&tensor.name)
            .dtype(tensor.dtype)
    };
    let n = scan.elements();
    if gate != Gate::NonFinite && scan.zeros() == n && may_be_zero(tensor) {
        return Ok(());
    }
    match gate {
        Gate::Density => {
            let (dense, limit) = match Kind::of(tensor) {
                Kind::Embedding => (u128::from(scan.zeros()) * 2 < u128::from(n), 50),
                _ => (u128::from(scan.zeros()) * 5 < u128::from(n) * 4, 80),
            };
            if !dense {
                return Err(refusal(DENSITY, "too many zeros").expected(
                    format!("below {limit} % zeros"),
                    format!("{} zeros among {n} elements", scan.zeros()),
                ));
            }
        }
        Gate::NonFinite => {
            if let Some(first) = scan.first_non_finite() {
                return Err(refusal(NON_FINITE, "NaN or infinity among the weights").expected(
                    "finite values only",
                    format!(
                        "{} non-finite of {n} elements, the first at {first}",
                        scan.non_finite()
                    ),
                ));
            }
        }
        Gate::Norm => {
            // A NaN norm is refused too, in case this gate runs alone.
            if scan.norm().is_nan() || scan.norm() <= MIN_NORM {
                return Err(refusal(NORM, "L2 norm too small")
                    .expected(format!("above {MIN_NORM:e}"), format!("{:e}", scan.norm())));
            }
        }
        Gate::Variation => {
            if !scan.varies() {
                return Err(refusal(CONSTANT, "every value is the same")
                    .expected("at least two different values", "one value"));
            }
        }
        Gate::SpotCheck => {
            if let Some(window) = scan.empty_window() {
                return Err(refusal(SPOT_CHECK, "only zeros where it was sampled").expected(
                    "a value other than zero in every window",
                    format!(
                        "none in {} elements from {} on",
                        window.end - window.start,
                        window.start
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// Runs every gate over every tensor, and reports what each gate checked.
///
/// `judge` applies a gate to one tensor of a kind that the gate checks. It is [`judge`] unless a
/// decision replaces it.
///
/// # Errors
/// The first refusal. Its text counts the broken rules and the affected tensors.
pub fn run<'t>(
    tensors: impl Iterator<Item = (&'t TensorInfo, &'t Scan)>,
    mut judge: impl FnMut(Gate, &TensorInfo, &Scan) -> Result<()>,
) -> Result<Vec<GateReport>> {
    let (mut first, mut rules, mut broken) = (None, 0, BTreeSet::new());
    // A name is looked at once, not once for each gate.
    let tensors: Vec<(Kind, &TensorInfo, &Scan)> =
        tensors.map(|(tensor, scan)| (Kind::of(tensor), tensor, scan)).collect();
    let reports = Gate::ALL
        .into_iter()
        .map(|gate| {
            let mut report = GateReport { gate, checked: 0, exempt: 0, elements: 0 };
            let mut breaches = 0;
            for (kind, tensor, scan) in tensors.iter().copied() {
                if !kind.answers_to(gate) {
                    report.exempt += 1;
                    continue;
                }
                if let Err(refusal) = judge(gate, tensor, scan) {
                    first.get_or_insert(refusal);
                    broken.insert(tensor.name.clone());
                    breaches += 1;
                }
                report.checked += 1;
                report.elements +=
                    if gate == Gate::SpotCheck { scan.sampled() } else { scan.elements() };
            }
            rules += usize::from(breaches > 0);
            report
        })
        .collect();
    match first {
        None => Ok(reports),
        Some(refusal) => Err(refusal.breaches(rules, broken.len())),
    }
}

#[cfg(test)]
mod tests;
