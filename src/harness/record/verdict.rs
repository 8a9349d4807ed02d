//! The verdicts of cases and requirements.

use serde::{Deserialize, Serialize};

/// The verdict of a case or of a requirement.
///
/// The order is from best to worst. If a requirement has several cases, the worst verdict decides. What refutes
/// the loader is worse than a fault of the harness, which proves nothing about the loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was tried, and every check held.
    Pass,
    /// A rule of warning severity does not hold. It gives no points, but refutes nothing.
    Warning,
    /// The loader declares it unsupported. It gives no points.
    Unsupported,
    /// It could not be tried in this run; the reason is recorded. It gives no points.
    Untested,
    /// The harness failed, not the loader.
    Error,
    /// The loader exceeded a time limit.
    Timeout,
    /// The loader's process died, wrote too much output or broke the protocol.
    Crash,
    /// A check did not hold.
    Fail,
}

impl Verdict {
    /// Every verdict, best first.
    pub const ALL: [Verdict; 8] = [
        Verdict::Pass,
        Verdict::Warning,
        Verdict::Unsupported,
        Verdict::Untested,
        Verdict::Error,
        Verdict::Timeout,
        Verdict::Crash,
        Verdict::Fail,
    ];

    /// Whether the loader was tried and did not meet the requirement.
    pub const fn refutes(self) -> bool {
        matches!(self, Verdict::Fail | Verdict::Crash | Verdict::Timeout)
    }

    /// The verdict in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Warning => "warning",
            Verdict::Unsupported => "unsupported",
            Verdict::Untested => "untested",
            Verdict::Timeout => "timeout",
            Verdict::Crash => "crash",
            Verdict::Fail => "fail",
            Verdict::Error => "error",
        }
    }
}
