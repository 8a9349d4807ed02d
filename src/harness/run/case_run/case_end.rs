//! How a case ends early, and the verdict that this gives.

use std::fmt::Display;

use serde_json::Value;

use super::words::wire;
use crate::contract::Failure;
use crate::harness::client::Broken;
use crate::harness::record::{StepRecord, Verdict};

/// Why a case stopped before its last step.
#[derive(Debug)]
pub enum CaseEnd {
    /// A check did not hold; it is the last one recorded.
    Failed,
    /// No valid answer came: the process crashed, timed out or broke the protocol.
    Broken(Broken),
    /// The case cannot be tried here.
    Untested(String),
    /// A fault of the harness or of the case file.
    Fault(String),
}

/// The verdict of a case that ended early, and its reason.
pub fn verdict(stop: &CaseEnd, steps: &[StepRecord]) -> (Verdict, String) {
    match stop {
        CaseEnd::Failed => {
            let broken = steps.iter().flat_map(|step| &step.checks).find(|check| !check.held);
            let reason = broken.map_or_else(
                || "a check did not hold".to_owned(),
                |check| {
                    format!("{}: expected {}, found {}", check.what, check.expected, check.found)
                },
            );
            (Verdict::Fail, reason)
        }
        CaseEnd::Broken(broken) => {
            let verdict = if matches!(broken, Broken::TimedOut { .. }) {
                Verdict::Timeout
            } else {
                Verdict::Crash
            };
            (verdict, broken.to_string())
        }
        CaseEnd::Untested(why) => (Verdict::Untested, why.clone()),
        CaseEnd::Fault(why) => (Verdict::Error, why.clone()),
    }
}

/// A failure in one line.
pub fn summary(failure: &Failure) -> String {
    format!(
        "{}/{}/{}: {}",
        wire(failure.class),
        wire(failure.phase),
        failure.code.name(),
        failure.message.lines().next().unwrap_or_default()
    )
}

/// A failure as it is kept in the record.
pub fn failure_claim(failure: &Failure) -> Value {
    serde_json::to_value(failure).unwrap_or(Value::Null)
}

/// The oracle's failure, as a fault of the harness.
pub fn oracle_fault(error: impl Display) -> CaseEnd {
    CaseEnd::Fault(format!("the oracle: {error}"))
}
