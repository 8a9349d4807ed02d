//! `InferenceValidator`, as named in TECH-EMB-002: the check that a model must pass before it is
//! warm.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::contract::Phase;
use crate::contract::request::Validate;

use crate::loader::decisions::Honest;
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};
use crate::loader::load::model::Model;
use crate::loader::remedies::gates_and_golden::GOLDEN_NOT_FINITE;
use crate::loader::verbs::forward;
use crate::loader::verbs::golden;

/// Tolerance for F32 outputs, absolute. Source: TECH-EMB-002.
pub const TOLERANCE: f32 = 1e-5;

/// Compares a model's output with a golden reference. In TECH-EMB-002, weights and input are
/// separate arguments. Here a [`Model`] loaded for inference holds the weights, and files hold
/// input and golden output.
pub trait InferenceValidator: Send + Sync {
    /// Runs a model on a golden input, compares the output with the golden output, and returns the
    /// largest absolute difference.
    ///
    /// # Errors
    /// `invalid_golden`, `golden_mismatch`, `output_not_finite`; those of running the model.
    fn validate_inference(&self, model: &mut Model, input: &Path, golden: &Path) -> Result<f32>;

    /// Reads the values of a golden file as F32.
    ///
    /// # Errors
    /// `invalid_golden`.
    fn load_golden_reference(&self, path: &Path) -> Result<Vec<f32>>;

    /// Compares value by value, and returns the largest absolute difference. NaN on either side is
    /// an error.
    ///
    /// # Errors
    /// `golden_mismatch`, `output_not_finite`; `invalid_golden` for a reference that is not finite.
    fn compare_outputs(&self, actual: &[f32], reference: &[f32], tolerance: f32) -> Result<f32>;
}

/// The reference implementation: it runs the model on the device that holds it.
#[derive(Debug, Default)]
pub struct RealInferenceValidator {
    gpus: Mutex<Gpus>,
}

impl InferenceValidator for RealInferenceValidator {
    fn validate_inference(&self, model: &mut Model, input: &Path, golden: &Path) -> Result<f32> {
        let request = Validate {
            handle: 0,
            input: input.into(),
            golden: golden.into(),
            tolerance: TOLERANCE,
        };
        let mut gpus = self.gpus.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(forward::validate(model, &mut gpus, &Honest, &request)?.max_difference)
    }

    fn load_golden_reference(&self, path: &Path) -> Result<Vec<f32>> {
        golden::read(path)
    }

    fn compare_outputs(&self, actual: &[f32], reference: &[f32], tolerance: f32) -> Result<f32> {
        // `load_golden_reference` checks a file's values, but these values may come from elsewhere.
        if let Some(at) = reference.iter().position(|value| !value.is_finite()) {
            let message = format!("reference value {at} is not finite");
            return Err(LoadError::refused(Phase::Infer, GOLDEN_NOT_FINITE, message)
                .expected("a finite number", reference[at]));
        }
        golden::compare(actual, reference, tolerance).map(|worst| worst.difference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use tempfile::TempDir;

    use crate::contract::Code;
    use crate::loader::infer::tests::{le_bytes, projection};
    use crate::loader::load::load;
    use crate::loader::progress::Progress;

    #[test]
    fn a_model_is_validated_with_the_tolerance_of_the_document() {
        let folder = TempDir::new().expect("a folder");
        let mut tiny = projection();
        tiny.values("linear.weight").fill(0.0);
        let bias = tiny.values("linear.bias").clone();
        let request = tiny.save(folder.path());
        let (gpus, progress) = (&mut Gpus::default(), Progress::default());
        let mut model = load(gpus, &Honest, &request, &progress).expect("loads");
        let golden = |name: &str, values: &[f32]| {
            let path = folder.path().join(name);
            let count = (values.len() as u32).to_le_bytes();
            fs::write(&path, [&count[..], &le_bytes(values)].concat()).expect("written");
            path
        };
        let input = golden("input", &[1.0; 6]);
        let validator = RealInferenceValidator::default();
        let mut validate = |name: &str, shift: f32| {
            let values: Vec<f32> = bias.iter().map(|value| value + shift).collect();
            let golden = golden(name, &values);
            assert_eq!(validator.load_golden_reference(&golden), Ok(values));
            validator.validate_inference(&mut model, &input, &golden).map_err(|error| error.code())
        };
        assert_eq!(validate("same", 0.0), Ok(0.0));
        assert!(validate("near", 0.5 * TOLERANCE).is_ok_and(|worst| worst > 0.0));
        assert_eq!(validate("far", 2.0 * TOLERANCE), Err(Code::GoldenMismatch));
    }

    #[test]
    fn no_value_on_either_side_is_other_than_a_number() {
        let validator = RealInferenceValidator::default();
        let compare = |given: &[f32], reference: &[f32]| {
            validator.compare_outputs(given, reference, 0.5).map_err(|error| error.code())
        };
        assert_eq!(compare(&[1.0, 2.0], &[1.0, 2.25]), Ok(0.25));
        assert_eq!(compare(&[1.0], &[2.0]), Err(Code::GoldenMismatch));
        assert_eq!(compare(&[f32::NAN], &[1.0]), Err(Code::OutputNotFinite));
        assert_eq!(compare(&[1.0], &[f32::INFINITY]), Err(Code::InvalidGolden));
    }
}
