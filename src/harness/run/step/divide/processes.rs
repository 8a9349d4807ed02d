//! Which processes of a loader came with a divided load, and which of them hold a rank. Nothing that the loader says
//! is asked: all of it is read from `/proc`.

use std::collections::BTreeMap;

use crate::harness::family;

/// Processes by their ids, each with the time of its start, because an id is given again.
pub type Known = BTreeMap<u32, u64>;

/// A process that holds a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it was started.
    pub start: u64,
}

impl Process {
    /// Whether it lives.
    pub fn lives(self) -> bool {
        family::lives(self.pid, self.start)
    }
}

/// Those of a family that live, with their start times.
pub fn known(family: &[u32]) -> Known {
    family.iter().filter_map(|pid| Some((*pid, family::start_time(*pid)?))).collect()
}

/// Those that were not there before. A process with an old id and another start is a new one.
pub fn came(before: &Known, now: &Known) -> Vec<Process> {
    let is_new = |(pid, start): &(&u32, &u64)| before.get(pid) != Some(start);
    let process = |(pid, start): (&u32, &u64)| Process { pid: *pid, start: *start };
    now.iter().filter(is_new).map(process).collect()
}

/// Those of them that hold a rank, the one with the most memory first: a helper that a library has started holds
/// less than half of a rank.
pub fn of_ranks(came: &[Process], held: impl Fn(Process) -> u64, rank_bytes: u64) -> Vec<Process> {
    let mut all: Vec<(u64, Process)> = came.iter().map(|one| (held(*one), *one)).collect();
    all.retain(|(held, _)| *held >= rank_bytes.div_ceil(2).max(1));
    all.sort_by_key(|(held, one)| (std::cmp::Reverse(*held), one.pid));
    all.into_iter().map(|(_, one)| one).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    const LOADER: (u32, u64) = (100, 1);

    fn process((pid, start): (u32, u64)) -> Process {
        Process { pid, start }
    }

    #[test]
    fn neither_the_loader_nor_an_older_process_came_with_the_load() {
        let before = Known::from([LOADER, (101, 2), (102, 3)]);
        assert_eq!(came(&before, &before), []);
        // One has ended, its id was given again, and another one is new.
        let now = Known::from([LOADER, (101, 2), (102, 9), (103, 9)]);
        assert_eq!(came(&before, &now), [process((102, 9)), process((103, 9))]);
    }

    #[test]
    fn a_helper_is_no_rank_and_the_largest_one_is_first() {
        let came = [(7, 1), (8, 1), (9, 1), (10, 1)].map(process);
        let held = |one: Process| match one.pid {
            7 => 49,
            8 => 50,
            9 => 120,
            _ => 120,
        };
        let ranks = of_ranks(&came, held, 100);
        assert_eq!(ranks, [(9, 1), (10, 1), (8, 1)].map(process));
        assert_eq!(of_ranks(&came[..1], held, 100), []);
        // What is gone holds nothing, and no rank is as small as that.
        assert_eq!(of_ranks(&came, |_| 0, 0), []);
    }

    #[test]
    fn a_process_is_seen_as_soon_as_it_is_started_and_not_when_it_has_ended() {
        let own = std::process::id();
        let below = || known(&family::below(own));
        let mut older = sleeping();
        let before = below();
        let mut newer = sleeping();
        let found = came(&before, &below());
        // Other tests start processes too.
        assert!(found.iter().any(|one| one.pid == newer.id() && one.lives()));
        assert!(found.iter().all(|one| one.pid != older.id()));
        for child in [&mut older, &mut newer] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(!found.iter().any(|one| one.pid == newer.id() && one.lives()));
    }

    fn sleeping() -> Child {
        Command::new("sleep").arg("600").spawn().unwrap()
    }
}
