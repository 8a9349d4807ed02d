//! The table of remedies is whole and in one form.

use std::collections::BTreeSet;

use super::*;

#[test]
fn names_fill_their_places_in_order() {
    let row = Remedy { text: "set {} to {}.", ..request::INTERNAL };
    assert_eq!(row.about(["a", "{}"]).text, "set a to {}.");
}

#[test]
fn no_cause_stands_twice() {
    let mut seen = BTreeSet::new();
    for row in all() {
        assert!(seen.insert((row.code.name(), row.cause)), "twice: {row:?}");
    }
}

#[test]
fn remedies_are_sentences() {
    for row in all() {
        assert!(row.text.ends_with('.'), "{row:?}");
        assert!(
            row.text.starts_with(|c: char| c.is_uppercase() || c == '`' || c == '{'),
            "{row:?}"
        );
        assert!(!row.text.contains("  ") && !row.cause.ends_with('.'), "{row:?}");
    }
}
