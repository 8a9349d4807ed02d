//! The outcome of a run as one word.

use serde::{Deserialize, Serialize};

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificate {
    /// No requirement is refuted, and none of fail severity is untested or unsupported.
    Corroborated,
    /// No requirement is refuted, but one of fail severity is untested or unsupported, or the
    /// profile is empty, or a part of the plan is missing.
    Incomplete,
    /// One part of a plan in which everything holds. It certifies nothing: a merge of all parts does.
    PartHolds,
    /// As incomplete, and the card of a run is sick: what failed on it is not blamed on the loader.
    Quarantined,
    /// A requirement of fail severity is refuted, whether the harness failed in another case or not.
    Refuted,
    /// No requirement is refuted, and the harness failed in a case.
    HarnessError,
}

impl Certificate {
    /// The certificate as reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Certificate::Corroborated => "corroborated",
            Certificate::Incomplete => "incomplete",
            Certificate::PartHolds => "part holds",
            Certificate::Quarantined => "quarantined",
            Certificate::Refuted => "refuted",
            Certificate::HarnessError => "harness error",
        }
    }
}
