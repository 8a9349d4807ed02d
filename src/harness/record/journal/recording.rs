//! Holds a record against the journal of its run: the journal's chain must be the one whose head the record names,
//! and what the journal says of its runs and cases must be what the record says.

use std::collections::BTreeMap;

use super::recover::Recovered;
use crate::harness::record::join::same_run;
use crate::harness::record::{CaseRecord, Mismatch, Part, Record};

/// Every difference. The record may be of several runs, of which the journal has some.
pub fn differences(record: &Record, journal: &Recovered) -> Vec<Mismatch> {
    let mut all = Vec::new();
    let mut tell = |place: &str, what: String| {
        all.push(Mismatch { place: place.to_owned(), what });
    };
    let told = &journal.record;
    if told.subject != record.subject {
        tell("journal", "it is about another loader or another suite than the report".to_owned());
        return all;
    }
    let mut places = Vec::new();
    for part in &told.parts {
        let is_this = |other: &Part| (&other.started, &other.seed) == (&part.started, &part.seed);
        let Some(at) = record.parts.iter().position(is_this) else {
            tell("journal", format!("its run of {} is not in the report", part.started));
            return all;
        };
        places.push(at);
        let other = &record.parts[at];
        match (&part.journal, &other.journal) {
            (own, named) if own == named => {}
            (Some(own), Some(named)) => tell(
                "journal",
                format!(
                    "the report names the chain's head {} after {} lines, and the journal has {} after {}",
                    named.sha256, named.lines, own.sha256, own.lines
                ),
            ),
            (Some(_), None) => tell("journal", "the report names no head of its chain".to_owned()),
            (None, _) => {
                tell("journal", "it ends before the head that the report names".to_owned())
            }
        }
        // What the journal lacked is known behind its last line.
        let [left, right] =
            [part, other].map(|part| Part { unjournalled: 0, journal: None, ..part.clone() });
        if !same_run(&left, &right) {
            let started = &part.started;
            tell(
                "journal",
                format!("it says other things of the run of {started} than the report"),
            );
        }
    }
    let recorded: BTreeMap<&str, &CaseRecord> =
        record.cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let mut own = BTreeMap::new();
    for case in &told.cases {
        own.insert(case.id.as_str(), case.part);
        let Some(part) = places.get(case.part).copied() else { continue };
        match recorded.get(case.id.as_str()) {
            None => tell(&case.id, "the journal has it, and the report does not".to_owned()),
            // Another run of the report decided it.
            Some(other) if other.part != part => {}
            Some(other) if CaseRecord { part, ..case.clone() } != **other => {
                tell(&case.id, "the journal has another record of it than the report".to_owned());
            }
            Some(_) => {}
        }
    }
    for case in &record.cases {
        if places.contains(&case.part) && !own.contains_key(case.id.as_str()) {
            tell(&case.id, "the report has it, and the journal does not".to_owned());
        }
    }
    all
}
