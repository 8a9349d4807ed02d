//! The closed list of outcomes, for cases and for requirements.

use serde::{Deserialize, Serialize};

/// What became of a case or of a requirement.
///
/// The order is from best to worst: of several cases the worst decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Tried, and every check held.
    Pass,
    /// A rule of warning severity does not hold. No points, no refutation.
    Warning,
    /// Declared unsupported by the loader. No points.
    Unsupported,
    /// Could not be tried here, with a reason. No points.
    Untested,
    /// The loader took longer than it may.
    Timeout,
    /// The loader's process died, flooded its output or broke the protocol.
    Crash,
    /// A check did not hold.
    Fail,
    /// The harness's own fault.
    Error,
}

impl Verdict {
    /// Every verdict, best first.
    pub const ALL: [Verdict; 8] = [
        Verdict::Pass,
        Verdict::Warning,
        Verdict::Unsupported,
        Verdict::Untested,
        Verdict::Timeout,
        Verdict::Crash,
        Verdict::Fail,
        Verdict::Error,
    ];

    /// Whether the loader was tried and fell short.
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
