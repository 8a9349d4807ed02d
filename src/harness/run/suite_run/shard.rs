//! Divides the cases of a plan into parts.
//!
//! Cases whose cost is known are balanced: the longest first, each to the part with the least cost so far.
//! A case of unknown cost goes where the hash of its id says, so adding such a case moves no other.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::harness::record::plan::Planned;

/// The largest number of parts. More of them than cases would be empty, and the suite has not many more.
pub const MOST: u64 = 1000;

/// Which part of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Number of the part, from 1.
    pub number: u64,
    /// How many parts there are.
    pub of: u64,
}

impl Shard {
    /// The whole plan as one part.
    pub const WHOLE: Shard = Shard { number: 1, of: 1 };
}

impl fmt::Display for Shard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
            plain.then(|| digits.parse::<u64>().ok()).flatten()
        };
        let parsed = text.split_once('/').and_then(|(k, n)| Some((number(k)?, number(n)?)));
        match parsed {
            Some((number, of)) if (1..=of).contains(&number) && of <= MOST => {
                Ok(Shard { number, of })
            }
            _ => Err(format!(
                "expected K/N, the number of the part and how many there are, such as 1/4 to 4/4, with N at \
                 most {MOST}"
            )),
        }
    }
}

/// The part of each case, from 1, in the order of the cases; `None` for a canary, which every part runs.
pub fn divide(cases: &[Planned], of: u64) -> Vec<Option<u64>> {
    let of = of.max(1);
    let mut parts: Vec<Option<u64>> = cases
        .iter()
        .map(|case| (!case.canary && case.cost_us.is_none()).then(|| by_hash(&case.id, of)))
        .collect();
    let mut known: Vec<(u64, &str, usize)> = cases
        .iter()
        .enumerate()
        .filter(|(_, case)| !case.canary)
        .filter_map(|(index, case)| Some((case.cost_us?, case.id.as_str(), index)))
        .collect();
    known.sort_by(|left, right| right.0.cmp(&left.0).then(left.1.cmp(right.1)));
    // Cost and number of cases so far. Counting cases spreads those that cost nothing.
    let mut sums: Vec<(u64, u64, u64)> = (1..=of).map(|part| (0, 0, part)).collect();
    for (cost, _, index) in known {
        if let Some(least) = sums.iter_mut().min() {
            least.0 = least.0.saturating_add(cost);
            least.1 += 1;
            parts[index] = Some(least.2);
        }
    }
    parts
}

fn by_hash(id: &str, of: u64) -> u64 {
    let digest = Sha256::digest(id);
    let number =
        digest.iter().take(8).fold(0, |number: u64, byte| (number << 8) | u64::from(*byte));
    number % of + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(number: u64, cost_us: Option<u64>) -> Planned {
        Planned { id: format!("R-{number}::a"), cost_us, canary: false }
    }

    fn sums(cases: &[Planned], of: u64) -> Vec<u64> {
        let parts = divide(cases, of);
        let sum = |part: u64| {
            let own = cases.iter().zip(&parts).filter(|(_, its)| **its == Some(part));
            own.filter_map(|(case, _)| case.cost_us).sum()
        };
        (1..=of).map(sum).collect()
    }

    #[test]
    fn known_costs_are_balanced_longest_first() {
        let cases: Vec<Planned> =
            [7, 1, 5, 3, 6, 2, 4, 8].into_iter().map(|cost| case(cost, Some(cost))).collect();
        assert_eq!(sums(&cases, 2), [18, 18]);
        assert_eq!(sums(&cases, 4), [9, 9, 9, 9]);
        // The longest case alone is a part.
        let cases = [case(1, Some(100)), case(2, Some(30)), case(3, Some(30)), case(4, Some(30))];
        assert_eq!(sums(&cases, 2), [100, 90]);
        // The order of the cases does not count.
        let mut turned = cases.to_vec();
        turned.reverse();
        let mut parts = divide(&turned, 3);
        parts.reverse();
        assert_eq!(parts, divide(&cases, 3));
    }

    #[test]
    fn a_new_case_of_unknown_cost_moves_no_other() {
        let cost = |number| (number % 3 == 0).then_some(number * 10);
        let cases: Vec<Planned> = (0..200).map(|number| case(number, cost(number))).collect();
        let before = divide(&cases, 4);
        for part in 1..=4 {
            let own = before.iter().filter(|its| **its == Some(part)).count();
            assert!((30..=70).contains(&own), "part {part}: {own} of 200 cases");
        }
        let mut more = cases.clone();
        more.insert(50, case(1000, None));
        let mut after = divide(&more, 4);
        after.remove(50);
        assert_eq!(before, after);
    }

    #[test]
    fn canaries_belong_to_no_part() {
        let canary = Planned { canary: true, ..case(1, Some(5)) };
        assert_eq!(divide(&[canary, case(2, None)], 1), [None, Some(1)]);
    }

    #[test]
    fn a_part_is_named_by_two_numbers() {
        assert_eq!("2/4".parse(), Ok(Shard { number: 2, of: 4 }));
        for wrong in
            ["", "2", "0/4", "5/4", "1/0", "1/1001", "+1/4", "1/ 4", "1/4/4", "a/b", "-1/4"]
        {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
