//! Values in the words that reports use for them.

use serde::Serialize;

/// A value as requests, replies and case files spell it: `checksum_mismatch`.
pub fn wire(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

/// The same as words of a sentence: `data start`.
pub fn plain(value: impl Serialize) -> String {
    wire(value).replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Phase;
    use crate::harness::case::step::FlipPlace;

    #[test]
    fn values_read_as_they_are_spelt_elsewhere() {
        assert_eq!(wire(Phase::Preflight), "preflight");
        assert_eq!(wire(FlipPlace::DataStart), "data_start");
        assert_eq!(plain(FlipPlace::DataStart), "data start");
    }
}
