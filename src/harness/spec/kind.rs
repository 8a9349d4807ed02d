//! The three kinds of requirement, and which requirement is of which kind.

use serde::{Deserialize, Serialize};

use super::place::Place;

/// Who decides that something must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The file format or the model's definition: a loader that differs is wrong.
    Format,
    /// The loader itself: it claims this with a capability or an answer.
    Contract,
    /// The source documents, or this project, beyond both.
    Policy,
}

impl Kind {
    /// The name used in the spec's files and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Format => "format",
            Kind::Contract => "contract",
            Kind::Policy => "policy",
        }
    }
}

/// Requirements of one kind for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindGroup {
    /// Their kind.
    pub kind: Kind,
    /// Why they are of this kind.
    pub reason: String,
    /// Their ids.
    pub requirements: Vec<String>,
    /// Its place in the spec's files.
    #[serde(skip)]
    pub at: Place,
}
