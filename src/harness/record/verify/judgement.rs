//! Checks that the sums close, and that a stored judgement is the derived one.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Findings;
use crate::harness::record::Record;
use crate::harness::record::class::ClassOutcome;
use crate::harness::record::judge::{Certificate, Judgement, SectionScore};

impl Findings {
    pub(super) fn sums(&mut self, record: &Record, judgement: &Judgement) {
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
        let over = |field: fn(&SectionScore) -> u64| -> u64 {
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

    pub(super) fn judgements(&mut self, stored: &Judgement, derived: &Judgement) {
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

    /// Compares the outcomes of classes by name, and their order.
    pub(super) fn classes(&mut self, derived: &[ClassOutcome], stored: &[ClassOutcome]) {
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
}
