//! Describes one case that did not pass as a block of text with all facts in it.

use super::text::{cut, lines, plain};
use crate::harness::record::{Basis, CaseRecord, Record, Verdict};

/// How many characters of a claim are shown.
const CLAIM_LIMIT: usize = 400;
/// How many of the last lines of stderr are shown.
const STDERR_LINES: usize = 12;
/// How many characters of one line of stderr are shown.
const STDERR_WIDTH: usize = 200;

/// The case's id, what it tries, the first check that did not hold with its basis and the loader's
/// claim, the end of stderr, and the command that repeats the case.
pub fn first_failure(case: &CaseRecord) -> String {
    let mut out = format!("{}: {}\n", plain(&case.id), case.verdict.name());
    let mut field = |name: &str, value: &str| {
        out.push_str(&format!("  {name:<9} {}\n", plain(value)));
    };
    field("tries", &case.tries);
    if let Some(reason) = &case.reason {
        field("reason", reason);
    }
    let broken = case
        .steps
        .iter()
        .find_map(|step| step.checks.iter().find(|check| !check.held).map(|check| (step, check)));
    // If no check is broken, the last step is the best hint to where the case stopped.
    let step = broken.map(|(step, _)| step).or(case.steps.last());
    if let Some(step) = step {
        field("step", &step.does);
    }
    if let Some((_, check)) = broken {
        field("check", &check.what);
        field("expected", &check.expected);
        field("found", &check.found);
        field("basis", basis(check.basis));
        if let Some(values) = &check.values {
            field("values", &format!("{}; {}", values.line(), values.place()));
        }
    }
    if let Some(claim) = step.and_then(|step| step.claim.as_ref()) {
        field("claim", &cut(&claim.to_string(), CLAIM_LIMIT));
    }
    if let Some(stderr) = &case.stderr {
        let all: Vec<String> = lines(stderr).filter(|line| !line.is_empty()).collect();
        for (index, line) in all[all.len().saturating_sub(STDERR_LINES)..].iter().enumerate() {
            field(if index == 0 { "stderr" } else { "" }, &cut(line, STDERR_WIDTH));
        }
    }
    field("repeat", &case.repeat);
    out
}

/// The case to show first: the one with the worst verdict. Of equal verdicts, the first in the
/// record's order. `None` if no case was refuted or ended with a harness error.
pub fn worst(record: &Record) -> Option<&CaseRecord> {
    let mut found: Option<&CaseRecord> = None;
    for case in &record.cases {
        let counts = case.verdict.refutes() || case.verdict == Verdict::Error;
        if counts && found.is_none_or(|worse| case.verdict > worse.verdict) {
            found = Some(case);
        }
    }
    found
}

/// The basis of a check, in words for a report.
pub const fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Observed => "observed by the harness",
        Basis::Declared => "declared by the loader",
    }
}
