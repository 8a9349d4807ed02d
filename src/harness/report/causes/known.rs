//! What a report says of the known failures of its run.

use crate::harness::record::known::{Known, State};
use crate::harness::report::text::{Table, count};

/// The list in one line: `3 of 3 as listed, 31 cases; no other failure: the run ended as listed`.
pub fn line(known: &Known) -> String {
    let entries = known.entries.len();
    let cases: usize = known.entries.iter().map(|one| one.cases.len()).sum();
    let mut line = format!(
        "{} of {entries} as listed, {}",
        known.as_listed(),
        count(cases as u64, "case", "cases")
    );
    if !known.one_list {
        line.push_str("; the runs of this record were given different lists");
    }
    let stale = known.entries.iter().filter(|one| one.state.is_stale()).count() as u64;
    if stale > 0 {
        line.push_str(&format!("; {} to mend", count(stale, "entry", "entries")));
    }
    match known.unlisted.len() as u64 {
        0 if stale == 0 && known.one_list => {
            line.push_str("; no other failure: the run ended as listed");
        }
        0 => line.push_str("; no other failure"),
        more => line.push_str(&format!("; {} not listed", count(more, "failure", "failures"))),
    }
    line
}

/// What is not as an entry says, a line each.
pub fn faults(known: &Known) -> Vec<String> {
    let open = known.entries.iter().filter(|one| one.state != State::AsListed);
    open.map(|one| {
        let why = one.why.as_deref().unwrap_or_default();
        let (pattern, owner) = (&one.entry.pattern, &one.entry.owner);
        format!("{pattern}: {}: {why} (owner {owner})", one.state.name())
    })
    .collect()
}

/// Every entry, a row each.
pub fn table(known: &Known) -> Table {
    let head = ["match", "check", "state", "cases", "reason", "owner", "until", "link"];
    let mut table = Table::new(head.len(), head);
    for one in &known.entries {
        let entry = &one.entry;
        let state = match &one.why {
            Some(why) => format!("{}: {why}", one.state.name()),
            None => one.state.name().to_owned(),
        };
        let cases = one.cases.len().to_string();
        table.row([
            entry.pattern.clone(),
            entry.check.clone(),
            state,
            cases,
            entry.reason.clone(),
            entry.owner.clone(),
            entry.until.clone(),
            entry.link.clone(),
        ]);
    }
    table
}

/// Why a cause is known: its cases are listed, all of them or some.
pub fn note<'c>(known: Option<&Known>, cases: impl IntoIterator<Item = &'c str>) -> Option<String> {
    let known = known?;
    let cases: Vec<&str> = cases.into_iter().collect();
    let listed = cases.iter().filter(|case| known.entry(case).is_some()).count();
    let entry = cases.iter().find_map(|case| known.entry(case))?;
    let some = match listed == cases.len() {
        true => String::new(),
        false => format!(", {listed} of {} cases", cases.len()),
    };
    let (reason, owner, until, link) = (&entry.reason, &entry.owner, &entry.until, &entry.link);
    Some(format!("known{some}: {reason} ({owner}, until {until}, {link})"))
}
