//! Merges the records of several runs about the same subject: shards of one certification, or
//! repetitions of a run.
//!
//! A merge hides nothing. A case that no run scheduled is still missing from the merged record, and
//! if several runs decided a case, the worst verdict counts.

use std::collections::BTreeMap;

use super::join::{self, JoinError};
use super::{CaseRecord, FORMAT, Part, Record, RequirementRow, Subject, Table, Verdict};

/// Merges records about one subject. Verdicts do not depend on the order of the records; the merged
/// parts keep it.
///
/// For each case, a decided verdict replaces an untested or missing one. Of two decided verdicts
/// the worse one stays, and its reason also names the other. Parts of a plan must be parts of one plan;
/// which of them are missing follows from the merged record.
///
/// # Errors
///
/// [`MergeError`]: nothing to merge, different subjects or requirements, the same run twice, or a
/// case whose run is not in its record.
pub fn merge(records: Vec<Record>) -> Result<Record, MergeError> {
    let mut records = records.into_iter();
    let Some(first) = records.next() else {
        return Err(MergeError::Nothing);
    };
    let mut merged = Merging {
        subject: first.subject.clone(),
        requirements: first.requirements.clone(),
        classes: first.classes.clone(),
        parts: Vec::new(),
        cases: BTreeMap::new(),
    };
    merged.take(first, 1)?;
    for (index, record) in records.enumerate() {
        let differences = differences(&merged.subject, &record.subject);
        if !differences.is_empty() {
            return Err(MergeError::Subject { record: index + 2, differences });
        }
        same_requirements(&merged.requirements, &record.requirements, index + 2)?;
        if merged.classes != record.classes {
            return Err(MergeError::Classes { record: index + 2 });
        }
        merged.take(record, index + 2)?;
    }
    Ok(merged.finish())
}

/// Why records cannot be merged. Records are numbered from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There is no record.
    #[error("there is no record to merge")]
    Nothing,
    /// Two records have different subjects.
    #[error("record {record} has another subject than record 1: {}", list(.differences))]
    Subject {
        /// Number of the record.
        record: usize,
        /// Every field that differs.
        differences: Vec<Difference>,
    },
    /// The digests of the spec are equal but the requirements differ: a record was changed by hand.
    #[error("requirement {id} of record {record} differs from that of record 1")]
    Requirement {
        /// Number of the record.
        record: usize,
        /// Id of the first requirement that differs.
        id: String,
    },
    /// The digests of the suite are equal but its classes differ: a record was changed by hand.
    #[error("the classes of record {record} differ from those of record 1")]
    Classes {
        /// Number of the record.
        record: usize,
    },
    /// Two of the records hold the same run, which would count twice.
    #[error("two records hold the same run: {0}")]
    SameRun(String),
    /// A case's run index is not in its record.
    #[error("case {0} comes from a run that is not in its record")]
    Part(String),
    /// The parts of a plan do not go together.
    #[error(transparent)]
    Join(#[from] JoinError),
}

/// One field in which two subjects differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field's name, as in the file.
    pub field: &'static str,
    /// Its value in the first record.
    pub left: String,
    /// Its value in the other.
    pub right: String,
}

/// Every field in which two subjects differ, in the order of the file.
pub fn differences(left: &Subject, right: &Subject) -> Vec<Difference> {
    left.fields()
        .into_iter()
        .zip(right.fields())
        .filter(|((_, left), (_, right))| left != right)
        .map(|((field, left), (_, right))| Difference {
            field,
            left: left.to_owned(),
            right: right.to_owned(),
        })
        .collect()
}

impl Subject {
    /// Every field by name, in the order of the file.
    pub fn fields(&self) -> [(&'static str, &str); 9] {
        // The pattern has no `..`, so a new field does not compile until it is added here.
        let Subject {
            loader,
            loader_version,
            suite,
            commit,
            binary,
            spec,
            cases,
            fixtures,
            profile,
        } = self;
        [
            ("loader", loader),
            ("loader_version", loader_version),
            ("suite", suite),
            ("commit", commit),
            ("binary", binary),
            ("spec", spec),
            ("cases", cases),
            ("fixtures", fixtures),
            ("profile", profile),
        ]
    }
}

struct Merging {
    subject: Subject,
    requirements: Vec<RequirementRow>,
    classes: Option<Table>,
    parts: Vec<Part>,
    cases: BTreeMap<String, CaseRecord>,
}

impl Merging {
    fn take(&mut self, record: Record, number: usize) -> Result<(), MergeError> {
        let offset = self.parts.len();
        for mut part in record.parts {
            join::admit(&self.parts, &part, number)?;
            if let Some(plan) = &mut part.plan {
                plan.merged = true;
            }
            if self.parts[..offset].iter().any(|other| join::same_run(other, &part)) {
                return Err(MergeError::SameRun(name_run(&part)));
            }
            self.parts.push(part);
        }
        for mut case in record.cases {
            case.part = case.part.saturating_add(offset);
            if case.part >= self.parts.len() {
                return Err(MergeError::Part(case.id));
            }
            join::note_canary(&mut self.parts, &case);
            let case = match self.cases.remove(&case.id) {
                // Attempts that agree do not explain each other.
                Some(earlier) if join::note_both(&mut self.parts, &earlier, &case)? => earlier,
                Some(earlier) => self.choose(earlier, case),
                None => case,
            };
            self.cases.insert(case.id.clone(), case);
        }
        Ok(())
    }

    fn choose(&self, earlier: CaseRecord, later: CaseRecord) -> CaseRecord {
        let untried = |case: &CaseRecord| case.verdict == Verdict::Untested;
        if untried(&later) {
            return earlier;
        }
        if untried(&earlier) {
            return later;
        }
        let (mut worse, other) =
            if later.verdict > earlier.verdict { (later, earlier) } else { (earlier, later) };
        // A pass has no reason, and two passes do not contradict each other.
        if worse.verdict != Verdict::Pass {
            let run = self.parts.get(other.part).map(name_run).unwrap_or_default();
            let mut reason = worse.reason.take().unwrap_or_else(|| worse.verdict.name().to_owned());
            reason.push_str(&format!("; {run}: {}", other.verdict.name()));
            if let Some(why) = &other.reason {
                reason.push_str(&format!(", {why}"));
            }
            worse.reason = Some(reason);
        }
        worse
    }

    fn finish(mut self) -> Record {
        let mut cases = Vec::with_capacity(self.cases.len());
        for id in self.requirements.iter().flat_map(|row| &row.cases) {
            cases.extend(self.cases.remove(id));
        }
        // A case that no requirement lists is an error. It stays, so that verification reports it.
        cases.extend(self.cases.into_values());
        Record {
            format: FORMAT.to_owned(),
            subject: self.subject,
            parts: self.parts,
            requirements: self.requirements,
            cases,
            classes: self.classes,
        }
    }
}

fn same_requirements(
    left: &[RequirementRow],
    right: &[RequirementRow],
    record: usize,
) -> Result<(), MergeError> {
    let longest = left.len().max(right.len());
    match (0..longest).find(|&index| left.get(index) != right.get(index)) {
        None => Ok(()),
        Some(index) => {
            let row = right.get(index).or_else(|| left.get(index));
            Err(MergeError::Requirement {
                record,
                id: row.map(|row| row.id.clone()).unwrap_or_default(),
            })
        }
    }
}

fn name_run(part: &Part) -> String {
    format!("run of {} on {}", part.started, part.device)
}

fn list(differences: &[Difference]) -> String {
    let one = |difference: &Difference| {
        format!("{} ({} / {})", difference.field, difference.left, difference.right)
    };
    differences.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::sample;

    fn shard(started: &str, cases: Vec<CaseRecord>) -> Record {
        Record { parts: vec![sample::part(started)], cases, ..sample::record() }
    }

    #[test]
    fn shards_come_together_in_the_order_of_the_spec() -> Result<(), MergeError> {
        let whole = sample::record();
        let (odd, even): (Vec<_>, Vec<_>) =
            whole.cases.iter().cloned().enumerate().partition(|(index, _)| index % 2 == 1);
        let cases = |half: Vec<(usize, CaseRecord)>| half.into_iter().map(|(_, c)| c).collect();
        let merged = merge(vec![shard("T1", cases(odd)), shard("T2", cases(even))])?;
        assert_eq!(merged.verify(), []);
        assert_eq!(merged.judge(), whole.judge());
        let order = |record: &Record| -> Vec<String> {
            record.cases.iter().map(|case| case.id.clone()).collect()
        };
        assert_eq!(order(&merged), order(&whole));
        for (index, case) in merged.cases.iter().enumerate() {
            assert_eq!(case.part, usize::from(index % 2 == 0), "{}", case.id);
        }
        Ok(())
    }

    #[test]
    fn decided_beats_untested_and_of_two_decided_the_worse_stands() -> Result<(), MergeError> {
        let id = "LOAD-001::whole_file";
        let untested = || sample::because(id, Verdict::Untested, "no room");
        let crash = || sample::because(id, Verdict::Crash, "signal 6");
        let pass = || sample::passed(id, 10);
        let of = |left, right| -> Result<CaseRecord, MergeError> {
            let merged = merge(vec![shard("T1", vec![left]), shard("T2", vec![right])])?;
            assert_eq!(merged.verify(), []);
            Ok(merged.cases[0].clone())
        };
        assert_eq!(of(untested(), pass())?.verdict, Verdict::Pass);
        assert_eq!(of(pass(), untested())?.part, 0);
        assert_eq!(of(untested(), crash())?.part, 1);
        let both = of(crash(), pass())?;
        assert_eq!(both.verdict, Verdict::Crash);
        assert_eq!(both.reason.as_deref(), Some("signal 6; run of T2 on cpu: pass"));
        let both = of(pass(), crash())?;
        assert_eq!(both.part, 1);
        assert_eq!(both.reason.as_deref(), Some("signal 6; run of T1 on cpu: pass"));
        assert_eq!(of(pass(), pass())?.reason, None);
        let error = || sample::because(id, Verdict::Error, "no disk");
        for both in [of(crash(), error())?, of(error(), crash())?] {
            assert_eq!(both.verdict, Verdict::Crash, "a refutation stays one");
            assert!(both.reason.is_some_and(|reason| reason.ends_with(": error, no disk")));
        }
        Ok(())
    }

    #[test]
    fn every_differing_field_is_named_with_both_values() {
        let mut other = shard("T2", vec![]);
        other.subject.commit = "feed".to_owned();
        other.subject.profile = "full".to_owned();
        let error = merge(vec![shard("T1", vec![]), other]);
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err("record 2 has another subject than record 1: \
                 commit (0123456789abcdef / feed), profile (host / full)"
                .to_owned())
        );
        for field in 0..9 {
            let mut value = serde_json::to_value(sample::subject()).unwrap_or_default();
            let name = sample::subject().fields()[field].0;
            value[name] = "other".into();
            let subject: Result<Subject, _> = serde_json::from_value(value);
            let found = subject.map(|subject| differences(&sample::subject(), &subject));
            assert!(found.is_ok_and(|found| found.len() == 1 && found[0].field == name));
        }
    }

    #[test]
    fn what_would_count_twice_or_differs_by_hand_is_refused() {
        let one = || shard("T1", vec![]);
        assert_eq!(merge(vec![]), Err(MergeError::Nothing));
        assert!(matches!(merge(vec![one(), one()]), Err(MergeError::SameRun(_))));
        let mut other = shard("T2", vec![]);
        other.requirements[3].points += 1;
        let error = MergeError::Requirement { record: 2, id: "CHK-001".to_owned() };
        assert_eq!(merge(vec![one(), other]), Err(error));
        let mut fewer = shard("T2", vec![]);
        fewer.requirements.pop();
        assert!(matches!(merge(vec![one(), fewer]), Err(MergeError::Requirement { .. })));
        let mut case = sample::passed("LOAD-001::whole_file", 10);
        case.part = 1;
        assert!(matches!(merge(vec![shard("T1", vec![case])]), Err(MergeError::Part(_))));
    }
}
