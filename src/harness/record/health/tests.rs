//! Tests of a card's health, and made readings for other tests.

use super::*;

/// A healthy reading.
pub fn reading() -> Reading {
    Reading {
        what: "uncorrected memory errors".to_owned(),
        found: "0".to_owned(),
        limit: "0".to_owned(),
        source: "NVML".to_owned(),
        state: State::Healthy,
        remedy: None,
    }
}

/// A sick one.
pub fn sick() -> Reading {
    let remedy = Some("reset the card".to_owned());
    Reading { found: "3".to_owned(), state: State::Sick, remedy, ..reading() }
}

fn unread() -> Reading {
    Reading { what: "Xid errors".to_owned(), state: State::NotReadable, ..reading() }
}

#[test]
fn one_sick_reading_at_either_end_quarantines() {
    let healthy = Health { before: vec![reading(), unread()], ..Health::default() };
    assert!(!healthy.quarantined() && healthy.why().is_none());
    assert_eq!(healthy.line(), "healthy, 1 of 2 readings; not readable: Xid errors");
    for (before, after) in [(vec![sick()], vec![]), (vec![reading()], vec![reading(), sick()])] {
        let health = Health { before, after, anyway: false };
        assert!(health.quarantined());
        assert_eq!(health.line(), "QUARANTINED: uncorrected memory errors: expected 0, found 3");
        assert_eq!(health.remedies(), ["reset the card"]);
        let anyway = Health { anyway: true, ..health };
        assert!(!anyway.quarantined());
        assert!(anyway.line().starts_with("sick, and used at the user's request: "));
    }
}

#[test]
fn what_is_wrong_at_both_ends_is_told_once() {
    let health = Health { before: vec![sick()], after: vec![sick()], anyway: false };
    assert_eq!(health.why().unwrap().matches("found 3").count(), 1);
    assert_eq!(health.remedies().len(), 1);
}
