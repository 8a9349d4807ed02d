//! Texts and tables that all formats share: the certificate's sentence, the score table, the sums,
//! the measurements and the harness's overhead.

use std::collections::BTreeMap;

use super::text::{Table, count};
use super::titles::{Titles, title};
use super::{classes, parts};
use crate::harness::record::judge::{Certificate, Denominator};
use crate::harness::record::{CaseRecord, Part, Record, Report, RequirementRow, Verdict};

/// Name of the profile that needs no GPU.
pub const HOST_PROFILE: &str = "host";

/// The certificate in one sentence, such as `host profile corroborated: 45 of 45 requirements hold;
/// 98 requirements lie outside it, so this is no GPU certificate`.
pub fn certificate(report: &Report) -> String {
    let mut line = sentence(report);
    line.extend(harness_failed(report));
    line
}

/// The harness's own failures beside a refutation, which outranks them.
fn harness_failed(report: &Report) -> Option<String> {
    let errors = |case: &&CaseRecord| case.verdict == Verdict::Error;
    let mut failed = report.record.cases.iter().filter(errors);
    let first = failed.next().filter(|_| report.judgement.certificate == Certificate::Refuted)?;
    let number = count(1 + failed.count() as u64, "case", "cases");
    Some(format!("; besides, the harness failed in {number}, first in {}", first.id))
}

fn sentence(report: &Report) -> String {
    if let Some(part) = parts::certificate(report) {
        return part;
    }
    if let Some(mut line) = classes::certificate(report) {
        line.extend(parts::missing(report).map(|missing| format!("; {missing}")));
        return line;
    }
    let sums = &report.judgement.denominator;
    let profile = &report.record.subject.profile;
    let held = sums.by_verdict.get(&Verdict::Pass).copied().unwrap_or(0);
    let mut line = format!(
        "{profile} profile {}: {held} of {} {}",
        report.judgement.certificate.name(),
        sums.in_profile,
        if sums.in_profile == 1 { "requirement holds" } else { "requirements hold" },
    );
    let others = by_verdict(&sums.by_verdict, |verdict| verdict != Verdict::Pass);
    if !others.is_empty() {
        line.push_str(&format!(" ({})", others.join(", ")));
    }
    if let Some(missing) = parts::missing(report) {
        line.push_str(&format!("; {missing}"));
    }
    if sums.outside_profile > 0 {
        line.push_str(&format!("; {}", outside(sums, "it")));
    }
    if profile == HOST_PROFILE {
        line.push_str(if sums.outside_profile > 0 { ", so this is" } else { "; this is" });
        line.push_str(" no GPU certificate");
    }
    line
}

/// The seed of a part, and whether its loader could have known it.
pub fn seed(part: &Part) -> String {
    match (part.is_sealed(), part.seed_given) {
        (true, _) => "never told: the run was killed".to_owned(),
        (false, true) => format!("{} (given)", part.seed),
        (false, false) => part.seed.clone(),
    }
}

/// How a part's loader was kept apart from its judge, and what was missing; `None` in records of earlier
/// versions.
pub fn isolation(part: &Part) -> Option<String> {
    let isolation = part.isolation.as_ref()?;
    Some(match isolation.missing.as_str() {
        "" => isolation.level.clone(),
        missing => format!("{} ({missing})", isolation.level),
    })
}

/// What a part ran on: the GPU, or the processor, and the device.
pub fn machine(part: &Part) -> String {
    let machine = &part.machine;
    match (&machine.gpu, part.device.as_str()) {
        (Some(gpu), device) if device != "cpu" => format!("{gpu} ({device})"),
        _ => format!("{} ({})", machine.processor, part.device),
    }
}

/// How long a part waited for its loader, and how long it was to wait at most; `None` in records of earlier
/// versions.
pub fn waiting(part: &Part) -> Option<String> {
    let waiting = part.waiting.as_ref()?;
    Some(format!("{:.1} s of at most {:.1} s", waiting.spent, waiting.budget))
}

/// The health of a part's card in one line, and what to do if it is sick; `None` where nobody looked.
pub fn card(part: &Part) -> Option<String> {
    let health = part.health.as_ref()?;
    let mut line = health.line();
    let remedies = health.remedies();
    if !remedies.is_empty() {
        line.push_str(&format!("; remedy: {}", remedies.join("; ")));
    }
    Some(line)
}

/// The heading of a document: the certificate, the profile, and what it does not certify.
pub fn headline(report: &Report) -> String {
    if let Some(part) = parts::headline(report) {
        return part;
    }
    if let Some(line) = classes::headline(report) {
        return line;
    }
    let name = classes::heading(report.judgement.certificate);
    let profile = &report.record.subject.profile;
    let sums = &report.judgement.denominator;
    if profile == HOST_PROFILE {
        format!("{name}: {profile} profile; no GPU certificate: {}", outside(sums, "this profile"))
    } else if sums.outside_profile > 0 {
        format!("{name}: {profile} profile; {}", outside(sums, "this profile"))
    } else {
        format!("{name}: {profile} profile")
    }
}

/// The score table, a row for each section and one for the total. Columns: section, requirements,
/// pass, warn, unsupported, untested, failed, points.
pub fn score_table(report: &Report, titles: &Titles) -> Table {
    let judgement = &report.judgement;
    let mut table = Table::new(
        1,
        ["section", "requirements", "pass", "warn", "unsupported", "untested", "failed", "points"],
    );
    for row in &judgement.sections {
        table.row(score_row(
            title(titles, &row.section),
            row.requirements,
            &row.by_verdict,
            (row.points_passed, row.points),
        ));
    }
    table.row(score_row(
        "total",
        judgement.denominator.in_profile,
        &judgement.denominator.by_verdict,
        (judgement.points, judgement.points_in_profile),
    ));
    table
}

/// How the requirements and cases add up, one sum for each line.
pub fn sums(sums: &Denominator) -> Vec<String> {
    let parts = |verdicts: &BTreeMap<Verdict, u64>| match by_verdict(verdicts, |_| true) {
        none if none.is_empty() => "0".to_owned(),
        some => some.join(" + "),
    };
    vec![
        format!(
            "requirements declared: {} = {} outside this profile + {} in it",
            sums.declared, sums.outside_profile, sums.in_profile
        ),
        format!("requirements in it: {} = {}", sums.in_profile, parts(&sums.by_verdict)),
        format!("of these without a single case: {}", sums.without_case),
        format!(
            "cases declared: {} = {} not scheduled + {} scheduled",
            sums.cases_declared, sums.cases_not_scheduled, sums.cases_scheduled
        ),
        format!("cases scheduled: {} = {}", sums.cases_scheduled, parts(&sums.cases_by_verdict)),
    ]
}

/// The score, such as `8 of 34 points of the profile; the whole spec has 42`.
pub fn points(report: &Report) -> String {
    let judgement = &report.judgement;
    format!(
        "{} of {} points of the profile; the whole spec has {}",
        judgement.points, judgement.points_in_profile, judgement.points_declared
    )
}

/// A part's measurements as `name value`, separated by commas; `None` if there are none.
pub fn measured(part: &Part) -> Option<String> {
    let one = |(name, value): (&String, &f64)| match value.abs() {
        // Two decimals would round a small value to zero.
        size if size > 0.0 && size < 0.01 => format!("{name} {value:.1e}"),
        _ => format!("{name} {value:.2}"),
    };
    let all: Vec<String> = part.measured.iter().map(one).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// The harness's own time per case: elapsed time minus the time waiting for the loader's answers
/// and minus the work that grows with the case's data (writing fixtures, comparing bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overhead {
    /// Number of cases that were tried.
    pub cases: u64,
    /// Mean, in microseconds.
    pub mean_us: u64,
    /// Median, in microseconds; for an even number of cases the mean of the middle two.
    pub median_us: u64,
}

impl Overhead {
    /// The overhead over every case with an elapsed time above zero; `None` if there is none.
    pub fn of(record: &Record) -> Option<Overhead> {
        let mut all: Vec<u64> =
            record.cases.iter().filter(|case| case.elapsed_us > 0).map(overhead_us).collect();
        all.sort_unstable();
        let cases = all.len() as u64;
        let (below, above) = (all.get(all.len().checked_sub(1)? / 2)?, all.get(all.len() / 2)?);
        Some(Overhead {
            cases,
            mean_us: all.iter().fold(0, |sum: u64, one| sum.saturating_add(*one)) / cases,
            median_us: below.midpoint(*above),
        })
    }
}

/// A case's verdict as its requirement counts it: if the requirement is of warning severity, a
/// refuting verdict counts as a warning.
pub fn effective(row: &RequirementRow, case: &CaseRecord) -> Verdict {
    if row.warning && case.verdict.refutes() { Verdict::Warning } else { case.verdict }
}

/// The evidence of a case's verdict, in one line.
pub fn evidence(case: &CaseRecord) -> String {
    let checks = case.steps.iter().flat_map(|step| &step.checks);
    let total = checks.count() as u64;
    if let Some(check) = case.first_broken() {
        let basis = super::failure::basis(check.basis);
        return format!(
            "{}: expected {}, found {} ({basis})",
            check.what, check.expected, check.found
        );
    }
    match (&case.reason, total) {
        (Some(reason), _) => reason.clone(),
        (None, 0) => "nothing was checked".to_owned(),
        (None, _) if case.is_declared_only() => {
            format!("{} held, all declared by the loader", count(total, "check", "checks"))
        }
        (None, _) => format!("{} held", count(total, "check", "checks")),
    }
}

fn overhead_us(case: &CaseRecord) -> u64 {
    let data = case.evidence_us.saturating_add(case.fixture_us);
    case.elapsed_us.saturating_sub(case.loader_us).saturating_sub(data)
}

fn outside(sums: &Denominator, what: &str) -> String {
    match sums.outside_profile {
        1 => format!("1 requirement lies outside {what}"),
        number => format!("{number} requirements lie outside {what}"),
    }
}

fn by_verdict(counts: &BTreeMap<Verdict, u64>, wanted: impl Fn(Verdict) -> bool) -> Vec<String> {
    let nonzero = counts.iter().filter(|(verdict, number)| wanted(**verdict) && **number > 0);
    nonzero.map(|(verdict, number)| format!("{number} {}", verdict.name())).collect()
}

fn score_row(
    title: &str,
    requirements: u64,
    verdicts: &BTreeMap<Verdict, u64>,
    (passed, points): (u64, u64),
) -> [String; 8] {
    let of = |wanted: &[Verdict]| -> String {
        wanted.iter().filter_map(|verdict| verdicts.get(verdict)).sum::<u64>().to_string()
    };
    [
        title.to_owned(),
        requirements.to_string(),
        of(&[Verdict::Pass]),
        of(&[Verdict::Warning]),
        of(&[Verdict::Unsupported]),
        of(&[Verdict::Untested]),
        of(&[Verdict::Timeout, Verdict::Crash, Verdict::Fail, Verdict::Error]),
        format!("{passed}/{points}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(times: &[(u64, u64, u64)]) -> Record {
        let mut record = crate::harness::record::sample::clean();
        let case = record.cases[0].clone();
        record.cases = times
            .iter()
            .map(|&(elapsed_us, loader_us, evidence_us)| CaseRecord {
                elapsed_us,
                loader_us,
                evidence_us,
                fixture_us: 0,
                ..case.clone()
            })
            .collect();
        record
    }

    #[test]
    fn overhead_is_what_neither_loader_nor_evidence_took() {
        assert_eq!(Overhead::of(&record(&[])), None);
        assert_eq!(Overhead::of(&record(&[(0, 0, 0)])), None, "an untried case costs nothing");
        let odd = record(&[(100, 60, 30), (100, 0, 0), (40, 10, 10), (0, 0, 0)]);
        assert_eq!(Overhead::of(&odd), Some(Overhead { cases: 3, mean_us: 43, median_us: 20 }));
        let even = record(&[(100, 60, 30), (100, 0, 0)]);
        assert_eq!(Overhead::of(&even), Some(Overhead { cases: 2, mean_us: 55, median_us: 55 }));
    }

    #[test]
    fn a_host_certificate_says_what_it_is_not() {
        let mut record = crate::harness::record::sample::clean();
        let host = Report::of(record.clone());
        assert_eq!(
            headline(&host),
            "Corroborated: host profile; no GPU certificate: 1 requirement lies outside this profile"
        );
        assert!(certificate(&host).ends_with("so this is no GPU certificate"));
        record.subject.profile = "full".to_owned();
        let full = Report::of(record);
        assert!(!headline(&full).contains("GPU") && !certificate(&full).contains("GPU"));
    }
}
