//! What failed and what is open, as plain text for the end of a run.

use super::cause::{Cause, Rank, causes};
use super::known;
use super::open::{NOT_SELECTED, Open, beside, open};
use crate::harness::record::{Report, Verdict};
use crate::harness::report::outcome::evidence;
use crate::harness::report::text::{count, cut, plain};

/// How many characters of a title are shown, and of a reason.
const TITLE: usize = 240;
/// Where lists of ids are wrapped.
const WIDTH: usize = 100;

/// Every failed requirement by cause, the known failures, and every open requirement by reason. In full, each
/// failed case has a line too, and so have the ids of all open requirements.
pub fn screen(report: &Report, in_full: bool) -> String {
    let mut out = String::new();
    let known = report.judgement.known.as_ref();
    let causes = causes(report);
    if !causes.is_empty() {
        out.push_str(&format!("What failed: {}\n", summary(&causes)));
    }
    for (index, cause) in causes.iter().enumerate() {
        out.push_str(&format!("\n{}. {}\n", index + 1, plain(&heading(cause))));
        out.push_str(&wrapped(&cause.requirements, "   "));
        let mut line = |text: &str| out.push_str(&format!("   {}\n", plain(text)));
        if let Some(place) = &cause.place {
            line(&format!("for example {}: {place}", cause.cases[0].id));
        }
        if let Some(note) = known::note(known, cause.cases.iter().map(|case| case.id.as_str())) {
            line(&note);
        }
        line(&format!("again: {}", cause.cases[0].repeat));
        if in_full {
            for case in &cause.cases {
                line(&format!("  {}: {}", case.id, cut(&evidence(case), TITLE)));
            }
        }
    }
    if let Some(known) = known {
        let gap = if out.is_empty() { "" } else { "\n" };
        out.push_str(&format!("{gap}Known failures: {}\n", plain(&known::line(known))));
        for fault in known::faults(known) {
            out.push_str(&format!("  {}\n", plain(&cut(&fault, TITLE))));
        }
        let unlisted: Vec<&str> = known.unlisted.iter().map(String::as_str).collect();
        if !unlisted.is_empty() {
            out.push_str(&format!("  not listed:\n{}", wrapped(&unlisted, "    ")));
        }
    }
    for (heading, verdict) in
        [("Untested", Verdict::Untested), ("Unsupported", Verdict::Unsupported)]
    {
        let groups = open(report, verdict);
        if groups.is_empty() {
            continue;
        }
        let number: usize = groups.iter().map(|group| group.requirements.len()).sum();
        let gap = if out.is_empty() { "" } else { "\n" };
        let number = count(number as u64, "requirement", "requirements");
        out.push_str(&format!("{gap}{heading}: {number}\n"));
        for group in &groups {
            out.push_str(&still_open(group, verdict == Verdict::Unsupported, in_full));
        }
    }
    for (reason, cases) in beside(report) {
        let gap = if out.is_empty() { "" } else { "\n" };
        let number = count(cases.len() as u64, "case", "cases");
        out.push_str(&format!("{gap}Nothing to try: {number}, {}\n", plain(&cut(reason, TITLE))));
        out.push_str(&wrapped(&cases, "    "));
    }
    out
}

/// The number of causes and what they have: `12 requirements in 45 cases, by 3 causes`.
pub fn summary(causes: &[Cause<'_>]) -> String {
    let mut requirements: Vec<&str> =
        causes.iter().flat_map(|cause| &cause.requirements).copied().collect();
    requirements.sort_unstable();
    requirements.dedup();
    let cases: usize = causes.iter().map(|cause| cause.cases.len()).sum();
    format!(
        "{} in {}, {}",
        count(requirements.len() as u64, "requirement", "requirements"),
        count(cases as u64, "case", "cases"),
        count(causes.len() as u64, "cause", "causes")
    )
}

/// A cause's title, with how much it touches.
pub fn heading(cause: &Cause<'_>) -> String {
    let kind = match cause.rank {
        Rank::Warning => "warning: ",
        Rank::Harness => "a fault of the harness: ",
        Rank::Values | Rank::Behaviour | Rank::Outputs => "",
    };
    format!(
        "{kind}{} ({}, {})",
        cut(&cause.title, TITLE),
        count(cause.requirements.len() as u64, "requirement", "requirements"),
        count(cause.cases.len() as u64, "case", "cases")
    )
}

fn still_open(group: &Open<'_>, by_capability: bool, in_full: bool) -> String {
    let number = count(group.requirements.len() as u64, "requirement", "requirements");
    let reason = plain(&cut(&group.reason, TITLE));
    let mut out = format!("  {reason} ({number})\n");
    // A run of one section leaves out most of the spec.
    let is_many = by_capability || group.reason == NOT_SELECTED;
    if in_full || !is_many {
        out.push_str(&wrapped(&group.requirements, "    "));
    }
    out
}

/// Ids with commas, in lines of a bearable width.
fn wrapped(ids: &[&str], indent: &str) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for (index, id) in ids.iter().enumerate() {
        let id = plain(id);
        if !line.is_empty() && indent.len() + line.len() + id.len() + 1 > WIDTH {
            out.push_str(&format!("{indent}{}\n", line.trim_end()));
            line.clear();
        }
        line.push_str(&id);
        line.push_str(if index + 1 < ids.len() { ", " } else { "" });
    }
    out.push_str(&format!("{indent}{}\n", line.trim_end()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::sample;

    #[test]
    fn the_screen_names_every_failed_requirement_once_and_a_command_for_each_cause() {
        let report = Report::of(sample::record());
        let text = screen(&report, false);
        for case in report.record.cases.iter().filter(|case| case.verdict.refutes()) {
            assert!(text.contains(&case.requirement), "{} is not named:\n{text}", case.requirement);
        }
        let causes = causes(&report).len();
        assert_eq!(text.matches("again: weighbridge certify").count(), causes, "{text}");
        assert!(
            text.contains("Untested: ") && text.contains("Unsupported: 1 requirement"),
            "{text}"
        );
        assert!(!text.contains("::empty_tensor"), "a case that passed is shown:\n{text}");
        assert!(screen(&report, true).len() > text.len());
        assert_eq!(screen(&Report::of(sample::clean()), true), "");
    }

    #[test]
    fn long_lists_of_ids_are_wrapped() {
        let ids = vec!["F-PARSE-042"; 20];
        let text = wrapped(&ids, "  ");
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert_eq!(text.matches("F-PARSE-042").count(), 20);
    }
}
