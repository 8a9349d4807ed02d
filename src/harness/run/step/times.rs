//! Compares the times that a loader reports with the harness's own clock.

use std::time::Duration;

use crate::contract::reply::Loaded;
use crate::harness::case::expect::{LoadCheck, LoadOutcome};
use crate::harness::case::step::Load;
use crate::harness::record::{Basis, Check, Digits};
use crate::harness::run::case_run::words::wire;
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// Checks the times that a load reports: they must add up to the harness's time, and none may
/// exceed its limit.
pub fn times(
    case_run: &mut CaseRun<'_>,
    step: &Load,
    loaded: &Loaded,
    took: Duration,
) -> Result<(), CaseEnd> {
    let asked = match &step.expect {
        LoadOutcome::Loaded(checks) => checks.contains(&LoadCheck::Times),
        LoadOutcome::Either(either) => either.loaded.contains(&LoadCheck::Times),
        LoadOutcome::Refused(_) | LoadOutcome::OneOf(_) => false,
    };
    if asked {
        let sum = loaded.times.as_ref().map(|times| times.sum_us());
        case_run.check(agrees("the sum of the loader's own times", sum, took))?;
    }
    for (share, most) in &step.shares_ms {
        let found = loaded.times.as_ref().and_then(|times| {
            times.each().into_iter().find(|(each, _)| each == share).map(|(_, time)| time)
        });
        let texts = |digits| (format!("at most {most} ms"), told(found, digits));
        case_run.check(Check::measured(
            format!("time of {}", wire(share)),
            texts,
            Basis::Declared,
        ))?;
    }
    Ok(())
}

/// Compares a time that a loader reports with the harness's own. It must not be longer. It may be
/// shorter by at most 1 ms and 10 %, the time for sending the request and the answer.
pub fn agrees(what: &str, told_us: Option<u64>, took: Duration) -> Check {
    let took = took.as_micros() as u64;
    let least = took.saturating_sub(1_000 + took / 10);
    let texts = |digits| {
        let wanted = [least, took].map(|time| milliseconds(time, digits));
        (format!("{} ms", wanted.join(" to ")), told(told_us, digits))
    };
    Check::measured(what, texts, Basis::Observed)
}

fn milliseconds(time_us: u64, digits: Digits) -> String {
    digits.fixed(time_us as f64 / 1e3, 1)
}

/// A time that a loader reports, if it does.
fn told(time_us: Option<u64>, digits: Digits) -> String {
    time_us.map_or("not reported".to_owned(), |time| format!("{} ms", milliseconds(time, digits)))
}

/// A failed check if a loader reports more time than its request took.
pub fn within(told_us: Option<u64>, took: Duration) -> Option<Check> {
    let most = took.as_micros() as u64;
    let told = told_us.filter(|told| *told > most)?;
    let (wanted, found) = (format!("at most {most} us"), format!("{told} us"));
    Some(Check::within("the loader's own time", wanted, found, Basis::Observed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_held_against_the_clock() {
        let held = |told, took| agrees("time", told, Duration::from_micros(took)).held;
        assert!(held(Some(18_300), 18_700) && held(Some(2_200), 2_300));
        assert!(!held(Some(18_701), 18_700), "longer than it took");
        assert!(
            !held(Some(0), 2_300) && !held(Some(15_000), 18_700),
            "time that nobody accounts for"
        );
        assert!(!held(None, 100));
    }

    #[test]
    fn no_request_takes_less_time_than_the_loader_needs_for_it() {
        let took = Duration::from_micros(500);
        assert!(within(None, took).is_none() && within(Some(500), took).is_none());
        assert!(within(Some(501), took).is_some_and(|check| !check.held));
    }
}
