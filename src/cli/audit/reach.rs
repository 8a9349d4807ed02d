//! Which mutants can be tried on a machine. On one that lacks what a lie is about, a mutant is honest.

use crate::contract::Device;
use crate::harness::case::Case;
use crate::harness::run::obstacle_with;
use crate::mutants::Mutant;

/// Why a mutant cannot be tried on a device of a machine with so many cards, if so.
pub fn beyond(mutant: &Mutant, cases: &[Case], device: Device, cards: u32) -> Option<String> {
    if mutant.needs_gpu && !device.is_gpu() {
        return Some("its lie is about GPU memory".to_owned());
    }
    if mutant.needs_host() && device.is_gpu() {
        return Some("its lie is about processes in host memory".to_owned());
    }
    if mutant.needs_ranks() && device.is_gpu() && cards < 2 {
        return Some(
            "its lie is about ranks beside each other, and this machine shows one card".to_owned(),
        );
    }
    let claiming = cases.iter().filter(|case| case.kills.contains(mutant.name));
    let obstacles: Option<Vec<String>> =
        claiming.map(|case| obstacle_with(case, device, || cards)).collect();
    // Where one of its cases can be tried, it is tried with all.
    let first = obstacles?.into_iter().next()?;
    Some(format!("of the cases that claim to refute it, none can be tried: {first}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::case::read::CaseSet;
    use crate::mutants;

    #[test]
    fn a_mutant_is_left_out_where_none_of_its_cases_can_be_tried() {
        let cases = CaseSet::embedded(&mutants::names()).unwrap();
        let why = |name: &str, device, cards_here| {
            let mutant = mutants::all().find(|one| one.name == name).unwrap();
            beyond(mutant, cases.cases(), device, cards_here)
        };
        let card = Device::Cuda(0);
        for (name, device, fewest) in [
            // About several cards, about ranks that run together, and about ranks beside each other.
            ("card-zero-always", card, Some(2)),
            ("cards-in-own-order", card, Some(2)),
            ("absent-card-in-host-memory", card, Some(2)),
            ("sum-as-mean", card, Some(2)),
            ("part-changed-by-run", card, Some(2)),
            ("slow-rank-not-waited-for", card, Some(2)),
            // About host memory, and about a GPU.
            ("memory-a-read", card, None),
            ("segment-by-number", card, None),
            ("machine-locked-in-load", card, Some(1)),
            ("lost-rank-for-good", card, Some(1)),
            ("memory-a-read", Device::Cpu, Some(0)),
            ("sum-as-mean", Device::Cpu, Some(0)),
            ("card-zero-always", Device::Cpu, None),
        ] {
            for cards in u32::from(device.is_gpu())..4 {
                let tried = fewest.is_some_and(|fewest| cards >= fewest);
                let found = why(name, device, cards);
                assert_eq!(found.is_none(), tried, "{name}, {cards}: {found:?}");
            }
        }
        let found = why("cards-in-own-order", card, 1).unwrap();
        assert!(found.ends_with("needs 2 cards, and this machine shows 1"), "{found}");
    }
}
