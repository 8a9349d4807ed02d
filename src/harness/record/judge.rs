//! From case verdicts to requirement verdicts, score, denominator and certificate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CaseRecord, Record, RequirementRow, Verdict};

/// Everything that follows from a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// A verdict for every requirement of the profile.
    pub requirements: Vec<RequirementVerdict>,
    /// The closed denominator.
    pub denominator: Denominator,
    /// Points and counts, a row a section, in the spec's order.
    pub sections: Vec<SectionScore>,
    /// Points passed.
    pub points: u64,
    /// Points that the profile holds.
    pub points_in_profile: u64,
    /// Points of the whole spec.
    pub points_declared: u64,
    /// The word on top.
    pub certificate: Certificate,
}

/// One requirement of the profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequirementVerdict {
    /// Its id.
    pub id: String,
    /// The worst of its cases; untested where one is missing.
    pub verdict: Verdict,
    /// Which case decided, or why none did.
    pub because: String,
}

/// Where every requirement and case went. Each level's parts add up to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denominator {
    /// Requirements in the spec...
    pub declared: u64,
    /// ...outside this profile...
    pub outside_profile: u64,
    /// ...and in it.
    pub in_profile: u64,
    /// Of those in the profile: by verdict.
    pub by_verdict: BTreeMap<Verdict, u64>,
    /// Of those in the profile: without a single case.
    pub without_case: u64,
    /// Cases of the profile's requirements in the suite...
    pub cases_declared: u64,
    /// ...left out by the selection...
    pub cases_not_scheduled: u64,
    /// ...and scheduled.
    pub cases_scheduled: u64,
    /// Of those scheduled: by verdict. Each was decided exactly once.
    pub cases_by_verdict: BTreeMap<Verdict, u64>,
}

/// One row of the score table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SectionScore {
    /// The section's key.
    pub section: String,
    /// Requirements of the profile in it.
    pub requirements: u64,
    /// How many passed.
    pub passed: u64,
    /// Points of the profile in it.
    pub points: u64,
    /// Points passed.
    pub points_passed: u64,
    /// Requirements by verdict.
    pub by_verdict: BTreeMap<Verdict, u64>,
}

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificate {
    /// Nothing failed, and no rule of fail severity in the profile is untested or unsupported.
    Corroborated,
    /// Nothing failed, but something was not tried.
    Incomplete,
    /// Something failed.
    Refuted,
    /// The harness could not do its work.
    HarnessError,
}

impl Certificate {
    /// The certificate as reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Certificate::Corroborated => "corroborated",
            Certificate::Incomplete => "incomplete",
            Certificate::Refuted => "refuted",
            Certificate::HarnessError => "harness error",
        }
    }
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
            // Saturating throughout: a record may come from a stranger, and must not end us.
            points_declared: self
                .requirements
                .iter()
                .map(|row| row.points)
                .fold(0, u64::saturating_add),
            certificate: Certificate::Corroborated,
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
        // A warning-severity rule that could not be tried leaves the certificate whole: failing
        // it would too.
        let open = self.requirements.iter().any(|requirement| {
            matches!(requirement.verdict, Verdict::Untested | Verdict::Unsupported)
                && record.requirements.iter().any(|row| row.id == requirement.id && !row.warning)
        });
        if any(&|verdict| verdict == Verdict::Error) {
            Certificate::HarnessError
        } else if any(&Verdict::refutes) {
            Certificate::Refuted
        } else if open || self.requirements.is_empty() {
            Certificate::Incomplete
        } else {
            Certificate::Corroborated
        }
    }
}

/// The worst case decides; a case that was not scheduled leaves the requirement untested.
fn decide(row: &RequirementRow, cases: &BTreeMap<&str, &CaseRecord>) -> (Verdict, String) {
    if row.cases.is_empty() {
        return (Verdict::Untested, "no case yet".to_owned());
    }
    let mut worst = (Verdict::Pass, "every case passed".to_owned());
    for id in &row.cases {
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
    }
    worst
}

#[cfg(test)]
mod tests;
