//! Checks the lists of a record: requirements, known failures, and the table of classes.

use std::collections::BTreeSet;

use super::findings::Findings;
use crate::harness::record::join::same_run;
use crate::harness::record::journal::INTERRUPTED;
use crate::harness::record::known::{Entry, List};
use crate::harness::record::{CaseRecord, Record, RequirementRow};

impl Findings {
    /// No run is there twice, because its cases would count twice.
    pub(super) fn runs(&mut self, record: &Record) {
        for (index, part) in record.parts.iter().enumerate() {
            let twice = record.parts.iter().take(index).any(|other| same_run(other, part));
            self.unless(!twice, "parts", || format!("the run of {} is there twice", part.started));
        }
    }

    /// Every run had the seed that it committed to. Only one that was killed has not told it: another run went
    /// on, or cases are open.
    pub(super) fn seeds(&mut self, record: &Record) {
        for (index, part) in record.parts.iter().enumerate() {
            let fault = part.seed_fault();
            self.unless(fault.is_none(), "seed", || fault.unwrap_or_default());
            let open = |case: &CaseRecord| {
                case.part == index
                    && case.reason.as_ref().is_some_and(|reason| reason.starts_with(INTERRUPTED))
            };
            let killed = index + 1 < record.parts.len() || record.cases.iter().any(open);
            self.unless(!part.is_sealed() || killed, "seed", || {
                "sealed, although the run was not interrupted".to_owned()
            });
        }
    }

    /// A list of known failures has its digest, and no entry that a run would refuse.
    pub(super) fn lists(&mut self, record: &Record) {
        for list in record.parts.iter().filter_map(|part| part.known.as_ref()) {
            let derived = List::of(list.entries.clone()).digest;
            self.same("digest of the known failures", &derived, &list.digest);
            for (key, why) in list.entries.iter().filter_map(Entry::fault) {
                self.unless(false, "known failures", || format!("{key}: {why}"));
            }
        }
    }

    pub(super) fn requirements(&mut self, rows: &[RequirementRow]) {
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

    /// Checks that the table of classes is about the record's requirements and cases.
    pub(super) fn table(&mut self, record: &Record) {
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
