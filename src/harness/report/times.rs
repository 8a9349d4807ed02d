//! Where the time of a run went: the loader, test files and models, evidence, the harness itself, and
//! waiting for memory.

use std::collections::BTreeMap;

use super::text::{Table, count};
use super::titles::{Titles, title};
use crate::harness::record::{CaseRecord, Part, Record};

/// The times of some cases, in microseconds, all workers together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Number of cases that were tried.
    pub cases: u64,
    /// Time of the whole cases.
    pub elapsed: u64,
    /// Waiting for the loader's answers.
    pub loader: u64,
    /// Making and writing files and models.
    pub fixtures: u64,
    /// Computing expected results and comparing bytes.
    pub evidence: u64,
}

impl Times {
    /// The times of these cases.
    pub fn of<'c>(cases: impl IntoIterator<Item = &'c CaseRecord>) -> Times {
        let tried = cases.into_iter().filter(|case| case.elapsed_us > 0);
        tried.fold(Times::default(), |sum, case| Times {
            cases: sum.cases + 1,
            elapsed: sum.elapsed.saturating_add(case.elapsed_us),
            loader: sum.loader.saturating_add(case.loader_us),
            fixtures: sum.fixtures.saturating_add(case.fixture_us),
            evidence: sum.evidence.saturating_add(case.evidence_us),
        })
    }

    /// Everything else: starting processes, planning, recording.
    pub fn harness(&self) -> u64 {
        let known = self.loader.saturating_add(self.fixtures).saturating_add(self.evidence);
        self.elapsed.saturating_sub(known)
    }

    /// The shares of each kind of work, in one line.
    pub fn shares(&self) -> String {
        let share = |part: u64| {
            let whole = self.elapsed.max(1) as f64;
            format!("{:.0} %", part as f64 / whole * 1e2)
        };
        format!(
            "{} of {}: loader {}, files and models {}, evidence {}, harness {}",
            seconds(self.elapsed),
            count(self.cases, "case", "cases"),
            share(self.loader),
            share(self.fixtures),
            share(self.evidence),
            share(self.harness())
        )
    }
}

/// How many workers a part had, and how long they waited for memory; `None` if the record does not
/// say.
pub fn workers(part: &Part) -> Option<String> {
    (part.jobs > 0).then(|| {
        format!(
            "{} for {:.1} s; they waited {} for memory",
            count(part.jobs, "worker", "workers"),
            part.seconds,
            seconds(part.waited_us)
        )
    })
}

/// One row for each section that has tried cases, the one that took longest first, and the total.
/// Seconds, all workers together.
pub fn table(record: &Record, titles: &Titles) -> Table {
    let mut table = Table::new(
        1,
        ["section", "cases", "seconds", "loader", "files and models", "evidence", "harness"],
    );
    for (section, times) in sections(record) {
        table.row(row(title(titles, section), &times));
    }
    table.row(row("total", &Times::of(&record.cases)));
    table
}

/// The times of each section that has tried cases, by its key, the one that took longest first.
pub fn sections(record: &Record) -> Vec<(&str, Times)> {
    let of: BTreeMap<&str, &str> =
        record.requirements.iter().map(|row| (row.id.as_str(), row.section.as_str())).collect();
    // Sections of equal time stay in the order of the spec.
    let mut all: Vec<(&str, Vec<&CaseRecord>)> = Vec::new();
    for row in &record.requirements {
        if !all.iter().any(|(section, _)| *section == row.section) {
            all.push((&row.section, Vec::new()));
        }
    }
    for case in &record.cases {
        let section = of.get(case.requirement.as_str());
        if let Some((_, cases)) = all.iter_mut().find(|(own, _)| Some(own) == section) {
            cases.push(case);
        }
    }
    let mut all: Vec<(&str, Times)> =
        all.into_iter().map(|(section, cases)| (section, Times::of(cases))).collect();
    all.retain(|(_, times)| times.cases > 0);
    all.sort_by_key(|(_, times)| std::cmp::Reverse(times.elapsed));
    all
}

fn row(name: &str, times: &Times) -> [String; 7] {
    [
        name.to_owned(),
        times.cases.to_string(),
        figure(times.elapsed),
        figure(times.loader),
        figure(times.fixtures),
        figure(times.evidence),
        figure(times.harness()),
    ]
}

fn figure(us: u64) -> String {
    format!("{:.1}", us as f64 / 1e6)
}

fn seconds(us: u64) -> String {
    format!("{} s", figure(us))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::sample;

    #[test]
    fn every_microsecond_of_a_case_stands_in_one_column() {
        let record = sample::record();
        let times = Times::of(&record.cases);
        assert!(times.loader > 0 && times.fixtures > 0 && times.evidence > 0);
        let parts = times.loader + times.fixtures + times.evidence + times.harness();
        assert_eq!(parts, times.elapsed);
        let tried = record.cases.iter().filter(|case| case.elapsed_us > 0).count();
        assert_eq!(times.cases, tried as u64);
    }

    #[test]
    fn the_sections_add_up_to_the_total() {
        let record = sample::record();
        let text = table(&record, &Titles::new()).text();
        let column = |line: &str| line.split_whitespace().rev().nth(4).map(str::to_owned);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        let cases = |line: &str| -> u64 {
            let words: Vec<&str> = line.split_whitespace().collect();
            words[words.len() - 6].parse().unwrap()
        };
        let (total, sections) = lines.split_last().unwrap();
        assert_eq!(sections.iter().map(|line| cases(line)).sum::<u64>(), cases(total), "{text}");
        assert!(column(total).is_some());
        let part = &record.parts[0];
        assert!(workers(part).unwrap().starts_with("2 workers for "));
    }
}
