//! What was seen in one case: claims, what the harness found, and which check held.

use serde::{Deserialize, Serialize};

use super::Verdict;

/// One case of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseRecord {
    /// `REQUIREMENT::name`.
    pub id: String,
    /// The requirement.
    pub requirement: String,
    /// What is tried.
    pub tries: String,
    /// What became of it; derived from the steps, or from `reason` where no step decided.
    pub verdict: Verdict,
    /// Why, where it did not pass.
    pub reason: Option<String>,
    /// What was done and found, in order.
    pub steps: Vec<StepRecord>,
    /// The whole case, fixture building included, in microseconds.
    pub elapsed_us: u64,
    /// Of that, waiting for the loader's answers.
    pub loader_us: u64,
    /// Of that, writing fixtures and comparing bytes: work in proportion to the case's data.
    pub evidence_us: u64,
    /// Size of the case's files, in bytes.
    pub file_bytes: u64,
    /// A command that repeats the case.
    pub repeat: String,
    /// The end of what the loader wrote to stderr, where the case did not pass.
    pub stderr: Option<String>,
    /// Index of the part that this verdict comes from.
    pub part: usize,
}

/// One step of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRecord {
    /// What was done, in words.
    pub does: String,
    /// What the loader claimed, cut to what the checks are about.
    pub claim: Option<serde_json::Value>,
    /// What was checked.
    pub checks: Vec<Check>,
    /// How long it took, in microseconds.
    pub elapsed_us: u64,
}

/// One comparison of a claim or an observation with what must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What is compared.
    pub what: String,
    /// What must be.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// Whether it held.
    pub held: bool,
    /// Where the finding comes from.
    pub basis: Basis,
}

/// Where a finding comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The harness saw it.
    Observed,
    /// The loader said it, and the harness has no second source.
    Declared,
}

impl Check {
    /// A comparison by equality.
    pub fn equal<T: PartialEq + ToString>(
        what: impl Into<String>,
        expected: T,
        found: T,
        basis: Basis,
    ) -> Self {
        let held = expected == found;
        Check::of(what, expected.to_string(), found.to_string(), held, basis)
    }

    /// A comparison that was made elsewhere.
    pub fn of(
        what: impl Into<String>,
        expected: impl ToString,
        found: impl ToString,
        held: bool,
        basis: Basis,
    ) -> Self {
        Check {
            what: what.into(),
            expected: expected.to_string(),
            found: found.to_string(),
            held,
            basis,
        }
    }
}

impl CaseRecord {
    /// The first check that did not hold.
    pub fn first_broken(&self) -> Option<&Check> {
        self.steps.iter().flat_map(|step| &step.checks).find(|check| !check.held)
    }

    /// Whether every check rests on the loader's word alone.
    pub fn is_declared_only(&self) -> bool {
        let mut checks = self.steps.iter().flat_map(|step| &step.checks).peekable();
        checks.peek().is_some() && checks.all(|check| check.basis == Basis::Declared)
    }
}
