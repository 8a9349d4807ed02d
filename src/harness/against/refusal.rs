//! The necessary checks of a refusal.

use super::stage::Name;
use crate::harness::case::expect::Refusal;

/// The last check behind a refusal and an unload.
pub(super) const HELD: &str = "models held afterwards";

/// The checks of a refusal.
pub(super) fn refusal(refusal: &Refusal) -> Vec<Name> {
    // A loader without CUDA is asked for nothing more.
    let only_answer = refusal.is_absent_cuda();
    if only_answer { vec![Name::is("answer")] } else { every(refusal) }
}

/// The checks that a refusal may have besides.
pub(super) fn besides(refusal: &Refusal) -> Vec<Name> {
    if refusal.is_absent_cuda() { every(refusal) } else { Vec::new() }
}

fn every(refusal: &Refusal) -> Vec<Name> {
    let mut checks = vec![Name::is("answer")];
    checks.extend(refusal.dtype.map(|_| Name::is("element type named")));
    checks.extend(refusal.tensor.iter().map(|_| Name::is("tensor named")));
    checks.extend(refusal.mentions.iter().map(|_| Name::is("named in the failure")));
    let one_of = !refusal.mentions_one_of.is_empty();
    checks.extend(one_of.then(|| Name::is("named in the failure")));
    checks.extend(refusal.clear.then(|| Name::is("missing from the error")));
    checks.extend(refusal.asked_for.iter().map(|_| Name::is("bytes asked for")));
    if refusal.full_card {
        checks.push(Name::begins("free bytes as reported, "));
        checks.push(Name::is("bytes asked for"));
    }
    checks.extend(refusal.driver_words.then(|| Name::is("driver's own words")));
    checks
}

/// The same, where nothing may be held afterwards but what was held before.
pub(super) fn and_nothing_held(mut checks: Vec<Name>) -> Vec<Name> {
    checks.push(Name::is(HELD));
    checks
}
