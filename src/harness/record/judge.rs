//! Derives requirement verdicts, score, denominator and certificate from the verdicts of cases.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use super::certificate::Certificate;
use super::class::outcome;
use super::class::{Asked, ClassOutcome, Standing};
use super::known::Known;
use super::parts::Parts;
use super::{CaseRecord, Health, Part, Record, RequirementRow, Verdict};

/// Everything that follows from a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// A verdict for every requirement of the profile.
    pub requirements: Vec<RequirementVerdict>,
    /// How the requirements and cases add up.
    pub denominator: Denominator,
    /// Points and counts, a row for each section, in the spec's order.
    pub sections: Vec<SectionScore>,
    /// Points of the requirements that passed.
    pub points: u64,
    /// Points of all requirements of the profile.
    pub points_in_profile: u64,
    /// Points of the whole spec.
    pub points_declared: u64,
    /// The outcome of the run.
    pub certificate: Certificate,
    /// The outcome of every class, the nearest first; empty if an earlier version wrote the record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassOutcome>,
    /// Which part of a plan this is, or what is missing or disagrees among its parts; `None` for a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// The list of known failures, compared with the run; `None` if it was given none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Known>,
}

/// The verdict of one requirement of the profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequirementVerdict {
    /// The requirement's id.
    pub id: String,
    /// The worst verdict of its cases; a missing case counts as untested.
    pub verdict: Verdict,
    /// Which case decided and why, or why no case did.
    pub because: String,
}

/// How many requirements and cases there are, and how they split up. The parts of a number add up
/// to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denominator {
    /// Requirements in the spec.
    pub declared: u64,
    /// Of `declared`: requirements outside this profile.
    pub outside_profile: u64,
    /// Of `declared`: requirements in this profile.
    pub in_profile: u64,
    /// `in_profile` by verdict.
    pub by_verdict: BTreeMap<Verdict, u64>,
    /// Of `in_profile`: requirements without a case.
    pub without_case: u64,
    /// Cases in the suite of the profile's requirements.
    pub cases_declared: u64,
    /// Of `cases_declared`: cases that the run did not schedule.
    pub cases_not_scheduled: u64,
    /// Of `cases_declared`: cases that the run scheduled.
    pub cases_scheduled: u64,
    /// `cases_scheduled` by verdict.
    pub cases_by_verdict: BTreeMap<Verdict, u64>,
}

/// One row of the score table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SectionScore {
    /// The section's key.
    pub section: String,
    /// Number of the profile's requirements in the section.
    pub requirements: u64,
    /// How many of them passed.
    pub passed: u64,
    /// Points of these requirements.
    pub points: u64,
    /// Points of those that passed.
    pub points_passed: u64,
    /// Requirements by verdict.
    pub by_verdict: BTreeMap<Verdict, u64>,
}

impl Record {
    /// Derives every verdict and number from the cases.
    pub fn judge(&self) -> Judgement {
        let cases: BTreeMap<&str, &CaseRecord> =
            self.cases.iter().map(|case| (case.id.as_str(), case)).collect();
        let mut judgement = Judgement {
            requirements: Vec::new(),
            denominator: Denominator {
                declared: self.requirements.len() as u64,
                ..Denominator::default()
            },
            sections: Vec::new(),
            points: 0,
            points_in_profile: 0,
            // All sums of points saturate: a record from elsewhere must not cause an overflow.
            points_declared: self
                .requirements
                .iter()
                .map(|row| row.points)
                .fold(0, u64::saturating_add),
            certificate: Certificate::Corroborated,
            classes: outcome::of(self),
            parts: Parts::of(self),
            known: Known::of(self, |without| without.judge().certificate),
        };
        for row in &self.requirements {
            if row.in_profile {
                judgement.add(row, &cases);
            } else {
                judgement.denominator.outside_profile += 1;
            }
        }
        judgement.certificate = judgement.certificate(self);
        judgement
    }
}

impl Judgement {
    fn add(&mut self, row: &RequirementRow, cases: &BTreeMap<&str, &CaseRecord>) {
        let (verdict, because) = decide(row, cases);
        let sums = &mut self.denominator;
        sums.in_profile += 1;
        *sums.by_verdict.entry(verdict).or_default() += 1;
        sums.without_case += u64::from(row.cases.is_empty());
        for id in &row.cases {
            sums.cases_declared += 1;
            match cases.get(id.as_str()) {
                None => sums.cases_not_scheduled += 1,
                Some(case) => {
                    sums.cases_scheduled += 1;
                    *sums.cases_by_verdict.entry(case.verdict).or_default() += 1;
                }
            }
        }
        let passed = verdict == Verdict::Pass;
        let points = if passed { row.points } else { 0 };
        self.points = self.points.saturating_add(points);
        self.points_in_profile = self.points_in_profile.saturating_add(row.points);
        let section = self.section(&row.section);
        section.requirements += 1;
        section.passed += u64::from(passed);
        section.points = section.points.saturating_add(row.points);
        section.points_passed = section.points_passed.saturating_add(points);
        *section.by_verdict.entry(verdict).or_default() += 1;
        self.requirements.push(RequirementVerdict { id: row.id.clone(), verdict, because });
    }

    fn section(&mut self, key: &str) -> &mut SectionScore {
        let index = match self.sections.iter().position(|row| row.section == key) {
            Some(index) => index,
            None => {
                self.sections.push(SectionScore {
                    section: key.to_owned(),
                    requirements: 0,
                    passed: 0,
                    points: 0,
                    points_passed: 0,
                    by_verdict: BTreeMap::new(),
                });
                self.sections.len() - 1
            }
        };
        &mut self.sections[index]
    }

    fn certificate(&self, record: &Record) -> Certificate {
        let any = |wanted: &dyn Fn(Verdict) -> bool| {
            self.requirements.iter().any(|requirement| wanted(requirement.verdict))
        };
        let is_part = self.parts.as_ref().is_some_and(|parts| parts.shard.is_some());
        let asked = Asked::of(&record.subject.profile, record.classes.as_ref());
        let open = match asked {
            _ if is_part => Judgement::part_is_open(record, asked),
            Asked::Profile => self.is_open(record),
            Asked::Class(_) | Asked::Declared => !self.earns(asked),
        };
        let refuted = match asked {
            Asked::Profile => any(&Verdict::refutes),
            Asked::Class(name) => self
                .classes
                .iter()
                .any(|class| class.name == name && class.outcome == Standing::Missed),
            Asked::Declared => Judgement::claims_refuted(record),
        };
        if refuted {
            Certificate::Refuted
        } else if record.cases.iter().any(|case| case.verdict == Verdict::Error) {
            Certificate::HarnessError
        } else if open || self.requirements.is_empty() {
            let quarantined = |part: &Part| part.health.as_ref().is_some_and(Health::quarantined);
            if record.parts.iter().any(quarantined) {
                return Certificate::Quarantined;
            }
            Certificate::Incomplete
        } else if is_part {
            Certificate::PartHolds
        } else {
            Certificate::Corroborated
        }
    }

    /// Whether something is missing from a whole. An untried rule of warning severity does not make the
    /// certificate incomplete, because even a failure of that rule would not refute the loader.
    fn is_open(&self, record: &Record) -> bool {
        let open = |requirement: &RequirementVerdict| {
            matches!(requirement.verdict, Verdict::Untested | Verdict::Unsupported)
                && record.requirements.iter().any(|row| row.id == requirement.id && !row.warning)
        };
        self.requirements.iter().any(open) || self.parts.as_ref().is_some_and(Parts::lacks)
    }

    /// Whether the class that was asked for is earned, or any where all were.
    fn earns(&self, asked: Asked<'_>) -> bool {
        let lacks = self.parts.as_ref().is_some_and(Parts::lacks);
        let wanted = |class: &&ClassOutcome| match asked {
            Asked::Class(name) => class.name == name,
            Asked::Profile | Asked::Declared => true,
        };
        let mut wanted = self.classes.iter().filter(wanted);
        !lacks && wanted.any(|class| class.outcome == Standing::Earned)
    }

    /// Whether something that the loader declares does not hold. Policy is none of it.
    fn claims_refuted(record: &Record) -> bool {
        let warnings = Judgement::warnings(record);
        let is_policy = |id: &str| record.classes.as_ref().is_some_and(|table| table.is_policy(id));
        let refutes = |case: &&CaseRecord| {
            case.verdict.refutes()
                && !case.failed_by_policy_alone()
                && !warnings.contains(case.requirement.as_str())
        };
        record.cases.iter().filter(refutes).any(|case| !is_policy(&case.id))
    }

    fn warnings(record: &Record) -> BTreeSet<&str> {
        let rows = record.requirements.iter();
        rows.filter(|row| row.warning).map(|row| row.id.as_str()).collect()
    }

    /// Whether a case of a part was not tried. Most requirements have cases in other parts too, so their
    /// verdicts say nothing here.
    fn part_is_open(record: &Record, asked: Asked<'_>) -> bool {
        let warnings = Judgement::warnings(record);
        // Where a class is asked for, policy decides nothing.
        let policy = record.classes.as_ref().filter(|_| asked != Asked::Profile);
        let open = |case: &CaseRecord| {
            matches!(case.verdict, Verdict::Untested | Verdict::Unsupported)
                && !case.has_no_object()
                && !warnings.contains(case.requirement.as_str())
                && !policy.is_some_and(|table| table.is_policy(&case.id))
        };
        record.cases.is_empty() || record.cases.iter().any(open)
    }
}

/// The worst case decides. A case that was not scheduled counts as untested; one that has no object does not count,
/// unless there is no other.
fn decide(row: &RequirementRow, cases: &BTreeMap<&str, &CaseRecord>) -> (Verdict, String) {
    if row.cases.is_empty() {
        return (Verdict::Untested, "no case yet".to_owned());
    }
    let mut worst = (Verdict::Pass, "every case passed".to_owned());
    let beside = |id: &&String| cases.get(id.as_str()).is_some_and(|case| case.has_no_object());
    let all_beside = row.cases.iter().all(|id| beside(&id));
    for id in row.cases.iter().filter(|id| all_beside || !beside(id)) {
        let (verdict, because) = match cases.get(id.as_str()) {
            None => (Verdict::Untested, format!("not selected: {id}")),
            Some(case) => {
                let reason = case.reason.as_deref().unwrap_or(case.verdict.name());
                (case.verdict, format!("{id}: {reason}"))
            }
        };
        if verdict > worst.0 {
            worst = (verdict, because);
        }
    }
    if row.warning && worst.0.refutes() {
        worst.0 = Verdict::Warning;
        // A warning refutes nothing, so it does not outrank a fault of the harness.
        let failed = |id: &&String| {
            cases.get(id.as_str()).is_some_and(|case| case.verdict == Verdict::Error)
        };
        if let Some(case) = row.cases.iter().find(failed).and_then(|id| cases.get(id.as_str())) {
            let reason = case.reason.as_deref().unwrap_or(case.verdict.name());
            worst = (Verdict::Error, format!("{}: {reason}", case.id));
        }
    }
    worst
}

#[cfg(test)]
mod tests;
