//! Compares reports: a table with a column for each, and what changed from the first to each other.

use std::collections::BTreeMap;

use serde::Serialize;

use super::text::{Table, code, count, markdown as safe, plain};
use super::titles::{Titles, title};
use crate::harness::record::judge::{Judgement, SectionScore};
use crate::harness::record::merge::{Difference, differences};
use crate::harness::record::{Record, Verdict};

/// How one requirement's verdict changed between two reports. A comparison lists changes in this
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It passed and no longer does, or it is refuted or in error now and was not before.
    Regressed,
    /// Only the first report's profile has it.
    Vanished,
    /// Only the later report's profile has it.
    New,
    /// It passes now.
    Fixed,
    /// Any other change of the verdict, such as untested to unsupported, or fail to untested.
    Other,
}

impl Change {
    /// The name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Change::Regressed => "regressed",
            Change::Vanished => "vanished",
            Change::New => "new",
            Change::Fixed => "fixed",
            Change::Other => "changed",
        }
    }
}

/// One requirement whose verdict is not the same in both reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The requirement's id.
    pub requirement: String,
    /// Verdict in the first report; `None` if it is outside that report's profile.
    pub from: Option<Verdict>,
    /// Verdict in the later report; `None` if it is outside that report's profile.
    pub to: Option<Verdict>,
    /// The kind of change.
    pub change: Change,
    /// The reason for the later verdict, from the later report.
    pub because: String,
}

/// A comparison of several reports.
#[derive(Clone, Debug)]
pub struct Comparison {
    sides: Vec<Side>,
    /// For each report except the first: what differs from the first.
    changes: Vec<(Vec<Difference>, Vec<Transition>)>,
}

#[derive(Clone, Debug)]
struct Side {
    name: String,
    loader: String,
    /// Date of the first run.
    date: String,
    profile: String,
    judgement: Judgement,
}

/// What changed from the first report to another one, in words.
#[derive(Debug, Serialize)]
pub(super) struct ChangesInWords {
    heading: String,
    /// The fields of the subject that differ, with both values.
    subject: Vec<(&'static str, String, String)>,
    counts: String,
    changed: Table,
}

impl Comparison {
    /// Compares named records. Each is compared with the first.
    pub fn of(records: &[(String, Record)]) -> Comparison {
        let sides: Vec<Side> = records
            .iter()
            .map(|(name, record)| Side {
                name: name.clone(),
                loader: format!("{} {}", record.subject.loader, record.subject.loader_version),
                date: record.parts.first().map_or_else(String::new, |part| {
                    part.started.chars().take_while(|letter| *letter != 'T').collect()
                }),
                profile: record.subject.profile.clone(),
                judgement: record.judge(),
            })
            .collect();
        let changes = (1..sides.len())
            .map(|later| {
                (
                    differences(&records[0].1.subject, &records[later].1.subject),
                    transitions(&sides[0].judgement, &sides[later].judgement),
                )
            })
            .collect();
        Comparison { sides, changes }
    }

    /// What changed from the first report (number 0) to report number `later`, in the order of
    /// [`Change`].
    pub fn transitions(&self, later: usize) -> &[Transition] {
        let index = later.checked_sub(1);
        index.and_then(|index| self.changes.get(index)).map_or(&[], |(_, list)| list)
    }

    /// Whether any later report is worse than the first: a requirement regressed, or one that
    /// passed is not in the later profile.
    pub fn regresses(&self) -> bool {
        self.changes.iter().flat_map(|(_, transitions)| transitions).any(|transition| {
            transition.change == Change::Regressed
                || (transition.change == Change::Vanished && transition.from == Some(Verdict::Pass))
        })
    }

    /// As plain text.
    pub fn text(&self, titles: &Titles) -> String {
        let mut out = self.table(titles).text();
        for (index, (subject, list)) in self.changes.iter().enumerate() {
            out.push_str(&format!("\n{}\n", plain(&self.heading(index + 1))));
            for one in subject {
                let line = format!("{}: {} -> {}", one.field, one.left, one.right);
                out.push_str(&format!("  {}\n", plain(&line)));
            }
            out.push_str(&format!("  {}\n", counts(list)));
            let table = changed(list);
            if !table.is_empty() {
                out.push_str(&table.text());
            }
        }
        out
    }

    /// As Markdown.
    pub fn markdown(&self, titles: &Titles) -> String {
        let mut out = "# Comparison\n\n".to_owned();
        out.push_str(&self.table(titles).markdown());
        for (index, (subject, list)) in self.changes.iter().enumerate() {
            out.push_str(&format!("\n## {}\n\n", safe(&self.heading(index + 1))));
            for one in subject {
                let (left, right) = (code(&one.left), code(&one.right));
                out.push_str(&format!("- {}: {left} -> {right}\n", safe(one.field)));
            }
            out.push_str(&format!("- {}\n", counts(list)));
            let table = changed(list);
            if !table.is_empty() {
                out.push('\n');
                out.push_str(&table.markdown());
            }
        }
        out
    }

    /// What changed from the first report to each other one, for a template.
    pub(super) fn changes_in_words(&self) -> Vec<ChangesInWords> {
        let words = |(index, (subject, list)): (usize, &(Vec<Difference>, Vec<Transition>))| {
            let subject = subject.iter();
            ChangesInWords {
                heading: self.heading(index + 1),
                subject: subject
                    .map(|one| (one.field, one.left.clone(), one.right.clone()))
                    .collect(),
                counts: counts(list),
                changed: changed(list),
            }
        };
        self.changes.iter().enumerate().map(words).collect()
    }

    fn heading(&self, later: usize) -> String {
        format!("{} -> {}", self.sides[0].name, self.sides[later].name)
    }

    /// The table alone, without the changes: for reports of different loaders.
    pub fn summary(&self, titles: &Titles, markdown: bool) -> String {
        let table = self.table(titles);
        if markdown { table.markdown() } else { table.text() }
    }

    /// A column for each report and a row for each section, with points and requirements that hold.
    /// The last rows are sums of verdicts, the loader, the date, the profile and the certificate.
    pub(super) fn table(&self, titles: &Titles) -> Table {
        let head = std::iter::once("section").chain(self.sides.iter().map(|s| s.name.as_str()));
        let mut table = Table::new(1, head);
        let row = |first: &str, cell: &dyn Fn(&Side) -> String| {
            std::iter::once(first.to_owned()).chain(self.sides.iter().map(cell)).collect::<Vec<_>>()
        };
        for key in self.sections() {
            table.row(row(title(titles, key), &|side| {
                let found = side.judgement.sections.iter().find(|row| row.section == key);
                found.map_or("-".to_owned(), score)
            }));
        }
        table.row(row("total", &|side| {
            let judgement = &side.judgement;
            let held = judgement.denominator.by_verdict.get(&Verdict::Pass).copied().unwrap_or(0);
            let (points, all) = (judgement.points, judgement.points_in_profile);
            format!("{points}/{all} points, {held}/{}", judgement.denominator.in_profile)
        }));
        let sum = |all: &BTreeMap<Verdict, u64>, wanted: fn(Verdict) -> bool| -> u64 {
            all.iter().filter(|(one, _)| wanted(**one)).map(|(_, number)| number).sum()
        };
        let of =
            |side: &Side, wanted| sum(&side.judgement.denominator.by_verdict, wanted).to_string();
        table.row(row("refuted", &|side| of(side, Verdict::refutes)));
        table.row(row("unsupported", &|side| of(side, |one| one == Verdict::Unsupported)));
        table.row(row("cases that hold", &|side| {
            let cases = &side.judgement.denominator.cases_by_verdict;
            let tried = |one| !matches!(one, Verdict::Untested | Verdict::Unsupported);
            format!("{} of {}", sum(cases, |one| one == Verdict::Pass), sum(cases, tried))
        }));
        table.row(row("loader", &|side| side.loader.clone()));
        table.row(row("date", &|side| side.date.clone()));
        table.row(row("profile", &|side| side.profile.clone()));
        table.row(row("certificate", &|side| side.judgement.certificate.name().to_owned()));
        table
    }

    /// Every section of any report, in order of first appearance.
    fn sections(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = Vec::new();
        for row in self.sides.iter().flat_map(|side| &side.judgement.sections) {
            if !keys.contains(&row.section.as_str()) {
                keys.push(&row.section);
            }
        }
        keys
    }
}

impl Transition {
    fn verdicts(&self) -> String {
        let name = |verdict: Option<Verdict>| verdict.map_or("-", Verdict::name);
        format!("{} -> {}", name(self.from), name(self.to))
    }
}

fn score(row: &SectionScore) -> String {
    format!("{}/{} points, {}/{}", row.points_passed, row.points, row.passed, row.requirements)
}

/// One row for each change.
fn changed(list: &[Transition]) -> Table {
    let mut table = Table::new(4, ["change", "requirement", "verdicts", "because"]);
    for one in list {
        table.row([one.change.name(), &one.requirement, &one.verdicts(), &one.because]);
    }
    table
}

fn counts(list: &[Transition]) -> String {
    let mut by_change: BTreeMap<Change, u64> = BTreeMap::new();
    for one in list {
        *by_change.entry(one.change).or_default() += 1;
    }
    if by_change.is_empty() {
        return "no requirement changed its verdict".to_owned();
    }
    let parts: Vec<String> =
        by_change.iter().map(|(change, number)| format!("{number} {}", change.name())).collect();
    let total = count(list.len() as u64, "requirement", "requirements");
    format!("{total}: {}", parts.join(", "))
}

fn transitions(first: &Judgement, later: &Judgement) -> Vec<Transition> {
    let of = |judgement: &Judgement| -> BTreeMap<String, Verdict> {
        judgement.requirements.iter().map(|row| (row.id.clone(), row.verdict)).collect()
    };
    let (before, after) = (of(first), of(later));
    let mut all: Vec<Transition> = Vec::new();
    for row in &later.requirements {
        let from = before.get(&row.id).copied();
        let change = match from {
            None => Change::New,
            Some(from) if from == row.verdict => continue,
            Some(from) => classify(from, row.verdict),
        };
        let because = row.because.clone();
        let requirement = row.id.clone();
        all.push(Transition { requirement, from, to: Some(row.verdict), change, because });
    }
    for row in first.requirements.iter().filter(|row| !after.contains_key(&row.id)) {
        all.push(Transition {
            requirement: row.id.clone(),
            from: Some(row.verdict),
            to: None,
            change: Change::Vanished,
            because: "the later profile does not include it".to_owned(),
        });
    }
    all.sort_by_key(|transition| transition.change);
    all
}

fn classify(from: Verdict, to: Verdict) -> Change {
    let bad = |verdict: Verdict| verdict.refutes() || verdict == Verdict::Error;
    if to == Verdict::Pass {
        Change::Fixed
    } else if from == Verdict::Pass || (bad(to) && !bad(from)) {
        Change::Regressed
    } else {
        Change::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Crash, Error, Fail, Pass, Unsupported, Untested, Warning};

    #[test]
    fn a_change_is_named_for_what_it_costs() {
        for (from, to, change) in [
            (Fail, Pass, Change::Fixed),
            (Untested, Pass, Change::Fixed),
            (Pass, Fail, Change::Regressed),
            (Pass, Untested, Change::Regressed),
            (Pass, Warning, Change::Regressed),
            (Untested, Crash, Change::Regressed),
            (Unsupported, Error, Change::Regressed),
            (Fail, Untested, Change::Other),
            (Fail, Crash, Change::Other),
            (Untested, Unsupported, Change::Other),
        ] {
            assert_eq!(classify(from, to), change, "{} -> {}", from.name(), to.name());
        }
    }
}
