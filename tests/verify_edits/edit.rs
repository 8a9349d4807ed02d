//! One kind of edit, and the table of all.

use weighbridge::harness::record::{Record, Report};

use super::runs::Base;

/// One kind of edit.
#[derive(Clone)]
pub struct Edit {
    /// What is edited, in words.
    pub kind: &'static str,
    /// Of which report.
    pub of: Base,
    /// How.
    pub how: How,
    /// What must come of it.
    pub mark: Mark,
}

/// How a report is edited.
#[derive(Clone, Copy)]
pub enum How {
    /// The record, whose judgement is derived again.
    Record(fn(&mut Record)),
    /// The report as it is.
    Report(fn(&mut Report)),
    /// Its text.
    Text(fn(&str) -> String),
    /// The text of the run's journal.
    Journal(fn(&str) -> String),
    /// The same, and the report is held against it.
    Recording(fn(&str) -> String),
    /// The report, and the journal as it is.
    Headed(fn(&mut Record)),
    /// The journal, and the report whose head is then that of the journal.
    Both(fn(&str) -> String),
    /// Another file of the run.
    Beside,
}

/// What must come of an edit.
#[derive(Clone, Copy)]
pub enum Mark {
    /// `verify` names a mismatch.
    Noticed,
    /// `verify` says that the report is about another suite, and fails with `--own-suite`.
    OtherSuite,
    /// Nothing in the report depends on it, for this reason.
    OnlyASignature(&'static str),
}

/// An edit that is noticed.
pub fn noticed(kind: &'static str, of: Base, how: How) -> Edit {
    Edit { kind, of, how, mark: Mark::Noticed }
}

/// An edit that only a signature can show.
pub fn unnoticed(kind: &'static str, of: Base, how: How, why: &'static str) -> Edit {
    Edit { kind, of, how, mark: Mark::OnlyASignature(why) }
}

/// The table as a document.
pub fn table(all: &[Edit]) -> String {
    let seen = all.iter().filter(|edit| matches!(edit.mark, Mark::Noticed)).count();
    let other = all.iter().filter(|edit| matches!(edit.mark, Mark::OtherSuite)).count();
    let mut text = format!(
        "# What `verify` notices of an edited report\n\nOf {} kinds of edits {seen} are noticed, and {other} is \
         told as a report of another suite. The others change what nothing else in the report depends on, so only \
         a signature can show them. `tests/verify_edits.rs` makes every edit and writes this table. After an edit \
         of the record it derives the judgement again, as a forger would.\n\n| edit | noticed |\n|---|---|\n",
        all.len()
    );
    for edit in all {
        let mark = match edit.mark {
            Mark::Noticed => "yes".to_owned(),
            Mark::OtherSuite => "told as another suite; `--own-suite` fails".to_owned(),
            Mark::OnlyASignature(why) => format!("only a signature can: {why}"),
        };
        text.push_str(&format!("| {} | {mark} |\n", edit.kind));
    }
    text
}
