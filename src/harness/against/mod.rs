//! Holds a record against the suite that it names, where that is the suite of this program.
//!
//! The record's own consistency (`record/verify`) cannot show that a requirement is missing or that a failure
//! was made a warning. The suite in this program says which requirements, cases and checks there must be.

mod capabilities;
mod case;
mod classes;
mod own;
mod policy;
mod refusal;
mod relations;
mod rows;
mod run;
mod schedule;
mod scope;
mod selection;
mod stage;
mod stages;
mod stages_of;
mod subject;
mod surplus;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

pub use self::own::Own;
use self::own::at;
use super::case::Case;
use super::record::{FORMAT, Mismatch, Record, Stored};

/// What was found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether its record is about the suite of this program. Of another one, only the record's own
    /// consistency was checked.
    pub own_suite: bool,
    /// Everything that does not agree.
    pub mismatches: Vec<Mismatch>,
}

/// Verifies a file: that it agrees with itself, and with the suite of this program if it names that.
pub fn verify(stored: &Stored, own: Own<'_>) -> Verified {
    let mut verified = with(stored.verify(), stored.record(), own);
    if verified.own_suite && !matches!(stored, Stored::Journal(_)) {
        verified.mismatches.extend(run::headless(stored.record()));
    }
    verified
}

/// The same of a file that is to be merged: the journal of an interrupted run may be, because another run may
/// have the cases that are open.
pub fn verify_part(stored: &Stored, own: Own<'_>) -> Verified {
    let itself = match stored {
        Stored::Journal(recovered) => recovered.record.verify(),
        other => other.verify(),
    };
    with(itself, stored.record(), own)
}

fn with(mut mismatches: Vec<Mismatch>, record: &Record, own: Own<'_>) -> Verified {
    let named = subject::of(record, own);
    mismatches.extend(named.mismatches);
    if named.own_suite {
        mismatches.extend(suite(record, own));
    }
    Verified { own_suite: named.own_suite, mismatches }
}

/// Every difference between a record and the suite.
fn suite(record: &Record, own: Own<'_>) -> Vec<Mismatch> {
    let table = super::class::table(own.spec, own.cases.cases());
    let mut found = classes::differences(record.classes.as_ref(), &table);
    if record.format != FORMAT {
        found.push(at("format", FORMAT, &record.format));
    }
    let Some(scope) = scope::Scope::named(&record.subject.profile, own.spec) else {
        found.push(at("profile", "a profile or a class of the suite", &record.subject.profile));
        return found;
    };
    let wanted: Vec<_> =
        record.parts.iter().map(|part| scope.of_part(part, record, &table, own)).collect();
    found.extend(record.parts.iter().flat_map(run::differences));
    for wanted in &wanted {
        found.extend(rows::differences(&record.requirements, &wanted.rows));
    }
    found.extend(schedule::differences(record, &wanted, own));
    let cases: BTreeMap<String, &Case> =
        own.cases.cases().iter().map(|case| (case.id(), case)).collect();
    for case in &record.cases {
        match cases.get(&case.id) {
            Some(own) => found.extend(case::differences(case, own, record, scope)),
            None => found.push(at(&case.id, "a case of the suite", "no such case there")),
        }
    }
    // Several runs of one record may differ from the suite alike.
    let mut told = BTreeSet::new();
    found.retain(|one| told.insert(one.to_string()));
    found
}
