//! One rule that a claimed plan breaks.

use std::fmt;

use serde::Serialize;

use crate::harness::plan::rule::Rule;

/// A rule that is broken, with the place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The tensor, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensor: Option<String>,
    /// The global rank, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<u64>,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl Finding {
    /// A rule, what was expected, and what was found.
    pub fn new(rule: Rule, expected: impl ToString, found: impl ToString) -> Self {
        let (expected, found) = (expected.to_string(), found.to_string());
        Finding { rule, tensor: None, rank: None, expected, found }
    }

    /// Names the tensor.
    pub fn tensor(mut self, name: &str) -> Self {
        self.tensor = Some(name.to_owned());
        self
    }

    /// Names the rank.
    pub fn rank(mut self, rank: u64) -> Self {
        self.rank = Some(rank);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rank) = self.rank {
            write!(f, "rank {rank}: ")?;
        }
        if let Some(tensor) = &self.tensor {
            // A name of a stranger's file may have any character.
            write!(f, "{}: ", tensor.escape_debug())?;
        }
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}
