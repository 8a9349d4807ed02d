//! What a run says of itself that no run of this program says: a capability that the contract does not have,
//! a seed of another form, the health of a card where no card was used.

use super::own::at;
use crate::contract::{Capability, capability};
use crate::harness::record::journal::INTERRUPTED;
use crate::harness::record::{CaseRecord, Mismatch, Part, Record};

/// Every run whose record does not name the head of its journal's chain, although it had the time to.
pub(super) fn headless(record: &Record) -> Vec<Mismatch> {
    let mut all = Vec::new();
    for (index, part) in record.parts.iter().enumerate() {
        let open = |case: &CaseRecord| {
            case.part == index
                && case.reason.as_ref().is_some_and(|reason| reason.starts_with(INTERRUPTED))
        };
        let gone_on_with = part.seed_given && index + 1 < record.parts.len();
        let killed = part.is_sealed() || gone_on_with || record.cases.iter().any(open);
        if part.journal.is_none() && !killed {
            all.push(at("journal", "the head of the run's journal", "none"));
        }
    }
    all
}

/// Everything of that kind.
pub(super) fn differences(part: &Part) -> Vec<Mismatch> {
    let mut all = Vec::new();
    let known: Vec<String> = Capability::ALL.into_iter().map(capability::name).collect();
    for (name, word) in &part.capabilities {
        if !known.contains(name) {
            all.push(at("capabilities", "a capability of the contract", name));
        }
        if word != "yes" && word != "no" && !word.starts_with("no: ") {
            all.push(at(format!("capabilities, {name}"), "yes, no, or no with a reason", word));
        }
    }
    let digits = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !part.is_sealed() && (part.seed.len() != 16 || !digits(&part.seed)) {
        all.push(at("seed", "16 hex digits", &part.seed));
    }
    if part.commitment.is_some() == part.seed_given {
        let found = if part.seed_given { "both" } else { "neither" };
        all.push(at("seed", "a commitment to it, or that it was given", found));
    }
    if part.device == "cpu" && part.health.is_some() {
        all.push(at("health", "no readings of a card, as the run used none", "some"));
    }
    all
}
