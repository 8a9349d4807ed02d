//! Edits of a file's text, of the journal, and of other files of the run.

use super::Base::{Earned, Refuted};
use crate::edit::How::{Beside, Journal, Text};
use crate::edit::{Edit, noticed, unnoticed};

/// Every edit of this kind.
pub fn edits() -> Vec<Edit> {
    vec![
        noticed(
            "version of the report's format",
            Earned,
            Text(|text| text.replacen("weighbridge.report/2", "weighbridge.report/1", 1)),
        ),
        noticed(
            "version of the record's format",
            Earned,
            Text(|text| text.replacen("weighbridge.record/2", "weighbridge.record/1", 1)),
        ),
        noticed(
            "a field that the format does not have",
            Earned,
            Text(|text| text.replacen("\"record\": {", "\"record\": {\"approved\": true,", 1)),
        ),
        noticed("report cut in half", Earned, Text(|text| text[..text.len() / 2].to_owned())),
        noticed(
            "journal without its last line",
            Refuted,
            Journal(|text| lines(text, |lines| lines.truncate(lines.len() - 1))),
        ),
        noticed(
            "journal without its last two lines",
            Refuted,
            Journal(|text| lines(text, |lines| lines.truncate(lines.len() - 2))),
        ),
        noticed(
            "two lines of the journal exchanged",
            Refuted,
            Journal(|text| lines(text, |lines| lines.swap(1, 2))),
        ),
        noticed(
            "one line of the journal removed",
            Refuted,
            Journal(|text| {
                lines(text, |lines| {
                    lines.remove(1);
                })
            }),
        ),
        noticed(
            "one line of the journal repeated",
            Refuted,
            Journal(|text| lines(text, |lines| lines.insert(1, lines[1]))),
        ),
        noticed(
            "commitment at the journal's beginning",
            Earned,
            Journal(|text| {
                text.replacen("\"commitment\":{\"sha256\":\"", "\"commitment\":{\"sha256\":\"0", 1)
            }),
        ),
        noticed(
            "a verdict in the journal edited",
            Refuted,
            Journal(|text| text.replacen("\"verdict\":\"fail\"", "\"verdict\":\"pass\"", 1)),
        ),
        unnoticed(
            "Markdown or JUnit beside the report",
            Earned,
            Beside,
            "`verify` reads one file; `weighbridge report --from` makes the others again",
        ),
    ]
}

fn lines(text: &str, change: impl FnOnce(&mut Vec<&str>)) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    change(&mut lines);
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}
