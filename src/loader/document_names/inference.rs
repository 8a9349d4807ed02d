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
