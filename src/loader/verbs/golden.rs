//! Reads golden references and compares outputs with them. Source of format and tolerance:
//! TECH-EMB-002, "Golden Reference Data".

use std::path::Path;

use crate::contract::Phase;

use crate::loader::error::{LoadError, Result};
use crate::loader::infer::beside::read_beside;
use crate::loader::remedies::Remedy;
use crate::loader::remedies::gates_and_golden::{
    GOLDEN_DIFFERS, GOLDEN_LENGTH, GOLDEN_MISSING, GOLDEN_NOT_FINITE, GOLDEN_OTHER_LENGTH,
    GOLDEN_TOO_LONG, TOLERANCE_INVALID,
};
use crate::loader::remedies::input_and_output::OUTPUT_NOT_FINITE;

/// Largest golden file, in bytes; far larger than any embedding.
const LONGEST: u64 = 1 << 30;

/// The value with the largest difference from its reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worst {
    /// Index of the value.
    pub index: usize,
    /// Absolute difference.
    pub difference: f32,
}

/// Reads a golden file: a little-endian u32 count, then that many little-endian F32 values and
/// nothing else.
///
/// # Errors
/// `invalid_golden`.
pub fn read(path: &Path) -> Result<Vec<f32>> {
    parse_file(path).map_err(|error| error.path(path))
}

fn parse_file(path: &Path) -> Result<Vec<f32>> {
    let bytes = read_beside(path, LONGEST, (GOLDEN_MISSING, GOLDEN_TOO_LONG))?;
    let wrong = |expected: u64| {
        invalid(GOLDEN_LENGTH, "the golden file is not as long as its count says")
            .expected(format!("{expected} bytes"), format!("{} bytes", bytes.len()))
    };
    let (count, values) = bytes.split_first_chunk::<4>().ok_or_else(|| wrong(4))?;
    let expected = 4 + u64::from(u32::from_le_bytes(*count)) * 4;
    if expected != bytes.len() as u64 {
        return Err(wrong(expected));
    }
    let values: Vec<f32> = values.as_chunks().0.iter().map(|v| f32::from_le_bytes(*v)).collect();
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(at) => Err(invalid(GOLDEN_NOT_FINITE, format!("golden value {at} is not finite"))
            .expected("a finite number", values[at])),
    }
}

/// Compares value by value, by absolute difference. Returns the largest difference.
///
/// # Errors
/// `golden_mismatch` if the lengths differ or a difference exceeds the tolerance;
/// `output_not_finite`; `invalid_request` for a tolerance that is negative or not finite.
pub fn compare(given: &[f32], golden: &[f32], tolerance: f32) -> Result<Worst> {
    if !tolerance.is_finite() || tolerance < 0.0 {
        let message = "the tolerance is negative or not finite";
        return Err(LoadError::refused(Phase::Request, TOLERANCE_INVALID, message)
            .expected("zero or more", tolerance));
    }
    if given.len() != golden.len() {
        return Err(invalid(
            GOLDEN_OTHER_LENGTH,
            "the output and the golden reference have different lengths",
        )
        .expected(format!("{} values", golden.len()), format!("{} values", given.len())));
    }
    let mut worst = Worst { index: 0, difference: 0.0 };
    for (index, (given, golden)) in given.iter().zip(golden).enumerate() {
        if !given.is_finite() {
            let message = format!("value {index} of the output is not finite");
            return Err(LoadError::refused(Phase::Infer, OUTPUT_NOT_FINITE, message)
                .expected(golden, given));
        }
        let difference = (given - golden).abs();
        if difference > worst.difference {
            worst = Worst { index, difference };
        }
    }
    if worst.difference > tolerance {
        let index = worst.index;
        let message = format!(
            "the output is not the golden one: value {index} is off by {:e}",
            worst.difference
        );
        return Err(invalid(GOLDEN_DIFFERS, message)
            .expected(format!("{} within {tolerance:e}", golden[index]), given[index]));
    }
    Ok(worst)
}

fn invalid(cause: Remedy, message: impl Into<String>) -> LoadError {
    LoadError::refused(Phase::Infer, cause, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;
    use std::io::Write;

    #[test]
    fn reads_goldens_and_refuses_what_is_none() {
        let read = |bytes: &[u8]| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(bytes).unwrap();
            super::read(file.path()).map_err(|error| error.code())
        };
        assert_eq!(read(&[1, 0, 0, 0, 0, 0, 0x80, 0x3f]), Ok(vec![1.0]));
        assert_eq!(read(&[0, 0, 0, 0]), Ok(vec![]));
        for bytes in [&[][..], &[1, 0, 0], &[1, 0, 0, 0], &[0, 0, 0, 0, 0], &[255; 8]] {
            assert_eq!(read(bytes), Err(Code::InvalidGolden), "{bytes:?}");
        }
        // The count's bytes swapped, and a value that is not a number.
        assert_eq!(read(&[0, 0, 0, 1, 0, 0, 0x80, 0x3f]), Err(Code::InvalidGolden));
        assert_eq!(read(&[1, 0, 0, 0, 0, 0, 0xc0, 0x7f]), Err(Code::InvalidGolden));
        let missing = super::read(Path::new("/nonexistent")).unwrap_err();
        assert_eq!(missing.code(), Code::InvalidGolden);
    }

    #[test]
    fn compares_absolutely_and_never_passes_nan() {
        let code = |given: &[f32], golden: &[f32], tolerance| {
            compare(given, golden, tolerance).map_err(|error| error.code())
        };
        let near = compare(&[1.0, 2.0], &[1.0, 2.000_001], 1e-5).unwrap();
        assert_eq!(near.index, 1);
        assert!(near.difference > 0.0);
        let far = compare(&[1.0, 2.0, 3.0], &[1.1, 2.5, 3.0], 0.2).unwrap_err();
        assert!(far.to_string().contains("value 1 "), "{far}");
        assert_eq!(code(&[1.0], &[], 1.0), Err(Code::GoldenMismatch));
        assert_eq!(code(&[f32::NAN], &[1.0], 1.0), Err(Code::OutputNotFinite));
        assert_eq!(code(&[1.0], &[1.0], f32::NAN), Err(Code::InvalidRequest));
        assert_eq!(code(&[1.0], &[1.0], -1.0), Err(Code::InvalidRequest));
    }
}
