//! `InferenceValidator`: comparing a model's output with a golden reference.
//!
//! Reading goldens and comparing are real here. Running the model is not there yet, and says so:
//! there is no stand-in for a forward pass.

use std::io;
use std::path::{Path, PathBuf};

use crate::contract::Phase;

use super::error::LoadError;
use super::weight_loader::LoadedModelWeights;

/// Tolerance for F32 outputs, absolute. Source: TECH-EMB-002.
pub const TOLERANCE: f32 = 1e-5;

/// Why an output is not the reference.
#[derive(Debug, thiserror::Error)]
pub enum ValidationError {
    /// The golden file cannot be read.
    #[error("golden reference cannot be read: {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The golden file is not as long as its first four bytes say.
    #[error(
        "golden reference has the wrong length: {}: expected {expected} bytes, actual {actual} bytes",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Bytes that its count asks for; 4 where there is no count.
        expected: u64,
        /// Bytes that there are.
        actual: u64,
    },
    /// The lengths differ.
    #[error("output of {model_id} has the wrong length: expected {expected}, actual {actual}")]
    Length {
        /// The model.
        model_id: String,
        /// Values in the reference.
        expected: usize,
        /// Values in the output.
        actual: usize,
    },
    /// NaN or infinity on either side, or a tolerance that is no positive number.
    #[error("not finite for {model_id}: {what} at index {index}: {value}")]
    NotFinite {
        /// The model.
        model_id: String,
        /// `output`, `reference` or `tolerance`.
        what: &'static str,
        /// Where; 0 for the tolerance.
        index: usize,
        /// What stands there.
        value: f32,
    },
    /// The values differ by more than the tolerance.
    #[error(
        "output of {model_id} differs at index {index}: expected {expected}, actual {actual}, \
         tolerance {tolerance}"
    )]
    Differs {
        /// The model.
        model_id: String,
        /// Where the difference is largest.
        index: usize,
        /// The reference there.
        expected: f32,
        /// The output there.
        actual: f32,
        /// What was allowed, absolute.
        tolerance: f32,
    },
    /// The model cannot be run.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Compares what a model computes with what it should.
pub trait InferenceValidator: Send + Sync {
    /// Runs a model on `test_input` and compares with a golden file.
    ///
    /// # Errors
    /// Where the output is not the reference, or the model cannot be run.
    fn validate_inference(
        &self,
        model_id: &str,
        weights: &LoadedModelWeights,
        test_input: &[f32],
        golden_output_path: &Path,
    ) -> Result<(), ValidationError>;

    /// Reads a golden file: a little-endian u32 count, then that many little-endian F32 values and
    /// nothing else.
    ///
    /// # Errors
    /// `Unreadable`, `Malformed`.
    fn load_golden_reference(&self, path: &Path) -> Result<Vec<f32>, ValidationError>;

    /// Compares value by value, absolutely. NaN never passes, on either side.
    ///
    /// # Errors
    /// `Length`, `NotFinite`, `Differs`.
    fn compare_outputs(
        &self,
        model_id: &str,
        actual: &[f32],
        reference: &[f32],
        tolerance: f32,
    ) -> Result<(), ValidationError>;
}

/// The reference's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealInferenceValidator;

impl InferenceValidator for RealInferenceValidator {
    fn validate_inference(
        &self,
        model_id: &str,
        _weights: &LoadedModelWeights,
        _test_input: &[f32],
        golden_output_path: &Path,
    ) -> Result<(), ValidationError> {
        self.load_golden_reference(golden_output_path)?;
        Err(LoadError::unsupported(
            Phase::Infer,
            format!("no inference engine: {model_id} cannot be run, so nothing was compared"),
        )
        .into())
    }

    fn load_golden_reference(&self, path: &Path) -> Result<Vec<f32>, ValidationError> {
        let bytes = std::fs::read(path)
            .map_err(|source| ValidationError::Unreadable { path: path.into(), source })?;
        let malformed = |expected: u64| ValidationError::Malformed {
            path: path.into(),
            expected,
            actual: bytes.len() as u64,
        };
        let (count, values) = bytes.split_first_chunk::<4>().ok_or_else(|| malformed(4))?;
        let expected = 4 + u64::from(u32::from_le_bytes(*count)) * 4;
        if expected != bytes.len() as u64 {
            return Err(malformed(expected));
        }
        let (values, _) = values.as_chunks::<4>();
        Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }

    fn compare_outputs(
        &self,
        model_id: &str,
        actual: &[f32],
        reference: &[f32],
        tolerance: f32,
    ) -> Result<(), ValidationError> {
        let model_id = || model_id.to_string();
        if actual.len() != reference.len() {
            let (expected, actual) = (reference.len(), actual.len());
            return Err(ValidationError::Length { model_id: model_id(), expected, actual });
        }
        let not_finite = |what, index, value| {
            Err(ValidationError::NotFinite { model_id: model_id(), what, index, value })
        };
        if !tolerance.is_finite() || tolerance < 0.0 {
            return not_finite("tolerance", 0, tolerance);
        }
        let mut worst = (0, 0f32);
        for (index, (&actual, &expected)) in actual.iter().zip(reference).enumerate() {
            if !actual.is_finite() {
                return not_finite("output", index, actual);
            }
            if !expected.is_finite() {
                return not_finite("reference", index, expected);
            }
            let difference = (actual - expected).abs();
            if difference > worst.1 {
                worst = (index, difference);
            }
        }
        if worst.1 > tolerance {
            let index = worst.0;
            return Err(ValidationError::Differs {
                model_id: model_id(),
                index,
                expected: reference[index],
                actual: actual[index],
                tolerance,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn reads_goldens_and_refuses_wrong_lengths() {
        let read = |bytes: &[u8]| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(bytes).unwrap();
            RealInferenceValidator.load_golden_reference(file.path())
        };
        assert_eq!(read(&[1, 0, 0, 0, 0, 0, 0x80, 0x3f]).unwrap(), [1.0]);
        assert_eq!(read(&[0, 0, 0, 0]).unwrap(), [] as [f32; 0]);
        for bytes in [&[][..], &[1, 0, 0], &[1, 0, 0, 0], &[0, 0, 0, 0, 0], &[255; 8]] {
            assert!(matches!(read(bytes), Err(ValidationError::Malformed { .. })), "{bytes:?}");
        }
        let missing = RealInferenceValidator.load_golden_reference(Path::new("/nonexistent"));
        assert!(matches!(missing, Err(ValidationError::Unreadable { .. })));
    }

    #[test]
    fn compares_absolutely_and_never_passes_nan() {
        let compare = |actual: &[f32], reference: &[f32], tolerance| {
            RealInferenceValidator.compare_outputs("m", actual, reference, tolerance)
        };
        assert!(compare(&[1.0, 2.0], &[1.0, 2.000_001], TOLERANCE).is_ok());
        let far = compare(&[1.0, 2.0, 3.0], &[1.1, 2.5, 3.0], 0.2).unwrap_err();
        assert!(matches!(far, ValidationError::Differs { index: 1, .. }), "{far}");
        assert!(matches!(compare(&[1.0], &[], 1.0), Err(ValidationError::Length { .. })));
        for (actual, reference, tolerance) in [
            (f32::NAN, 1.0, 1.0),
            (1.0, f32::NAN, 1.0),
            (1.0, 1.0, f32::NAN),
            (f32::INFINITY, f32::INFINITY, 1.0),
        ] {
            let result = compare(&[actual], &[reference], tolerance);
            assert!(matches!(result, Err(ValidationError::NotFinite { .. })));
        }
    }
}
