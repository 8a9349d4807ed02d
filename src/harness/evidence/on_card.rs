//! Whether a card holds the memory that a loader says is there: NVML's figures of the loader's processes.
//!
//! The driver does not tell: for memory that was opened by CUDA IPC it names the card of whoever opened it.

use std::collections::BTreeMap;

use crate::contract::Device;
use crate::gpu::nvml;
use crate::harness::record::{Basis, Check};

/// The processes that NVML lists on a card, with the bytes of each where it knows them.
pub type Listed = Result<Vec<(u32, Option<u64>)>, String>;

/// What is told of a card, where NVML cannot.
const DECLARED: &str = "as the loader says";

/// Compares the card that was told with what NVML lists there and, where that is too little, on the other cards.
pub fn check(told: u32, wanted: u64, family: &[u32], cards: u32) -> Check {
    let list = |ordinal| nvml::processes(ordinal).map_err(|error| error.to_string());
    let mut listed = vec![(told, list(told))];
    if !matches!(figures(told, family, std::process::id(), &listed), Ok((held, _)) if held >= wanted)
    {
        listed.extend((0..cards).filter(|other| *other != told).map(|other| (other, list(other))));
    }
    decided(told, wanted, family, std::process::id(), &listed)
}

/// The check that follows from the lists of the cards. `own` is the judge, which has a context on the told card.
fn decided(told: u32, wanted: u64, family: &[u32], own: u32, listed: &[(u32, Listed)]) -> Check {
    let what = format!("memory of the loader on {}, by NVML", Device::Cuda(told));
    match figures(told, family, own, listed) {
        Err(why) => Check::judged(what, DECLARED, Ok(why), Basis::Declared),
        Ok((held, elsewhere)) => {
            let elsewhere: String = elsewhere
                .iter()
                .map(|(card, bytes)| format!(", {bytes} on {}", Device::Cuda(*card)))
                .collect();
            let found = format!("{held} bytes{elsewhere}");
            Check::within(what, format!("at least {wanted} bytes"), found, Basis::Observed)
        }
    }
}

/// The bytes of a family on the told card, and on each other card where it has any; or why NVML cannot tell.
///
/// In a container NVML may name other process ids than the judge sees, or none. So it is believed only where it lists
/// the judge itself, and the family on some card: whoever exports device memory has a context.
fn figures(
    told: u32,
    family: &[u32],
    own: u32,
    listed: &[(u32, Listed)],
) -> Result<(u64, Vec<(u32, u64)>), String> {
    let mut held = None;
    let mut elsewhere = Vec::new();
    for (card, processes) in listed {
        let processes = match processes {
            Ok(processes) => processes,
            Err(why) if *card == told => return Err(why.clone()),
            Err(_) => continue,
        };
        if *card == told && !processes.iter().any(|(pid, _)| *pid == own) {
            return Err(format!(
                "NVML does not list the judge's own process on {}",
                Device::Cuda(told)
            ));
        }
        let theirs = processes.iter().filter(|(pid, _)| family.contains(pid));
        let bytes: Option<Vec<u64>> = theirs.map(|(_, bytes)| *bytes).collect();
        let bytes = bytes.ok_or("NVML lists a process of the loader without its memory")?;
        match *card == told {
            true => held = Some(bytes),
            false if bytes.is_empty() => {}
            false => elsewhere.push((*card, bytes.iter().sum())),
        }
    }
    let held = held.ok_or_else(|| format!("{} was not looked at", Device::Cuda(told)))?;
    if held.is_empty() && elsewhere.is_empty() {
        return Err("NVML lists no process of the loader on any card".to_owned());
    }
    Ok((held.iter().sum(), elsewhere))
}

/// What each process holds on all cards, in bytes. One that NVML does not list, or of which it does not tell, is left out.
pub fn by_process(cards: u32) -> BTreeMap<u32, u64> {
    let listed = (0..cards).filter_map(|ordinal| nvml::processes(ordinal).ok()).flatten();
    let mut held = BTreeMap::new();
    for (pid, bytes) in listed {
        bytes.into_iter().for_each(|bytes| *held.entry(pid).or_default() += bytes);
    }
    held
}

/// How many bytes these ranges of addresses cover, each from its first byte to behind its last: a loader may export one
/// allocation several times.
pub fn covered(mut ranges: Vec<(u64, u64)>) -> u64 {
    ranges.sort_unstable();
    let (mut bytes, mut end) = (0, 0);
    for (first, behind) in ranges {
        bytes += behind.saturating_sub(first.max(end));
        end = end.max(behind);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The judge, the loader and a process that it has started.
    const OWN: u32 = 7;
    const FAMILY: [u32; 2] = [8, 9];

    type Processes = [(u32, Option<u64>)];

    fn of(wanted: u64, listed: &[(u32, &Processes)]) -> Check {
        let listed: Vec<(u32, Listed)> =
            listed.iter().map(|(card, processes)| (*card, Ok(processes.to_vec()))).collect();
        decided(1, wanted, &FAMILY, OWN, &listed)
    }

    #[test]
    fn the_told_card_holds_what_was_exported() {
        let check = of(100, &[(1, &[(OWN, Some(5)), (8, Some(60)), (9, Some(40))])]);
        assert!(check.held && check.basis == Basis::Observed, "{check:?}");
        let check = of(101, &[(1, &[(OWN, Some(500)), (8, Some(60)), (9, Some(40))])]);
        assert!(!check.held, "the judge's own memory is not the loader's: {check:?}");
    }

    #[test]
    fn memory_on_another_card_is_seen() {
        let on_first: &Processes = &[(OWN, Some(5)), (8, Some(900))];
        let nothing = of(100, &[(1, &[(OWN, Some(5))]), (0, on_first)]);
        assert!(!nothing.held && nothing.basis == Basis::Observed, "{nothing:?}");
        assert_eq!(nothing.found, "0 bytes, 900 on cuda:0");
        let little = of(100, &[(1, &[(OWN, Some(5)), (9, Some(99))]), (0, on_first)]);
        assert!(!little.held && little.found == "99 bytes, 900 on cuda:0", "{little:?}");
    }

    #[test]
    fn where_nvml_cannot_tell_the_loaders_word_is_recorded_as_such() {
        let other_ids: &Processes = &[(4001, Some(5)), (4002, Some(900))];
        for (listed, why) in [
            (vec![(1, other_ids)], "the judge's own process on cuda:1"),
            (vec![(1, &[(OWN, Some(5))][..]), (0, other_ids)], "no process of the loader"),
            (vec![(1, &[(OWN, Some(5)), (8, None)][..])], "without its memory"),
            (vec![(1, &[(OWN, Some(5))][..]), (0, &[(8, None)][..])], "without its memory"),
            (vec![(0, &[(8, Some(900))][..])], "cuda:1 was not looked at"),
        ] {
            let check = of(100, &listed);
            assert!(check.held && check.basis == Basis::Declared, "{check:?}");
            assert!(check.found.starts_with(DECLARED) && check.found.contains(why), "{check:?}");
        }
        let unread = decided(1, 100, &FAMILY, OWN, &[(1, Err("NVML is not here".to_owned()))]);
        assert!(unread.basis == Basis::Declared && unread.found.contains("not here"), "{unread:?}");
        // Another card may be out of sight; the told one decides.
        let out_of_sight = (0, Err("out of sight".to_owned()));
        let listed = [(1, Ok(vec![(OWN, Some(5)), (8, Some(100))])), out_of_sight];
        assert_eq!(decided(1, 100, &FAMILY, OWN, &listed).basis, Basis::Observed);
    }

    #[test]
    fn a_byte_that_was_exported_twice_counts_once() {
        assert_eq!(covered(vec![(0, 100), (100, 150)]), 150);
        assert_eq!(covered(vec![(50, 150), (0, 100), (60, 70), (0, 100)]), 150);
        assert_eq!(covered(vec![(500, 600), (0, 10)]), 110);
        assert_eq!(covered(Vec::new()), 0);
    }
}
