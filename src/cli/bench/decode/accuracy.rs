//! How far logits are from those of the same model in F64, and whether a faster mode is admitted.

use serde::Serialize;

/// The error of logits, over all of them together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Error {
    /// Root of the mean squared difference, divided by the root of the mean square of the truth.
    pub relative: f64,
    /// The greatest difference.
    pub greatest: f64,
}

impl Error {
    /// Compares logits with the truth.
    ///
    /// # Errors
    /// Where there is nothing to compare: no values, or not as many.
    pub fn of(found: &[f32], truth: &[f32]) -> Result<Error, String> {
        if found.len() != truth.len() || truth.is_empty() {
            return Err(format!("{} logits against {}", found.len(), truth.len()));
        }
        let (mut apart, mut whole, mut greatest) = (0f64, 0f64, 0f64);
        for (found, truth) in found.iter().zip(truth) {
            let (found, truth) = (f64::from(*found), f64::from(*truth));
            let difference = (found - truth).abs();
            apart += difference * difference;
            whole += truth * truth;
            // A NaN stays one.
            if difference > greatest || difference.is_nan() {
                greatest = difference;
            }
        }
        Ok(Error { relative: (apart / whole).sqrt(), greatest })
    }

    /// Whether it is no larger than another one, in both measures. What is not a number is not.
    pub fn is_within(&self, other: &Error) -> bool {
        self.relative <= other.relative && self.greatest <= other.greatest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_relative_to_the_whole_vector() {
        let error = Error::of(&[3.0, -4.5, 0.0], &[3.0, -4.0, 0.0]).expect("compared");
        assert!((error.relative - 0.1).abs() < 1e-12 && (error.greatest - 0.5).abs() < 1e-12);
        let same = Error::of(&[1.0, 2.0], &[1.0, 2.0]).expect("compared");
        assert_eq!(same, Error { relative: 0.0, greatest: 0.0 });
        assert_eq!(Error::of(&[1.0], &[1.0, 2.0]), Err("1 logits against 2".to_owned()));
        assert_eq!(Error::of(&[], &[]), Err("0 logits against 0".to_owned()));
    }

    #[test]
    fn no_larger_means_both_measures() {
        let of = |relative, greatest| Error { relative, greatest };
        let plain = of(0.01, 0.2);
        for (found, within) in [
            (of(0.01, 0.2), true),
            (of(0.005, 0.1), true),
            (of(0.011, 0.1), false),
            (of(0.005, 0.21), false),
            (of(f64::NAN, 0.1), false),
            (of(0.005, f64::NAN), false),
        ] {
            assert_eq!(found.is_within(&plain), within, "{found:?}");
        }
        let broken = Error::of(&[f32::NAN, 1.0], &[1.0, 1.0]).expect("compared");
        assert!(broken.greatest.is_nan() && !broken.is_within(&plain));
        assert!(!plain.is_within(&broken), "nothing is admitted beside what is broken");
    }
}
