//! The record of a case before it is tried.

use crate::harness::case::Case;
use crate::harness::record::{CaseRecord, Verdict};
use crate::harness::run::case_run::setting::Setting;

/// A record without steps: passed, as long as nothing refutes the loader.
pub fn record(case: &Case, setting: &Setting) -> CaseRecord {
    CaseRecord { verdict: Verdict::Pass, reason: None, ..untested(case, setting, String::new()) }
}

/// The record of a case that is not tried, with the reason.
pub fn untested(case: &Case, setting: &Setting, reason: String) -> CaseRecord {
    let id = case.id();
    let repeat = setting.repeat_command(&id);
    CaseRecord::untested(id, case.requirement.clone(), case.tries.clone(), repeat, reason)
}
