//! How long an entry of a registry counts, and when it is stale.

use chrono::{DateTime, FixedOffset, Months};

use crate::harness::record::Record;

/// For how long an entry counts.
const MONTHS: u32 = 12;
/// An entry is stale if it is not of one of so many latest suites.
const LATEST: usize = 2;

/// Since when an entry counts, and until when: from its last run on, for one year. `None` if the record has no time.
pub fn counts(record: &Record) -> Option<(DateTime<FixedOffset>, DateTime<FixedOffset>)> {
    let times = record.parts.iter().map(|part| DateTime::parse_from_rfc3339(&part.started));
    let since = times.filter_map(Result::ok).max()?;
    Some((since, since.checked_add_months(Months::new(MONTHS))?))
}

/// The latest versions of the suite among these, at most two.
pub fn latest<'v>(versions: impl Iterator<Item = &'v str>) -> Vec<&'v str> {
    let mut all: Vec<&str> = versions.collect();
    all.sort_by_key(|version| std::cmp::Reverse(numbers(version)));
    all.dedup();
    all.truncate(LATEST);
    all
}

/// A version as numbers, so that 0.10.0 comes after 0.9.0.
fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::sample;

    #[test]
    fn an_entry_counts_for_a_year_from_its_last_run() {
        let mut record = sample::record();
        record.parts.push(sample::part("2026-02-28T03:04:05Z"));
        let (since, until) = counts(&record).expect("it has times");
        assert_eq!(since.to_rfc3339(), "2026-02-28T03:04:05+00:00");
        assert_eq!(until.to_rfc3339(), "2027-02-28T03:04:05+00:00");
        record.parts = vec![sample::part("some day")];
        assert_eq!(counts(&record), None);
    }

    #[test]
    fn the_two_latest_suites_are_told_by_number() {
        let versions = ["0.9.0", "0.10.0", "0.2.1", "0.10.0"];
        assert_eq!(latest(versions.into_iter()), ["0.10.0", "0.9.0"]);
    }
}
