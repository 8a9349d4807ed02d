//! The record of a case before it is tried.

use crate::harness::case::Case;
use crate::harness::record::{CaseRecord, Verdict};
use crate::harness::run::case_run::setting::Setting;

/// A record without steps: passed, as long as nothing refutes the loader.
pub fn record(case: &Case, setting: &Setting) -> CaseRecord {
    CaseRecord {
        id: case.id(),
        requirement: case.requirement.clone(),
        tries: case.tries.clone(),
        verdict: Verdict::Pass,
        reason: None,
        steps: Vec::new(),
        elapsed_us: 0,
        loader_us: 0,
        evidence_us: 0,
        fixture_us: 0,
        file_bytes: 0,
        repeat: setting.repeat_command(&case.id()),
        stderr: None,
        part: 0,
    }
}

/// The record of a case that is not tried, with the reason.
pub fn untested(case: &Case, setting: &Setting, reason: String) -> CaseRecord {
    CaseRecord { verdict: Verdict::Untested, reason: Some(reason), ..record(case, setting) }
}
