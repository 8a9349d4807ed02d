//! Verifies that a record is consistent, and that a report's judgement follows from its record.
//!
//! Every stored number is derived again and compared. All differences are listed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::class::ClassOutcome;
use super::journal::recover::Recovered;
use super::judge::{Certificate, Judgement};
use super::known::{Entry, List};
use super::parts::contradictions;
use super::store::{REPORT_FORMAT, Report, Stored};
use super::{CaseRecord, FORMAT, Record, RequirementRow, Verdict, excuse};

/// One inconsistency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Where in the record it is: a case id, a requirement id, or the name of a sum.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.what)
    }
}

impl Stored {
    /// Every inconsistency in the file; empty if there is none.
    pub fn verify(&self) -> Vec<Mismatch> {
        match self {
            Stored::Report(report) => report.verify(),
            Stored::Record(record) => record.verify(),
            Stored::Journal(recovered) => recovered.verify(),
        }
    }
}

impl Recovered {
    fn verify(&self) -> Vec<Mismatch> {
        let mut found = Findings::default();
        found.unless(!self.interrupted, "journal", || {
            format!("no footer: the run was interrupted, {} cases did not finish", self.unfinished)
        });
        found.0.extend(self.record.verify());
        found.0
    }
}

impl Report {
    /// Every inconsistency in the record, and between the record and the stored judgement.
    pub fn verify(&self) -> Vec<Mismatch> {
        let mut found = Findings::default();
        found.same("format", REPORT_FORMAT, self.format.as_str());
        found.0.extend(self.record.verify());
        found.judgements(&self.judgement, &self.record.judge());
        found.0
    }
}

impl Record {
    /// Every inconsistency in the record.
    pub fn verify(&self) -> Vec<Mismatch> {
        let mut found = Findings::default();
        found.same("format", FORMAT, self.format.as_str());
        found.unless(!self.parts.is_empty(), "parts", || "there is no run".to_owned());
        found.requirements(&self.requirements);
        found.cases(self);
        for (place, what) in contradictions(self) {
            found.unless(false, &place, || what);
        }
        found.table(self);
        found.lists(self);
        found.sums(self, &self.judge());
        found.0
    }
}

#[derive(Default)]
struct Findings(Vec<Mismatch>);

impl Findings {
    fn unless(&mut self, agrees: bool, place: &str, what: impl FnOnce() -> String) {
        if !agrees {
            self.0.push(Mismatch { place: place.to_owned(), what: what() });
        }
    }

    /// Compares a derived value with a stored one; a difference is shown as JSON.
    fn same<T: PartialEq + Serialize>(&mut self, place: &str, derived: T, stored: T) {
        self.unless(derived == stored, place, || {
            format!("derived {}, but stored is {}", json(&derived), json(&stored))
        });
    }

    /// A list of known failures has its digest, and no entry that a run would refuse.
    fn lists(&mut self, record: &Record) {
        for list in record.parts.iter().filter_map(|part| part.known.as_ref()) {
            let derived = List::of(list.entries.clone()).digest;
            self.same("digest of the known failures", &derived, &list.digest);
            for (key, why) in list.entries.iter().filter_map(Entry::fault) {
                self.unless(false, "known failures", || format!("{key}: {why}"));
            }
        }
    }

    fn requirements(&mut self, rows: &[RequirementRow]) {
        self.unless(!rows.is_empty(), "requirements", || "the list is empty".to_owned());
        let mut ids = BTreeSet::new();
        let mut cases = BTreeSet::new();
        for row in rows {
            self.unless(ids.insert(&row.id), &row.id, || "requirement is listed twice".to_owned());
            self.unless(!row.section.is_empty(), &row.id, || "it has no section".to_owned());
            for case in &row.cases {
                self.unless(cases.insert(case), &row.id, || {
                    format!("case is listed twice: {case}")
                });
            }
        }
    }

    fn cases(&mut self, record: &Record) {
        let rows: BTreeMap<&str, &RequirementRow> =
            record.requirements.iter().map(|row| (row.id.as_str(), row)).collect();
        let mut ids = BTreeSet::new();
        for case in &record.cases {
            self.unless(ids.insert(&case.id), &case.id, || "case is recorded twice".to_owned());
            self.unless(case.part < record.parts.len(), &case.id, || {
                format!("the record has no run with index {}", case.part)
            });
            let row = rows.get(case.requirement.as_str()).copied();
            match row {
                None => self.unless(false, &case.id, || {
                    format!("its requirement is not in the spec: {}", case.requirement)
                }),
                Some(row) => {
                    self.unless(row.cases.contains(&case.id), &case.id, || {
                        format!("its requirement does not list it: {}", row.id)
                    });
                    self.unless(row.in_profile, &case.id, || {
                        format!("its requirement is outside the profile: {}", row.id)
                    });
                }
            }
            let blameless = excuse::because(case, &record.parts).is_some();
            self.verdict(case, row.is_some_and(|row| row.warning), blameless);
            self.unless(
                case.loader_us.saturating_add(case.evidence_us).saturating_add(case.fixture_us)
                    <= case.elapsed_us,
                &case.id,
                || "loader_us + evidence_us + fixture_us is more than elapsed_us".to_owned(),
            );
        }
    }

    /// Checks that a case's steps and reason allow its verdict.
    fn verdict(&mut self, case: &CaseRecord, warning: bool, blameless: bool) {
        let checks = case.steps.iter().map(|step| step.checks.len()).sum::<usize>();
        let broken = case.first_broken();
        let reason = case.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
        let named = case.verdict.name();
        match case.verdict {
            Verdict::Pass => {
                self.unless(checks > 0, &case.id, || "pass, but nothing was checked".to_owned());
                self.unless(!reason, &case.id, || {
                    "pass, but a reason for another verdict is stated".to_owned()
                });
            }
            Verdict::Warning | Verdict::Fail => {
                self.unless(broken.is_some() || reason, &case.id, || {
                    format!("{named}, but every check held and no reason is stated")
                });
            }
            Verdict::Unsupported
            | Verdict::Untested
            | Verdict::Timeout
            | Verdict::Crash
            | Verdict::Error => {
                self.unless(reason, &case.id, || format!("{named}, but no reason is stated"));
            }
        }
        if let Some(check) = broken {
            let may =
                !matches!(case.verdict, Verdict::Pass | Verdict::Unsupported | Verdict::Untested)
                    || (blameless && case.verdict == Verdict::Untested);
            self.unless(may, &case.id, || {
                format!("{named}, but a check did not hold: {}", check.what)
            });
        }
        let blames = case.verdict.refutes() || case.verdict == Verdict::Error;
        self.unless(!(blames && blameless), &case.id, || {
            format!("{named}, but the card of its run is quarantined")
        });
        self.unless(case.verdict != Verdict::Warning || warning, &case.id, || {
            "warning, but its requirement is not of warning severity".to_owned()
        });
    }

    fn sums(&mut self, record: &Record, judgement: &Judgement) {
        let sums = &judgement.denominator;
        let outside = record.requirements.iter().filter(|row| !row.in_profile).count() as u64;
        self.same("declared requirements", record.requirements.len() as u64, sums.declared);
        self.same("requirements outside the profile", outside, sums.outside_profile);
        self.same(
            "declared = outside + in profile",
            sums.outside_profile + sums.in_profile,
            sums.declared,
        );
        let decided: u64 = sums.by_verdict.values().sum();
        self.same("requirements by verdict", decided, sums.in_profile);
        self.same(
            "declared cases = not scheduled + scheduled",
            sums.cases_not_scheduled + sums.cases_scheduled,
            sums.cases_declared,
        );
        self.same("scheduled cases", record.cases.len() as u64, sums.cases_scheduled);
        let decided: u64 = sums.cases_by_verdict.values().sum();
        self.same("cases by verdict", decided, sums.cases_scheduled);
        let over = |field: fn(&super::judge::SectionScore) -> u64| -> u64 {
            judgement.sections.iter().map(field).fold(0, u64::saturating_add)
        };
        self.same("requirements by section", over(|row| row.requirements), sums.in_profile);
        self.same("points by section", over(|row| row.points), judgement.points_in_profile);
        self.same("points passed by section", over(|row| row.points_passed), judgement.points);
        for row in &judgement.sections {
            let verdicts: u64 = row.by_verdict.values().sum();
            self.same(&format!("section {}", row.section), verdicts, row.requirements);
        }
    }

    fn judgements(&mut self, stored: &Judgement, derived: &Judgement) {
        let name = Certificate::name;
        self.same("certificate", name(derived.certificate), name(stored.certificate));
        self.same("parts", &derived.parts, &stored.parts);
        self.classes(&derived.classes, &stored.classes);
        self.same("known failures", &derived.known, &stored.known);
        self.same("points", derived.points, stored.points);
        self.same("points in profile", derived.points_in_profile, stored.points_in_profile);
        self.same("points declared", derived.points_declared, stored.points_declared);
        self.same("denominator", &derived.denominator, &stored.denominator);
        self.same("sections", &derived.sections, &stored.sections);
        let left: BTreeMap<&str, _> =
            derived.requirements.iter().map(|row| (row.id.as_str(), row)).collect();
        let right: BTreeMap<&str, _> =
            stored.requirements.iter().map(|row| (row.id.as_str(), row)).collect();
        self.same("requirement verdicts", derived.requirements.len(), stored.requirements.len());
        for id in left.keys().chain(right.keys()).collect::<BTreeSet<_>>() {
            match (left.get(id), right.get(id)) {
                (Some(derived), Some(stored)) => {
                    self.same(id, derived.verdict.name(), stored.verdict.name());
                    self.same(id, &derived.because, &stored.because);
                }
                (derived, _) => self.unless(false, id, || match derived {
                    Some(_) => "the stored judgement lacks it".to_owned(),
                    None => "the stored judgement has it, but the profile does not".to_owned(),
                }),
            }
        }
        let order = |judgement: &Judgement| -> Vec<String> {
            judgement.requirements.iter().map(|row| row.id.clone()).collect()
        };
        if self.0.is_empty() {
            self.same("order of requirements", order(derived), order(stored));
        }
    }
}

impl Findings {
    /// Compares the outcomes of classes by name, and their order.
    fn classes(&mut self, derived: &[ClassOutcome], stored: &[ClassOutcome]) {
        let names = |all: &[ClassOutcome]| -> Vec<String> {
            all.iter().map(|class| class.name.clone()).collect()
        };
        self.same("classes", names(derived), names(stored));
        for class in derived {
            if let Some(other) = stored.iter().find(|other| other.name == class.name) {
                self.same(&format!("class {}", class.name), class, other);
            }
        }
    }

    /// Checks that the table of classes is about the record's requirements and cases.
    fn table(&mut self, record: &Record) {
        let Some(table) = &record.classes else { return };
        let mut known = BTreeSet::new();
        for (case, _) in table.cases() {
            self.unless(known.insert(case), case, || "its needs are listed twice".to_owned());
        }
        for case in record.requirements.iter().flat_map(|row| &row.cases) {
            self.unless(known.contains(case.as_str()), case, || {
                "the table of classes does not say what it needs".to_owned()
            });
        }
        for case in &table.policy {
            self.unless(known.contains(case.as_str()), case, || {
                "policy, but the table of classes does not know it".to_owned()
            });
        }
        for class in &table.classes {
            for id in &class.requirements {
                let listed = record.requirements.iter().any(|row| row.id == *id);
                self.unless(listed, &format!("class {}", class.name), || {
                    format!("its requirement is not in the spec: {id}")
                });
            }
        }
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}

#[cfg(test)]
mod tests;
