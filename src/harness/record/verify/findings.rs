//! What verification finds: inconsistencies, each with its place.

use std::fmt;

use serde::Serialize;

/// One inconsistency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Where in the record it is: a case id, a requirement id, or the name of a sum.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.what)
    }
}

/// The inconsistencies so far.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<Mismatch>);

impl Findings {
    pub(super) fn unless(&mut self, agrees: bool, place: &str, what: impl FnOnce() -> String) {
        if !agrees {
            self.0.push(Mismatch { place: place.to_owned(), what: what() });
        }
    }

    /// Compares a derived value with a stored one; a difference is shown as JSON.
    pub(super) fn same<T: PartialEq + Serialize>(&mut self, place: &str, derived: T, stored: T) {
        self.unless(derived == stored, place, || {
            format!("derived {}, but stored is {}", json(&derived), json(&stored))
        });
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}
