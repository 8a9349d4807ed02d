//! A quantised model beside the one that it was made of.

use super::super::encoder::{batch, fault, known};
use crate::contract::encoder::{Input, TracedForward};
use crate::harness::case::formats::Drift;
use crate::harness::oracle::encoder::{Oracle, Precision};
use crate::harness::record::{Basis, Check};
use crate::harness::run::attempt::{Attempt, Stop};

/// Elements of a block, at most.
const BLOCK: usize = 256;

/// How far one lot of values lies from another.
struct Distance {
    /// Largest difference of an element, as a share of the largest element of its group.
    element: f64,
    /// Largest difference of a norm, as a share.
    norm: f64,
}

/// Compares matrices and logits.
///
/// # Errors
/// Why the case ends here.
pub fn drift(attempt: &mut Attempt<'_>, step: &Drift) -> Result<(), Stop> {
    let (handle, file) = {
        let model = attempt.model(&step.model)?;
        (model.handle, model.file.clone())
    };
    let seed = attempt.seed(&format!("input {}", attempt.steps.len()));
    attempt.begin(format!("compare {} with {}, unquantised", step.model, step.from));
    let weights = attempt.gathering(|attempt| {
        let (own, first) = (known(attempt, &file)?, known(attempt, &step.from)?);
        let mut most = Distance { element: 0.0, norm: 0.0 };
        for tensor in &first.model.tensors {
            let quantised = own.model.tensor(&tensor.name);
            let quantised =
                quantised.ok_or_else(|| Stop::Fault(format!("{} was not written", tensor.name)))?;
            most.stretch(&Distance::of(&quantised.values(), &tensor.values(), BLOCK));
        }
        Ok(most)
    })?;
    judge(attempt, step, "matrices", &weights)?;
    let path = attempt.scratch_file();
    let (wanted, width) = attempt.gathering(|attempt| {
        let first = known(attempt, &step.from)?;
        let batch = batch::random(&first.recipe, step.rows, Some(12), seed);
        batch::write(&batch, &path)?;
        let mut oracle = Oracle::new(&first.model, Precision::F64).map_err(fault)?;
        let wanted = oracle.forward(&batch, false).map_err(fault)?.output;
        Ok((wanted, first.vocabulary()))
    })?;
    let given = match batch::ask(attempt, handle, Input::File(path), false)? {
        Ok(given) => given.output,
        Err(failure) => return Err(attempt.unexpected("embedded", &failure)),
    };
    let (shape, found) = (format!("{:?}", wanted.shape), format!("{:?}", given.shape));
    attempt.check(Check::equal("shape of the logits", shape, found, Basis::Observed))?;
    let logits = Distance::of(&given.values, &wanted.values, width);
    judge(attempt, step, "logits", &logits)
}

fn judge(
    attempt: &mut Attempt<'_>,
    step: &Drift,
    what: &str,
    found: &Distance,
) -> Result<(), Stop> {
    let (element, norm) = (step.element * 100.0, step.norm * 100.0);
    let held = found.element <= step.element && found.norm < step.norm;
    attempt.check(Check::of(
        format!("{what} beside the unquantised"),
        format!("elements within {element} % of the largest, L2 norms within {norm} %"),
        format!("elements {:.3} % off, norms {:.3} %", found.element * 100.0, found.norm * 100.0),
        held,
        Basis::Observed,
    ))
}

impl Distance {
    /// Elements in groups of so many, norms of all.
    fn of(found: &[f32], wanted: &[f32], group: usize) -> Distance {
        let mut most = Distance { element: 0.0, norm: 0.0 };
        let norm =
            |all: &[f32]| all.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        for (found, wanted) in found.chunks(group).zip(wanted.chunks(group)) {
            let largest = wanted.iter().fold(0f64, |most, value| most.max(f64::from(value.abs())));
            for (found, wanted) in found.iter().zip(wanted) {
                let far = f64::from((found - wanted).abs()) / largest.max(1e-30);
                most.element = if far.is_nan() { f64::INFINITY } else { most.element.max(far) };
            }
        }
        let far = (norm(found) / norm(wanted).max(1e-30) - 1.0).abs();
        most.norm = if far.is_nan() { f64::INFINITY } else { far };
        most
    }

    fn stretch(&mut self, other: &Distance) {
        self.element = self.element.max(other.element);
        self.norm = self.norm.max(other.norm);
    }
}
