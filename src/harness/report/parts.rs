//! Texts about the parts of a plan: that a part is no certificate, which parts a merge lacks, and where
//! runs of one case disagree.

use super::classes;
use super::text::count;
use crate::harness::record::judge::Certificate;
use crate::harness::record::parts::{Disagreement, Parts, Seen};
use crate::harness::record::{Part, Report, Verdict};

/// The certificate's sentence of a report that is one part of a plan; `None` for any other.
pub fn certificate(report: &Report) -> Option<String> {
    let parts = report.judgement.parts.as_ref()?;
    let sums = &report.judgement.denominator;
    let passed = sums.cases_by_verdict.get(&Verdict::Pass).copied().unwrap_or(0);
    let others: Vec<String> = sums
        .cases_by_verdict
        .iter()
        .filter(|(verdict, number)| **verdict != Verdict::Pass && **number > 0)
        .map(|(verdict, number)| format!("{number} {}", verdict.name()))
        .collect();
    let others =
        if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
    Some(format!(
        "part {} of {} of {} {}: {passed} of {} passed{others}; a part is no certificate, \
         `weighbridge merge` makes one from all {} parts",
        parts.shard?,
        parts.of,
        classes::subject(report),
        state(report.judgement.certificate),
        count(sums.cases_scheduled, "case", "cases"),
        parts.of
    ))
}

/// The heading of a report that is one part of a plan; `None` for any other.
pub fn headline(report: &Report) -> Option<String> {
    let parts = report.judgement.parts.as_ref()?;
    Some(format!(
        "Part {} of {} {}: no certificate of {}",
        parts.shard?,
        parts.of,
        state(report.judgement.certificate),
        classes::subject(report)
    ))
}

/// What a merge lacks, in a few words: `part 3 of 4 is missing`; `None` if nothing.
pub fn missing(report: &Report) -> Option<String> {
    let parts = report.judgement.parts.as_ref()?;
    let list = ranges(&parts.missing);
    match parts.missing.len() {
        0 => parts.lacks().then(|| "a canary was not tried in every part".to_owned()),
        1 => Some(format!("part {list} of {} is missing", parts.of)),
        _ => Some(format!("parts {list} of {} are missing", parts.of)),
    }
}

/// Ascending numbers, such as `1, 3 to 7, 9`.
fn ranges(numbers: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers.iter().copied() {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let one = |(first, last): &(u64, u64)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first} to {last}"),
    };
    runs.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Everything to be said of the parts, a sentence each.
pub fn notes(report: &Report) -> Vec<String> {
    let Some(parts) = &report.judgement.parts else { return Vec::new() };
    let runs = &report.record.parts;
    let mut notes: Vec<String> = missing(report).into_iter().collect();
    notes.extend(parts.disagreements.iter().map(|one| disagreement(one, runs)));
    notes.extend(parts.canaries.iter().map(|one| canary(one, runs)));
    notes.extend(parts.shard.map(|_| not_merged(parts)));
    notes
}

/// A run's place in its plan; `None` if it has none.
pub fn place(part: &Part) -> Option<String> {
    let plan = part.plan.as_ref()?;
    Some(format!(
        "{} of plan {}: {} of its own, {}",
        plan.name(),
        plan.digest,
        count(plan.own.count, "case", "cases"),
        count(plan.canaries.len() as u64, "canary", "canaries")
    ))
}

fn state(certificate: Certificate) -> &'static str {
    match certificate {
        Certificate::PartHolds | Certificate::Corroborated => "holds",
        Certificate::Incomplete => "is incomplete",
        Certificate::Refuted => "is refuted",
        Certificate::HarnessError => "has a harness error",
        Certificate::Quarantined => "is quarantined, because its card is sick",
    }
}

fn not_merged(parts: &Parts) -> String {
    format!("only one of {} parts of plan {} is here: no certificate", parts.of, parts.plan)
}

fn disagreement(one: &Disagreement, runs: &[Part]) -> String {
    let seen: Vec<String> = one.seen.iter().map(|seen| found(*seen, runs)).collect();
    format!("runs of one part disagree about {}: {}", one.case, seen.join("; "))
}

fn canary(one: &Disagreement, runs: &[Part]) -> String {
    let odd = one.odd();
    let seen: Vec<String> = odd.iter().map(|seen| found(*seen, runs)).collect();
    let usual = one.seen.iter().find(|seen| !odd.contains(seen));
    let usual = usual.map(|seen| format!("; {} in the other runs", seen.verdict.name()));
    format!("canary {} differs: {}{}", one.case, seen.join("; "), usual.unwrap_or_default())
}

fn found(seen: Seen, runs: &[Part]) -> String {
    let place = runs.get(seen.run).map(|part| {
        let name = part.plan.as_ref().map(|plan| format!("{}, ", plan.name())).unwrap_or_default();
        format!(" ({name}{})", card(part))
    });
    format!("{} in run {}{}", seen.verdict.name(), seen.run + 1, place.unwrap_or_default())
}

/// The card that a run was on, or its processor.
fn card(part: &Part) -> String {
    let machine = &part.machine;
    let name = match &machine.gpu {
        Some(gpu) if part.device != "cpu" => gpu,
        _ => &machine.processor,
    };
    format!("{} {name} of {}", part.device, machine.system)
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn neighbours_are_told_as_a_range() {
        assert_eq!(ranges(&[2]), "2");
        assert_eq!(ranges(&[1, 2, 4]), "1, 2, 4");
        assert_eq!(ranges(&[1, 3, 4, 5, 6, 9]), "1, 3 to 6, 9");
        assert_eq!(ranges(&[]), "");
    }
}
