//! Intervals of indices in one dimension of a tensor, and arithmetic on lists of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The indices from `begin` to before `end`. A document writes it as `[begin, end]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "[u64; 2]", into = "[u64; 2]")]
pub struct Interval {
    /// The first index.
    pub begin: u64,
    /// The index behind the last one.
    pub end: u64,
}

impl Interval {
    /// The indices from `begin` to before `end`.
    pub const fn new(begin: u64, end: u64) -> Self {
        Interval { begin, end }
    }

    /// Number of indices; none if it ends before it begins.
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.begin)
    }

    /// Whether it has no index.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The indices that two intervals share.
    pub fn common(self, other: Interval) -> Interval {
        Interval::new(self.begin.max(other.begin), self.end.min(other.end))
    }
}

impl From<[u64; 2]> for Interval {
    fn from([begin, end]: [u64; 2]) -> Self {
        Interval { begin, end }
    }
}

impl From<Interval> for [u64; 2] {
    fn from(interval: Interval) -> Self {
        [interval.begin, interval.end]
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.begin, self.end)
    }
}

/// The same indices in the same order, with empty intervals left out and neighbours joined.
pub fn joined(list: &[Interval]) -> Vec<Interval> {
    let mut all: Vec<Interval> = Vec::new();
    for one in list.iter().filter(|one| !one.is_empty()) {
        match all.last_mut() {
            Some(last) if last.end == one.begin => last.end = one.end,
            _ => all.push(*one),
        }
    }
    all
}

/// Number of indices; one that is listed twice counts twice.
pub fn count(list: &[Interval]) -> u64 {
    list.iter().fold(0, |sum, one| sum.saturating_add(one.len()))
}

/// The indices as a set: sorted, each once.
pub fn set(list: &[Interval]) -> Vec<Interval> {
    let mut sorted: Vec<Interval> = list.iter().copied().filter(|one| !one.is_empty()).collect();
    sorted.sort_unstable();
    let mut all: Vec<Interval> = Vec::new();
    for one in sorted {
        match all.last_mut() {
            Some(last) if one.begin <= last.end => last.end = last.end.max(one.end),
            _ => all.push(one),
        }
    }
    all
}

/// The parts of a list inside of an interval, in the list's order.
pub fn within(list: &[Interval], bound: Interval) -> Vec<Interval> {
    list.iter().map(|one| one.common(bound)).filter(|one| !one.is_empty()).collect()
}

/// Whether two lists have an index in common.
pub fn meet(a: &[Interval], b: &[Interval]) -> bool {
    let (a, b) = (set(a), set(b));
    let (mut at, mut other) = (0, 0);
    while at < a.len() && other < b.len() {
        if !a[at].common(b[other]).is_empty() {
            return true;
        }
        match a[at].end < b[other].end {
            true => at += 1,
            false => other += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pairs: &[[u64; 2]]) -> Vec<Interval> {
        pairs.iter().copied().map(Interval::from).collect()
    }

    #[test]
    fn neighbours_are_joined_and_order_is_kept() {
        let held = list(&[[4, 6], [6, 9], [2, 2], [0, 1]]);
        assert_eq!(joined(&held), list(&[[4, 9], [0, 1]]));
        assert_eq!(set(&held), list(&[[0, 1], [4, 9]]));
        assert_eq!(count(&held), 6);
        assert_eq!(set(&list(&[[0, 5], [1, 2], [5, 7]])), list(&[[0, 7]]));
    }

    #[test]
    fn lists_meet_only_in_a_common_index() {
        assert!(!meet(&list(&[[0, 2], [4, 6]]), &list(&[[2, 4], [6, 8]])));
        assert!(meet(&list(&[[0, 2], [4, 6]]), &list(&[[7, 9], [5, 6]])));
        assert!(!meet(&list(&[[3, 3]]), &list(&[[0, 9]])));
        assert_eq!(within(&list(&[[4, 9], [0, 3]]), Interval::new(2, 5)), list(&[[4, 5], [2, 3]]));
        assert_eq!(Interval::new(5, 3).len(), 0);
    }
}
