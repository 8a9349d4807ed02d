//! Tests the list of mutants. `tests/audit.rs` shows that each mutant lies: cases that the honest
//! loader passes kill it.

use std::collections::BTreeSet;

use crate::mutants::*;

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

#[test]
fn a_silent_mutant_is_one_of_the_mutants() {
    let silent: Vec<&str> = all().filter(|one| one.is_silent()).map(|one| one.name).collect();
    assert_eq!(silent, ["hang", "template-endless"]);
}

#[test]
fn only_the_lenient_one_reads_other_requests_than_were_sent() {
    let text = "{\"id\":1,\"request\":{\"levitate\":{}}}\n";
    for mutant in all() {
        let mut read = String::new();
        let input = input(mutant, text.as_bytes()).read_to_string(&mut read);
        assert!(input.is_ok());
        assert_eq!(read != text, mutant.name == "requests-read-leniently", "{}", mutant.name);
    }
}
