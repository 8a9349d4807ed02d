//! `InferenceValidator`, by the name that TECH-EMB-002 gives it: the gate before a model is warm.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::contract::request::Validate;
use crate::contract::{Code, Phase};

use crate::loader::decisions::Honest;
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};
use crate::loader::load::model::Model;
use crate::loader::verbs::forward;
use crate::loader::verbs::golden;

/// Tolerance for F32 outputs, absolute. Source: TECH-EMB-002.
pub const TOLERANCE: f32 = 1e-5;

/// Compares what a model computes with what it should. The document hands weights and input over
/// apart; here a [`Model`] that was loaded for inference holds the weights, and files the rest.
pub trait InferenceValidator: Send + Sync {
    /// Runs a model on a golden input and compares with its golden output; the largest absolute
    /// difference.
    ///
    /// # Errors
    /// `invalid_golden`, `golden_mismatch`, `output_not_finite`; those of running the model.
    fn validate_inference(&self, model: &mut Model, input: &Path, golden: &Path) -> Result<f32>;

    /// Reads a golden file.
    ///
    /// # Errors
    /// `invalid_golden`.
    fn load_golden_reference(&self, path: &Path) -> Result<Vec<f32>>;

    /// Compares value by value, absolutely; the largest difference. NaN never passes, on either side.
    ///
    /// # Errors
    /// `golden_mismatch`, `output_not_finite`; `invalid_golden` for a reference that is not finite.
    fn compare_outputs(&self, actual: &[f32], reference: &[f32], tolerance: f32) -> Result<f32>;
}

/// The reference's own: it runs the model where it lies.
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
        // A file's values were looked at when it was read; these come from anywhere.
        if let Some(at) = reference.iter().position(|value| !value.is_finite()) {
            return Err(LoadError::refused(
                Phase::Infer,
                Code::InvalidGolden,
                format!("reference value {at} is not finite"),
            )
            .expected("a finite number", reference[at])
            .remedy("make the golden again with the script that stands beside it"));
        }
        golden::compare(actual, reference, tolerance).map(|worst| worst.difference)
    }
}
