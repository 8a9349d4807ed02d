//! What stands on a report's page, ready to be laid out.

use std::collections::BTreeMap;

use serde::Serialize;

use super::charts::{self, Loads};
use super::words::{meaning, tone};
use crate::harness::record::class::Standing;
use crate::harness::record::{Basis, CaseRecord, Check, Part, Report, RequirementRow, Verdict};
use crate::harness::report::causes::cause::causes;
use crate::harness::report::causes::known;
use crate::harness::report::causes::open::{beside, open};
use crate::harness::report::causes::screen::{heading, summary};
use crate::harness::report::text::{Table, count, duration};
use crate::harness::report::times::{self, Times};
use crate::harness::report::titles::{Titles, title};
use crate::harness::report::{classes, facts, outcome, parts};

/// Everything on a page.
#[derive(Debug, Serialize)]
pub struct Page {
    headline: String,
    tone: &'static str,
    meaning: String,
    certificate: String,
    notes: Vec<String>,
    figures: Vec<(&'static str, String)>,
    classes: Option<Table>,
    policy: Vec<(String, String)>,
    failed: Option<String>,
    causes: Vec<Cause>,
    known: Option<(String, Table)>,
    not_tried: Vec<Open>,
    /// Reasons, each with the cases that have no object for it.
    beside: Vec<(String, String)>,
    outside: Vec<(String, String)>,
    score: Table,
    sections: Vec<Section>,
    verdicts: Vec<(&'static str, u64)>,
    bars: Vec<Bar>,
    times: Table,
    loads: Vec<Loads>,
    subject: Vec<(&'static str, String)>,
    runs: Vec<Run>,
    sums: Vec<String>,
}

/// What failed for one cause.
#[derive(Debug, Serialize)]
struct Cause {
    title: String,
    requirements: String,
    place: Option<String>,
    known: Option<String>,
    again: String,
    cases: Vec<Case>,
}

/// Why requirements were not decided.
#[derive(Debug, Serialize)]
struct Open {
    kind: &'static str,
    reason: String,
    number: usize,
    requirements: String,
}

/// The requirements of a section.
#[derive(Debug, Serialize)]
struct Section {
    title: String,
    requirements: Vec<Requirement>,
}

#[derive(Debug, Serialize)]
struct Requirement {
    id: String,
    verdict: &'static str,
    sentence: String,
    policy: bool,
    warning: bool,
    because: String,
    cases: Vec<Case>,
}

#[derive(Debug, Serialize)]
struct Case {
    id: String,
    tries: String,
    verdict: &'static str,
    evidence: String,
    /// Who found what was checked: `seen`, `declared` or `seen and declared`.
    basis: &'static str,
    time: String,
    stderr: Option<String>,
    again: String,
}

/// One run, and the readings of its card.
#[derive(Debug, Serialize)]
struct Run {
    facts: Vec<(&'static str, String)>,
    health: Option<Table>,
}

impl Run {
    fn of(part: &Part) -> Run {
        Run { facts: facts::part(part), health: part.health.as_ref().map(facts::health) }
    }
}

/// A section's time as a bar of four pieces, in percent of the longest.
#[derive(Debug, Serialize)]
struct Bar {
    title: String,
    seconds: String,
    cases: String,
    pieces: [f64; 4],
}

impl Page {
    /// The page of this report; `signature` says who vouches for it.
    pub fn of(report: &Report, titles: &Titles, signature: Option<&str>) -> Page {
        let record = &report.record;
        let cases: BTreeMap<&str, &CaseRecord> =
            record.cases.iter().map(|case| (case.id.as_str(), case)).collect();
        let causes = causes(report);
        let known = report.judgement.known.as_ref();
        Page {
            headline: outcome::headline(report),
            tone: tone(report.judgement.certificate),
            meaning: meaning(report),
            certificate: outcome::certificate(report),
            notes: parts::notes(report),
            figures: figures(report, signature),
            classes: classes::table(report),
            policy: policy(report),
            failed: (!causes.is_empty()).then(|| summary(&causes)),
            causes: causes
                .iter()
                .map(|cause| Cause {
                    title: heading(cause),
                    requirements: cause.requirements.join(", "),
                    place: cause.place.clone(),
                    known: known::note(known, cause.cases.iter().map(|case| case.id.as_str())),
                    again: cause.cases[0].repeat.clone(),
                    cases: cause.cases.iter().map(|case| Case::of(case.verdict, case)).collect(),
                })
                .collect(),
            known: known.map(|known| (known::line(known), known::table(known))),
            not_tried: not_tried(report),
            beside: beside(report)
                .into_iter()
                .map(|(reason, cases)| (reason.to_owned(), cases.join(", ")))
                .collect(),
            outside: record
                .requirements
                .iter()
                .filter(|row| !row.in_profile)
                .map(|row| (row.id.clone(), row.sentence.clone()))
                .collect(),
            score: outcome::score_table(report, titles),
            sections: sections(report, titles, &cases),
            verdicts: verdicts(report),
            bars: bars(report, titles),
            times: times::table(record, titles),
            loads: [charts::times(&record.cases), charts::memory(&record.cases)]
                .into_iter()
                .flatten()
                .collect(),
            subject: facts::subject(&record.subject),
            runs: record.parts.iter().map(Run::of).collect(),
            sums: outcome::sums(&report.judgement.denominator),
        }
    }
}

impl Case {
    fn of(verdict: Verdict, case: &CaseRecord) -> Case {
        let checks: Vec<&Check> = case.steps.iter().flat_map(|step| &step.checks).collect();
        let has = |basis| checks.iter().any(|check| check.basis == basis);
        Case {
            id: case.id.clone(),
            tries: case.tries.clone(),
            verdict: verdict.name(),
            evidence: outcome::evidence(case),
            basis: match (has(Basis::Observed), has(Basis::Declared)) {
                (true, true) => "seen and declared",
                (true, false) => "seen",
                (false, true) => "declared",
                (false, false) => "-",
            },
            time: if case.elapsed_us == 0 { "-".to_owned() } else { duration(case.elapsed_us) },
            stderr: case.stderr.clone().filter(|text| !text.trim().is_empty()),
            again: case.repeat.clone(),
        }
    }
}

/// The figures under the verdict: what, and its value.
fn figures(report: &Report, signature: Option<&str>) -> Vec<(&'static str, String)> {
    let (record, judgement) = (&report.record, &report.judgement);
    let mut all =
        vec![("loader", format!("{} {}", record.subject.loader, record.subject.loader_version))];
    let earned: Vec<String> = judgement
        .classes
        .iter()
        .filter(|class| class.outcome == Standing::Earned)
        .map(|class| format!("{} {}", class.name, class.version))
        .collect();
    if !judgement.classes.is_empty() {
        let none = || "none".to_owned();
        let names = if earned.is_empty() { none() } else { earned.join(", ") };
        all.push(("classes earned", names));
    }
    all.push(("score", outcome::points(report)));
    let held = judgement.denominator.by_verdict.get(&Verdict::Pass).copied().unwrap_or(0);
    let tried = format!("{held} of {}", judgement.denominator.in_profile);
    all.push(("requirements that hold", tried));
    if let Some(part) = record.parts.first() {
        all.push(("weighed", part.started.clone()));
        all.push(("on", outcome::machine(part)));
    }
    let none = "not checked; weighbridge verify derives the verdicts of report.json again";
    all.push(("signature", signature.unwrap_or(none).to_owned()));
    all
}

/// The policy beside each class that was tried.
fn policy(report: &Report) -> Vec<(String, String)> {
    let tried = report
        .judgement
        .classes
        .iter()
        .filter(|class| matches!(class.outcome, Standing::Earned | Standing::Missed));
    let mut all = Vec::new();
    for class in tried {
        let Some(policy) = class.policy.as_ref().filter(|policy| policy.requirements > 0) else {
            continue;
        };
        let mut line = format!("{} of {} held", policy.held, policy.requirements);
        if !policy.short.is_empty() {
            line.push_str(&format!("; not held: {}", policy.short.join(", ")));
        }
        all.push((format!("{} {}", class.name, class.version), line));
    }
    all
}

fn not_tried(report: &Report) -> Vec<Open> {
    let kinds = [("untested", Verdict::Untested), ("not claimed", Verdict::Unsupported)];
    let mut all = Vec::new();
    for (kind, verdict) in kinds {
        all.extend(open(report, verdict).into_iter().map(|group| Open {
            kind,
            number: group.requirements.len(),
            requirements: group.requirements.join(", "),
            reason: group.reason,
        }));
    }
    all
}

fn sections(report: &Report, titles: &Titles, cases: &BTreeMap<&str, &CaseRecord>) -> Vec<Section> {
    let record = &report.record;
    let rows: BTreeMap<&str, &RequirementRow> =
        record.requirements.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut all: Vec<Section> = Vec::new();
    for one in &report.judgement.requirements {
        let Some(row) = rows.get(one.id.as_str()) else { continue };
        let name = title(titles, &row.section);
        if all.last().is_none_or(|section| section.title != name) {
            all.push(Section { title: name.to_owned(), requirements: Vec::new() });
        }
        let is_policy =
            |id: &String| record.classes.as_ref().is_some_and(|table| table.is_policy(id));
        let requirement = Requirement {
            id: row.id.clone(),
            verdict: one.verdict.name(),
            sentence: row.sentence.clone(),
            policy: !row.cases.is_empty() && row.cases.iter().all(is_policy),
            warning: row.warning,
            because: if one.verdict == Verdict::Pass { String::new() } else { one.because.clone() },
            cases: row
                .cases
                .iter()
                .filter_map(|id| cases.get(id.as_str()))
                .map(|case| Case::of(outcome::effective(row, case), case))
                .collect(),
        };
        if let Some(section) = all.last_mut() {
            section.requirements.push(requirement);
        }
    }
    all
}

fn verdicts(report: &Report) -> Vec<(&'static str, u64)> {
    let sums = &report.judgement.denominator.by_verdict;
    let all = Verdict::ALL.into_iter().rev();
    all.filter_map(|verdict| Some((verdict.name(), *sums.get(&verdict)?))).collect()
}

fn bars(report: &Report, titles: &Titles) -> Vec<Bar> {
    let all = times::sections(&report.record);
    let longest = all.iter().map(|(_, times)| times.elapsed).max().unwrap_or(0).max(1) as f64;
    let bar = |(section, times): &(&str, Times)| Bar {
        title: title(titles, section).to_owned(),
        seconds: format!("{:.1} s", times.elapsed as f64 / 1e6),
        cases: count(times.cases, "case", "cases"),
        pieces: [times.loader, times.fixtures, times.evidence, times.harness()]
            .map(|part| part as f64 / longest * 100.0),
    };
    all.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::sample;

    #[test]
    fn every_requirement_of_the_profile_stands_once_with_its_cases() {
        let report = Report::of(sample::record());
        let page = Page::of(&report, &Titles::new(), None);
        let shown: Vec<&Requirement> =
            page.sections.iter().flat_map(|section| &section.requirements).collect();
        assert_eq!(shown.len(), report.judgement.requirements.len());
        let cases: usize = shown.iter().map(|one| one.cases.len()).sum();
        assert_eq!(cases, report.record.cases.len());
        let declared = shown.iter().find(|one| one.id == "LOAD-003").expect("it is in the sample");
        assert_eq!(declared.cases[0].basis, "declared");
        let sum: u64 = page.verdicts.iter().map(|(_, number)| number).sum();
        assert_eq!(sum, report.judgement.denominator.in_profile);
    }

    #[test]
    fn the_pieces_of_a_bar_add_up_to_its_share() {
        let page = Page::of(&Report::of(sample::record()), &Titles::new(), None);
        let longest = page.bars.first().expect("some section took time");
        assert!((longest.pieces.iter().sum::<f64>() - 100.0).abs() < 1e-6, "{longest:?}");
    }
}
