//! Measures how much a quantised model differs from the model that it was made from.

use crate::contract::inference::{Input, TracedForward};
use crate::harness::case::formats::Drift;
use crate::harness::oracle::forward::{Oracle, Precision};
use crate::harness::record::{Basis, Check, Digits};
use crate::harness::run::case_run::{CaseEnd, CaseRun, oracle_fault};
use crate::harness::run::step::batch;

/// Elements of a block, at most.
const BLOCK: usize = 256;

/// Differences between two sets of values, as shares.
struct Distance {
    /// Root mean square of a group's differences, divided by its largest element: the largest of
    /// all groups.
    typical: f64,
    /// Largest difference of an element, divided by its group's largest element.
    worst: f64,
    /// Difference of the norms.
    norm: f64,
}

/// Compares matrices and logits.
///
/// # Errors
/// Why the case ends here.
pub fn drift(case_run: &mut CaseRun<'_>, step: &Drift) -> Result<(), CaseEnd> {
    let (handle, file) = {
        let model = case_run.model(&step.model)?;
        (model.handle, model.file.clone())
    };
    let seed = case_run.seed(&format!("input {}", case_run.steps.len()));
    case_run.begin(format!("compare {} with {}, unquantised", step.model, step.from));
    let weights = case_run.gathering(|case_run| {
        let (own, first) = (case_run.placed_model(&file)?, case_run.placed_model(&step.from)?);
        let mut most = Distance::NONE;
        for tensor in &first.model.tensors {
            let quantised = own.model.tensor(&tensor.name);
            let quantised = quantised
                .ok_or_else(|| CaseEnd::Fault(format!("{} was not written", tensor.name)))?;
            most.stretch(&Distance::of(&quantised.values(), &tensor.values(), BLOCK));
        }
        Ok(most)
    })?;
    judge(case_run, "matrices", &weights, Some(step.element), step.norm)?;
    let path = case_run.input_file();
    let (wanted, gives, width) = case_run.gathering(|case_run| {
        let first = case_run.placed_model(&step.from)?;
        let batch = batch::random(&first.recipe, step.rows, Some(12), seed);
        batch::write(&batch, &path)?;
        let mut oracle = Oracle::new(&first.model, Precision::F64).map_err(oracle_fault)?;
        let wanted = oracle.forward(&batch, false).map_err(oracle_fault)?.output;
        Ok((wanted, first.gives(), first.vocabulary()))
    })?;
    let given = match batch::ask(case_run, (handle, gives), Input::File(path), false)? {
        Ok(given) => given.output,
        Err(failure) => return Err(case_run.unexpected("an output", &failure)),
    };
    let (shape, found) = (format!("{:?}", wanted.shape), format!("{:?}", given.shape));
    case_run.check(Check::equal("shape of the logits", shape, found, Basis::Observed))?;
    let logits = Distance::of(&given.values, &wanted.values, width);
    judge(case_run, "logits", &logits, None, step.norm)
}

fn judge(
    case_run: &mut CaseRun<'_>,
    what: &str,
    found: &Distance,
    element: Option<f64>,
    norm: f64,
) -> Result<(), CaseEnd> {
    let texts = |digits: Digits| {
        let (typical, apart) =
            (digits.fixed(found.typical * 100.0, 2), digits.fixed(found.norm * 100.0, 4));
        let typical = format!("elements {typical} % off by root mean square");
        let worst = format!("elements {:.2} % off at most", found.worst * 100.0);
        let wanted = format!("L2 norms below {} % apart", norm * 100.0);
        let apart = format!("L2 norms {apart} % apart");
        match element {
            None => (wanted, format!("{apart}, {typical}, {worst}")),
            Some(most) => (
                format!("elements at most {} % off by root mean square, {wanted}", most * 100.0),
                format!("{typical}, {apart}, {worst}"),
            ),
        }
    };
    let what = format!("{what} compared with the unquantised");
    case_run.check(Check::measured(what, texts, Basis::Observed))
}

impl Distance {
    const NONE: Distance = Distance { typical: 0.0, worst: 0.0, norm: 0.0 };

    /// Compares elements in groups of `group`, and the norms of all values.
    fn of(found: &[f32], wanted: &[f32], group: usize) -> Distance {
        let squares =
            |all: &mut dyn Iterator<Item = f64>| all.map(|value| value * value).sum::<f64>();
        let norm = |all: &[f32]| squares(&mut all.iter().map(|value| f64::from(*value))).sqrt();
        // A NaN counts as an infinite difference.
        let far = |share: f64| if share.is_nan() { f64::INFINITY } else { share };
        let mut most = Distance::NONE;
        for (found, wanted) in found.chunks(group).zip(wanted.chunks(group)) {
            let largest = wanted.iter().fold(1e-30f64, |most, v| most.max(f64::from(v.abs())));
            let differences = || found.iter().zip(wanted).map(|(a, b)| f64::from(a - b));
            let typical = (squares(&mut differences()) / wanted.len() as f64).sqrt();
            let worst = differences().fold(0.0, |most: f64, off| most.max(far(off.abs())));
            most.typical = most.typical.max(far(typical / largest));
            most.worst = most.worst.max(worst / largest);
        }
        most.norm = far((norm(found) / norm(wanted).max(1e-30) - 1.0).abs());
        most
    }

    fn stretch(&mut self, other: &Distance) {
        self.typical = self.typical.max(other.typical);
        self.worst = self.worst.max(other.worst);
        self.norm = self.norm.max(other.norm);
    }
}

#[cfg(test)]
mod tests {
    use super::Distance;

    #[test]
    fn distances_by_hand() {
        let far = Distance::of(&[1.0, -4.0, 0.0, 5.0], &[1.0, -4.0, 0.0, 4.0], 2);
        assert_eq!((far.worst, far.typical), (0.25, (0.5f64).sqrt() / 4.0));
        assert!((far.norm - ((42.0f64 / 33.0).sqrt() - 1.0)).abs() < 1e-12);
        assert_eq!(Distance::of(&[f32::NAN], &[1.0], 1).worst, f64::INFINITY);
    }
}
