//! What failed and what is open, as Markdown.

use super::cause::causes;
use super::known;
use super::open::{NOT_SELECTED, beside, open};
use super::screen::{heading, summary};
use crate::harness::record::{Report, Verdict};
use crate::harness::report::text::{code, count, markdown as safe};

/// The sections "What failed", "Known failures", "Untested" and "Unsupported", as far as there is something
/// in them.
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    let known = report.judgement.known.as_ref();
    let causes = causes(report);
    if !causes.is_empty() {
        out.push_str(&format!("\n## What failed\n\n{}.\n", safe(&summary(&causes))));
    }
    for (index, cause) in causes.iter().enumerate() {
        let ids: Vec<String> = cause.requirements.iter().map(|id| code(id)).collect();
        out.push_str(&format!("\n### {}. {}\n\n", index + 1, safe(&heading(cause))));
        out.push_str(&format!("- {}\n", ids.join(", ")));
        if let Some(place) = &cause.place {
            out.push_str(&format!("- {}: {}\n", code(&cause.cases[0].id), safe(place)));
        }
        if let Some(note) = known::note(known, cause.cases.iter().map(|case| case.id.as_str())) {
            out.push_str(&format!("- {}\n", safe(&note)));
        }
        out.push_str(&format!("- again: {}\n", code(&cause.cases[0].repeat)));
    }
    if let Some(known) = known {
        out.push_str(&format!("\n## Known failures\n\n{}.\n\n", safe(&known::line(known))));
        out.push_str(&known::table(known).markdown());
        let unlisted: Vec<String> = known.unlisted.iter().map(|id| code(id)).collect();
        if !unlisted.is_empty() {
            out.push_str(&format!("\nNot listed: {}.\n", unlisted.join(", ")));
        }
    }
    for (heading, verdict) in
        [("Untested", Verdict::Untested), ("Unsupported", Verdict::Unsupported)]
    {
        let groups = open(report, verdict);
        if groups.is_empty() {
            continue;
        }
        out.push_str(&format!("\n## {heading}\n\n"));
        for group in groups {
            let number = count(group.requirements.len() as u64, "requirement", "requirements");
            let reason = safe(&group.reason);
            out.push_str(&format!("- {reason} ({number})"));
            if verdict == Verdict::Untested && group.reason != NOT_SELECTED {
                let ids: Vec<String> = group.requirements.iter().map(|id| code(id)).collect();
                out.push_str(&format!(": {}", ids.join(", ")));
            }
            out.push('\n');
        }
    }
    let beside = beside(report);
    if !beside.is_empty() {
        out.push_str("\n## Nothing to try\n\n");
    }
    for (reason, cases) in beside {
        let ids: Vec<String> = cases.iter().map(|id| code(id)).collect();
        out.push_str(&format!("- {}: {}\n", safe(reason), ids.join(", ")));
    }
    out
}
