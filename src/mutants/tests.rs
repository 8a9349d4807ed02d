//! That the list is sound. Whether each mutant really lies is what `tests/audit.rs` shows: it is
//! killed, and by cases that the honest loader passes.

use std::collections::BTreeSet;

use super::*;

#[test]
fn names_are_unique_and_found() {
    let unique: BTreeSet<&str> = names().into_iter().collect();
    assert_eq!(unique.len(), all().count());
    for mutant in all() {
        assert_eq!(by_name(mutant.name).map(|found| found.lie), Some(mutant.lie));
        assert!(!mutant.seen_in.is_empty());
    }
    assert!(by_name("honest").is_none());
}
