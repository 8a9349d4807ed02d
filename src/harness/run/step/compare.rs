//! Compares an output, or the state after a layer, with the oracle's.

use crate::contract::inference::{Batch, State, Traced};
use crate::harness::record::{Basis, Check, Digits};
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// Largest difference of a layer's L2 norm from the oracle's, as a share. Source: PMAT-216.
const NORM: f64 = 1e-4;

/// Largest difference of a single value of a layer, relative to the layer's largest one.
const ELEMENT: f64 = 1e-4;

/// Checks values against the oracle's: each row may be off by `tolerance` times its largest value,
/// or times 1 where that is smaller.
pub fn output(
    case_run: &mut CaseRun<'_>,
    what: &str,
    found: &State,
    wanted: &State,
    tolerance: f64,
) -> Result<(), CaseEnd> {
    let shape = (format!("{:?}", wanted.shape), format!("{:?}", found.shape));
    case_run.check(Check::equal(format!("shape of {what}"), shape.0, shape.1, Basis::Observed))?;
    let width = wanted.shape.last().copied().unwrap_or(1).max(1);
    let mut worst = (0.0, 0);
    let rows = found.values.chunks(width).zip(wanted.values.chunks(width));
    for (row, (found, wanted)) in rows.enumerate() {
        let scale = wanted.iter().fold(1.0f64, |most, v| most.max(f64::from(v.abs())));
        for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
            let difference = f64::from((found - wanted).abs()) / scale;
            // A NaN counts as an infinite difference.
            let difference = if difference.is_nan() { f64::INFINITY } else { difference };
            if difference > worst.0 {
                worst = (difference, row * width + at);
            }
        }
    }
    let (far, at) = worst;
    let value = |of: &State| of.values.get(at).copied().unwrap_or(f32::NAN);
    case_run.context.note_most("largest difference of an embedding from the oracle", far);
    let texts = |digits: Digits| {
        let (far, found, wanted) = (digits.scientific(far, 2), value(found), value(wanted));
        (
            format!("at most {tolerance:e} off the oracle's"),
            format!("{far} off the oracle's, at value {at}: {found}, not {wanted}"),
        )
    };
    case_run.check(Check::measured(what, texts, Basis::Observed))
}

/// Sets the states at padding to zero, since they have no defined value. Attention whose window
/// holds only padding gives zeros in one implementation and a mean in another.
pub fn blank_padding(traced: &mut Traced, batch: &Batch) {
    let Batch::Tokens { rows, columns, mask, .. } = batch else { return };
    for state in
        traced.states.iter_mut().filter(|state| state.shape.starts_with(&[*rows, *columns]))
    {
        let width = state.values.len() / mask.len().max(1);
        let tokens = state.values.chunks_mut(width.max(1)).zip(mask);
        tokens.filter(|(_, kept)| **kept == 0).for_each(|(token, _)| token.fill(0.0));
    }
}

/// Checks every state that the oracle names.
pub fn trace(case_run: &mut CaseRun<'_>, found: &Traced, wanted: &Traced) -> Result<(), CaseEnd> {
    for wanted in &wanted.states {
        let name = &wanted.name;
        let Some(found) = found.states.iter().find(|state| state.name == *name) else {
            let what = format!("state {name}");
            return case_run.check(Check::broken(what, "traced", "missing", Basis::Observed));
        };
        let shape = (format!("{:?}", wanted.shape), format!("{:?}", found.shape));
        let what = format!("shape of {name}");
        case_run.check(Check::equal(what, shape.0, shape.1, Basis::Observed))?;
        let norm =
            |state: &State| state.values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let (own, theirs) = (norm(wanted), norm(found));
        let share = (theirs - own).abs() / own.max(1e-12);
        let most = wanted.values.iter().fold(0f32, |most, value| most.max(value.abs()));
        let far = found.values.iter().zip(&wanted.values).fold(0f64, |far, (a, b)| {
            let difference = f64::from((a - b).abs());
            if difference.is_nan() { f64::INFINITY } else { far.max(difference) }
        }) / f64::from(most).max(1e-12);
        case_run
            .context
            .note_most("largest difference of a layer's L2 norm from the oracle's", share);
        let texts = |digits: Digits| {
            let (share, far) = (digits.scientific(share, 2), digits.scientific(far, 2));
            (
                format!("L2 norm below {NORM:e} off, values below {ELEMENT:e} of the largest"),
                format!("L2 norm {share} off, values {far} of the largest"),
            )
        };
        case_run.check(Check::measured(format!("state {name}"), texts, Basis::Observed))?;
    }
    Ok(())
}

/// Checks that two outputs have the same bits.
pub fn same_bits(
    case_run: &mut CaseRun<'_>,
    what: &str,
    first: &State,
    again: &State,
) -> Result<(), CaseEnd> {
    let apart =
        first.values.iter().zip(&again.values).position(|(a, b)| a.to_bits() != b.to_bits());
    let found = match apart {
        None if first.shape == again.shape => Ok(String::new()),
        None => Err(format!("shape {:?}, then {:?}", first.shape, again.shape)),
        Some(at) => Err(format!("value {at}: {}, then {}", first.values[at], again.values[at])),
    };
    case_run.check(Check::judged(what, "the same bits", found, Basis::Observed))
}

/// Checks an output against its golden reference: the absolute difference of each value must be at
/// most the tolerance.
pub fn golden(
    case_run: &mut CaseRun<'_>,
    id: &str,
    found: &State,
    wanted: &State,
    tolerance: f64,
) -> Result<(), CaseEnd> {
    let shape = (format!("{:?}", wanted.shape), format!("{:?}", found.shape));
    case_run.check(Check::equal(format!("shape of {id}"), shape.0, shape.1, Basis::Observed))?;
    let far = found.values.iter().zip(&wanted.values).fold(0f64, |far, (a, b)| {
        let difference = f64::from((a - b).abs());
        if difference.is_nan() { f64::INFINITY } else { far.max(difference) }
    });
    case_run.context.note_most("largest difference from a golden", far);
    let texts = |digits: Digits| {
        let far = digits.scientific(far, 2);
        (format!("at most {tolerance:e} off, absolute"), format!("{far} off, absolute"))
    };
    case_run.check(Check::measured(format!("{id} against its golden"), texts, Basis::Observed))
}
