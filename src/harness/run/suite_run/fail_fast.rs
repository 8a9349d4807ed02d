//! Stops a run after the first refutation, if that is wanted: cases that have begun end, and the others
//! are untested.

use std::sync::OnceLock;

use super::blank;
use super::plan::Plan;
use crate::harness::case::Case;
use crate::harness::record::{CaseRecord, NOT_TRIED};
use crate::harness::run::case_run::setting::Setting;

/// Whether the run goes on.
pub struct FailFast<'a> {
    plan: &'a Plan<'a>,
    /// The case that refuted the loader.
    first: OnceLock<String>,
}

impl<'a> FailFast<'a> {
    /// For a run of this plan.
    pub fn new(plan: &'a Plan<'a>) -> Self {
        FailFast { plan, first: OnceLock::new() }
    }

    /// A case was decided.
    pub fn saw(&self, case: &CaseRecord) {
        // A rule of warning severity refutes nothing.
        let warns = || {
            let rows = &self.plan.requirements;
            rows.iter().any(|row| row.id == case.requirement && row.warning)
        };
        if self.plan.fail_fast && case.verdict.refutes() && !warns() {
            self.first.get_or_init(|| case.id.clone());
        }
    }

    /// The record of a case that is not tried any more, if so.
    pub fn skips(&self, case: &Case, setting: &Setting) -> Option<CaseRecord> {
        let first = self.first.get()?;
        let reason = format!("{NOT_TRIED}--fail-fast, and {first} refuted the loader");
        Some(blank::untested(case, setting, reason))
    }
}
