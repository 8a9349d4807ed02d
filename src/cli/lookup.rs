//! Looks up names that people type, and suggests similar names for an unknown one.

use std::collections::BTreeMap;
use std::io;

use thiserror::Error;

use crate::harness::case::Case;
use crate::harness::spec::{Class, Profile, Spec};
use crate::mutants::{self, Mutant};

/// Case ids by requirement id.
pub type Covered = BTreeMap<String, Vec<String>>;

/// Why nothing was shown.
#[derive(Debug, Error)]
pub enum LookupError {
    /// Nothing has that name.
    #[error("unknown {what}: {name}{hint}")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// The name that was given.
        name: String,
        /// What could have been meant, in parentheses; empty if nothing is near.
        hint: String,
    },
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl LookupError {
    pub(super) fn unknown(what: &'static str, name: &str, nearest: Vec<String>) -> Self {
        LookupError::Unknown { what, name: name.to_owned(), hint: hint(&nearest) }
    }
}

impl From<serde_json::Error> for LookupError {
    fn from(error: serde_json::Error) -> Self {
        LookupError::Output(error.into())
    }
}

fn hint(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        names => format!(" (did you mean {}?)", names.join(", ")),
    }
}

/// The profile of this name.
///
/// # Errors
/// If there is none: all three are named.
pub fn profile<'a>(name: &str, spec: &'a Spec) -> Result<&'a Profile, LookupError> {
    spec.profile(name).ok_or_else(|| {
        let all: Vec<&str> = spec.profiles().iter().map(|profile| profile.name.as_str()).collect();
        let hint = format!(" (there are: {})", all.join(", "));
        LookupError::Unknown { what: "profile", name: name.to_owned(), hint }
    })
}

/// The class of this name.
///
/// # Errors
/// If there is none: all are named.
pub fn class<'a>(name: &str, spec: &'a Spec) -> Result<&'a Class, LookupError> {
    spec.class(name).ok_or_else(|| {
        let all: Vec<&str> = spec.classes().iter().map(|class| class.name.as_str()).collect();
        let hint = format!(" (there are: {})", all.join(", "));
        LookupError::Unknown { what: "class", name: name.to_owned(), hint }
    })
}

/// The case of this id.
///
/// # Errors
/// If there is none, with the nearest ids.
pub fn case<'a>(id: &str, cases: &'a [Case]) -> Result<&'a Case, LookupError> {
    cases.iter().find(|case| case.id() == id).ok_or_else(|| unknown_case(id, cases))
}

/// Says that no case has such an id.
pub(super) fn unknown_case(id: &str, cases: &[Case]) -> LookupError {
    let ids: Vec<String> = cases.iter().map(Case::id).collect();
    let hint = match nearest(id, ids.iter().map(String::as_str)).as_slice() {
        [] => " (`weighbridge list --json` shows the id of every case)".to_owned(),
        near => hint(near),
    };
    LookupError::Unknown { what: "case", name: id.to_owned(), hint }
}

/// The mutant of this name.
///
/// # Errors
/// If there is none, with the nearest names.
pub fn mutant(name: &str) -> Result<&'static Mutant, LookupError> {
    mutants::by_name(name).ok_or_else(|| {
        let hint = match nearest(name, mutants::names().into_iter()).as_slice() {
            [] => " (`weighbridge audit --list` shows them all)".to_owned(),
            near => hint(near),
        };
        LookupError::Unknown { what: "mutant", name: name.to_owned(), hint }
    })
}

/// The names that look most like `name`: at most three, and only where they are close.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_ascii_uppercase();
    let bound = (wanted.chars().count() / 3).max(1);
    let mut close: Vec<(usize, &str)> = known
        .map(|known| (distance(&wanted, &known.to_ascii_uppercase()), known))
        .filter(|(distance, _)| *distance <= bound)
        .collect();
    close.sort_unstable();
    close.dedup();
    close.into_iter().take(3).map(|(_, known)| known.to_owned()).collect()
}

/// Edit distance: insertions, deletions, replacements and swaps of neighbours.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let from: Vec<char> = from.chars().collect();
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(a != b);
            let mut best = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("parse", "prase"), 1);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn only_near_names_are_offered() {
        let known = ["parse", "pause", "memory"];
        assert_eq!(nearest("prase", known.into_iter()), ["parse"]);
        assert!(nearest("xyzzy", known.into_iter()).is_empty());
    }
}
