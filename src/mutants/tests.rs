//! Tests the list of mutants. `tests/audit.rs` shows that each mutant lies: cases that the honest
//! loader passes kill it.

mod on_gpus;

use std::collections::BTreeSet;
use std::mem::ManuallyDrop;

use tempfile::TempDir;

use crate::contract::reply::Reply;
use crate::contract::request::{Hello, Request};
use crate::contract::{Capability, PROTOCOL};
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
fn lies_about_shared_segments_are_of_the_host() {
    let of_host: Vec<&str> = all().filter(|one| one.needs_host()).map(|one| one.name).collect();
    assert_eq!(of_host, ["segment-by-number"]);
}

#[test]
fn a_silent_mutant_is_one_of_the_mutants() {
    let silent: Vec<&str> = all().filter(|one| one.is_silent()).map(|one| one.name).collect();
    let known = ["hang", "lost-rank-waited-for", "machine-locked-in-load", "template-endless"];
    assert_eq!(silent, known);
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

#[test]
fn every_mutant_greets_like_a_loader_that_can_be_judged() {
    for mutant in all() {
        let folder = TempDir::new().expect("a folder");
        let scratch = folder.path().join("own");
        let hello = Hello { protocol: PROTOCOL, nonce: "n".to_owned(), scratch };
        // Some abort when they are dropped.
        let mut loader = ManuallyDrop::new((mutant.make)());
        let Ok(Reply::Hello(told)) = loader.answer(Request::Hello(hello)) else {
            panic!("{} is not made or does not greet", mutant.name);
        };
        assert_eq!((told.protocol, told.nonce.as_str()), (PROTOCOL, "n"), "{}", mutant.name);
        assert_eq!(told.name, "weighbridge-reference", "{}", mutant.name);
        let declared = Capability::ALL.iter().all(|one| told.capabilities.contains_key(one));
        assert!(declared, "{}", mutant.name);
    }
}
