//! Requirements that are neither held nor refuted, by the reason.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::shape::shape;
use crate::harness::record::{CaseRecord, NO_OBJECT, Report, RequirementRow, Verdict};

/// Requirements that are open for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open<'r> {
    /// The reason, from the first of them.
    pub reason: String,
    /// Their ids.
    pub requirements: Vec<&'r str>,
}

/// Why a case was not chosen.
pub const NOT_SELECTED: &str = "not selected";

/// The requirements of this verdict: those that are unsupported by capability, those that are untested by
/// reason. The reason with the most requirements comes first.
pub fn open(report: &Report, verdict: Verdict) -> Vec<Open<'_>> {
    let record = &report.record;
    let cases: BTreeMap<&str, &CaseRecord> =
        record.cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let rows: BTreeMap<&str, &RequirementRow> =
        record.requirements.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut all: Vec<Open<'_>> = Vec::new();
    for requirement in report.judgement.requirements.iter().filter(|one| one.verdict == verdict) {
        let Some(row) = rows.get(requirement.id.as_str()) else { continue };
        let reason = reason(row, verdict, &cases);
        let key = match verdict {
            Verdict::Unsupported => reason.split(": ").next().unwrap_or_default().to_owned(),
            _ => shape(&reason),
        };
        let at = *places.entry(key).or_insert(all.len());
        if at == all.len() {
            all.push(Open { reason, requirements: Vec::new() });
        }
        all[at].requirements.push(&row.id);
    }
    all.sort_by_key(|one| Reverse(one.requirements.len()));
    all
}

/// Cases that have no object at this loader, by the reason. They do not count, so their requirements are not open.
pub fn beside(report: &Report) -> Vec<(&str, Vec<&str>)> {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for case in report.record.cases.iter().filter(|case| case.has_no_object()) {
        let reason = case.reason.as_deref().unwrap_or_default();
        let reason = reason.strip_prefix(NO_OBJECT).unwrap_or(reason);
        all.entry(reason).or_default().push(&case.id);
    }
    all.into_iter().collect()
}

fn reason(row: &RequirementRow, verdict: Verdict, cases: &BTreeMap<&str, &CaseRecord>) -> String {
    if row.cases.is_empty() {
        return "no case yet".to_owned();
    }
    let mut tried = row.cases.iter().filter_map(|id| cases.get(id.as_str()));
    match tried.find(|case| case.verdict == verdict) {
        Some(case) => case.reason.clone().unwrap_or_else(|| verdict.name().to_owned()),
        None => NOT_SELECTED.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::sample;

    #[test]
    fn a_capability_and_a_reason_are_one_group_each() {
        let mut record = sample::record();
        record.cases = vec![
            sample::because(
                "LOAD-002::every_byte",
                Verdict::Unsupported,
                "gates: looks at nothing",
            ),
            sample::because("LOAD-003::half_floats", Verdict::Unsupported, "gates: not at all"),
            sample::because("CHK-002::seeded", Verdict::Unsupported, "digest: hashes nothing"),
            sample::because("CHK-003::large_file", Verdict::Untested, "needs 8 GiB; here: 4"),
            sample::because("ERR-004::names_the_kind", Verdict::Untested, "needs 9 GiB; here: 4"),
        ];
        let report = Report::of(record);
        let seen = |verdict| -> Vec<(String, usize)> {
            let all = open(&report, verdict).into_iter();
            all.map(|one| (one.reason, one.requirements.len())).collect()
        };
        let unsupported = seen(Verdict::Unsupported);
        assert_eq!(unsupported[0], ("gates: looks at nothing".to_owned(), 2), "{unsupported:?}");
        assert_eq!(unsupported.len(), 2, "{unsupported:?}");
        let untested = seen(Verdict::Untested);
        assert_eq!(untested[0].0, NOT_SELECTED, "{untested:?}");
        assert_eq!(untested[1], ("needs 8 GiB; here: 4".to_owned(), 2), "{untested:?}");
        assert!(untested.contains(&("no case yet".to_owned(), 1)), "{untested:?}");
    }

    #[test]
    fn a_case_without_an_object_is_told_and_leaves_its_requirement_decided() {
        let mut record = sample::clean();
        let id = record.cases[1].id.clone();
        let why = format!("{NO_OBJECT}all ranks are one process");
        record.cases[1] = sample::because(&id, Verdict::Untested, &why);
        let report = Report::of(record);
        assert_eq!(open(&report, Verdict::Untested), []);
        assert_eq!(beside(&report), [("all ranks are one process", vec![id.as_str()])]);
    }
}
