//! The suite that records are held against, and how a difference from it is told.

use crate::harness::case::read::CaseSet;
use crate::harness::record::Mismatch;
use crate::harness::spec::Spec;

/// The suite of this program.
#[derive(Clone, Copy)]
pub struct Own<'a> {
    /// Its requirements.
    pub spec: &'a Spec,
    /// Its cases.
    pub cases: &'a CaseSet,
}

/// A mismatch: where, what was expected, what was found.
pub(super) fn at(
    place: impl Into<String>,
    expected: impl ToString,
    actual: impl ToString,
) -> Mismatch {
    let (expected, actual) = (expected.to_string(), actual.to_string());
    Mismatch { place: place.into(), what: format!("expected {expected}, found {actual}") }
}
