//! Which suite a record is about, by its digests and by the program that it says it was made by.

use super::own::{Own, at};
use crate::harness::evidence::build;
use crate::harness::fixture::embedded_digest;
use crate::harness::record::{Mismatch, Record};

/// What a record's subject says of the suite.
pub(super) struct Named {
    /// Whether it is the suite of this program.
    pub(super) own_suite: bool,
    /// What a record of this program cannot say.
    pub(super) mismatches: Vec<Mismatch>,
}

/// Compares the digests. A record that says it was made by this program is about its suite, whatever its
/// digests say.
pub(super) fn of(record: &Record, own: Own<'_>) -> Named {
    let subject = &record.subject;
    let (binary, fixtures) = (build::binary_digest(), embedded_digest());
    let digests = [
        ("digest of the spec", own.spec.digest(), &subject.spec),
        ("digest of the cases", own.cases.digest(), &subject.cases),
        ("digest of the fixtures", fixtures.as_str(), &subject.fixtures),
    ];
    let same_program = subject.binary == binary;
    // Two builds of a changed working tree have one name.
    let same_commit = subject.commit == build::COMMIT && !build::COMMIT.ends_with("-dirty");
    let mut mismatches = Vec::new();
    let mut compare = |place: &str, expected: &str, found: &str| {
        if expected != found {
            mismatches.push(at(place, expected, found));
        }
    };
    if same_program || same_commit {
        digests.into_iter().for_each(|(place, expected, found)| compare(place, expected, found));
        compare("version of the suite", env!("CARGO_PKG_VERSION"), &subject.suite);
    }
    if same_program {
        compare("commit", build::COMMIT, &subject.commit);
    }
    let same_digests = digests.iter().all(|(_, expected, found)| *expected == found.as_str());
    Named { own_suite: same_program || same_commit || same_digests, mismatches }
}
