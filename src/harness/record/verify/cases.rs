//! Checks the cases of a record: that each has its requirement and its run, and that its steps and its reason
//! allow its verdict.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Findings;
use crate::harness::record::{CaseRecord, Record, RequirementRow, Verdict, excuse};

impl Findings {
    pub(super) fn cases(&mut self, record: &Record) {
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
    pub(super) fn verdict(&mut self, case: &CaseRecord, warning: bool, blameless: bool) {
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
}
