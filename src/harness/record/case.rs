//! The record of one case: what was done, what the loader claimed, and which checks held.

use serde::{Deserialize, Serialize};

use super::Verdict;
use super::check::{Basis, Check};

/// How the reason of a case begins that has no object: what it is about does not exist at this loader, as the judge
/// has seen. Such a case is untested and does not count; the other cases decide its requirement.
pub const NO_OBJECT: &str = "nothing to try: ";

/// How it is told of a load that ended before its process could be stopped.
pub const OVER: &str = "over before it could be stopped";

/// One case of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseRecord {
    /// `REQUIREMENT::name`.
    pub id: String,
    /// Id of the requirement.
    pub requirement: String,
    /// What the case tries, in one sentence.
    pub tries: String,
    /// The case's verdict.
    pub verdict: Verdict,
    /// Why the case did not pass; `None` if it passed.
    pub reason: Option<String>,
    /// What was done and checked, in order.
    pub steps: Vec<StepRecord>,
    /// Time of the whole case, building of fixtures included, in microseconds.
    pub elapsed_us: u64,
    /// Part of `elapsed_us` spent waiting for the loader's answers.
    pub loader_us: u64,
    /// Part of `elapsed_us` spent on evidence: computing expected results and comparing bytes. This
    /// work grows with the case's data.
    pub evidence_us: u64,
    /// Part of `elapsed_us` spent making and writing files and models; 0 if an earlier version wrote
    /// the record, which counted it as evidence.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub fixture_us: u64,
    /// Size of the case's files, in bytes.
    pub file_bytes: u64,
    /// A command that repeats the case.
    pub repeat: String,
    /// The end of the loader's stderr, if the case did not pass.
    pub stderr: Option<String>,
    /// Index in [`Record::parts`](super::Record::parts) of the run that this verdict comes from.
    pub part: usize,
}

/// One step of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRecord {
    /// What was done, in words.
    pub does: String,
    /// The part of the loader's answer that the checks are about.
    pub claim: Option<serde_json::Value>,
    /// The checks of this step.
    pub checks: Vec<Check>,
    /// Time of the step, in microseconds.
    pub elapsed_us: u64,
}

impl CaseRecord {
    /// The record of a case that is not tried, for this reason: no step and no time. `repeat` is the
    /// command that repeats the case.
    pub fn untested(
        id: String,
        requirement: String,
        tries: String,
        repeat: String,
        reason: String,
    ) -> CaseRecord {
        CaseRecord {
            id,
            requirement,
            tries,
            verdict: Verdict::Untested,
            reason: Some(reason),
            steps: Vec::new(),
            elapsed_us: 0,
            loader_us: 0,
            evidence_us: 0,
            fixture_us: 0,
            file_bytes: 0,
            repeat,
            stderr: None,
            part: 0,
        }
    }

    /// Whether what the case is about does not exist at this loader. See [`NO_OBJECT`].
    pub fn has_no_object(&self) -> bool {
        let told = |reason: &String| reason.starts_with(NO_OBJECT);
        self.verdict == Verdict::Untested && self.reason.as_ref().is_some_and(told)
    }

    /// The first check that did not hold.
    pub fn first_broken(&self) -> Option<&Check> {
        self.steps.iter().flat_map(|step| &step.checks).find(|check| !check.held)
    }

    /// Whether it failed, and only by checks that are policy.
    pub fn failed_by_policy_alone(&self) -> bool {
        let mut broken =
            self.steps.iter().flat_map(|step| &step.checks).filter(|check| !check.held).peekable();
        self.verdict == Verdict::Fail && broken.peek().is_some() && broken.all(|check| check.policy)
    }

    /// Whether there are checks and each of them is only declared by the loader.
    pub fn is_declared_only(&self) -> bool {
        let mut checks = self.steps.iter().flat_map(|step| &step.checks).peekable();
        checks.peek().is_some() && checks.all(|check| check.basis == Basis::Declared)
    }
}
