//! Whether a later report may replace an earlier one: nothing that held is lost, and both are about the same
//! loader, asked for the same, on a comparable machine.

use std::collections::BTreeMap;

use serde::Serialize;

use super::text::count;
use crate::harness::record::class::Standing;
use crate::harness::record::{Part, Record, Verdict};

/// Why a gate is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Another loader.
    OtherLoader,
    /// Another profile or class.
    OtherProfile,
    /// Another kind of device, or another GPU.
    OtherMachine,
    /// A class that was earned is not earned.
    ClassLost,
    /// A requirement is refuted and was not.
    Refuted,
    /// A requirement that held is a warning.
    Warning,
    /// A requirement that held is declared unsupported.
    Unsupported,
    /// A requirement that held was not decided.
    Untested,
    /// A requirement that held is not asked for.
    Vanished,
    /// The harness failed where a requirement was decided.
    Error,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Closed {
    /// Its kind.
    pub kind: Kind,
    /// In words.
    pub what: String,
    /// The requirements that it is about.
    pub requirements: Vec<String>,
}

/// Every reason against the later report; none if it may replace the first.
pub fn closed(first: &Record, later: &Record) -> Vec<Closed> {
    let mut all = Vec::new();
    let mut other = |kind, what: &str, left: &str, right: &str| {
        if left != right {
            let what = format!("another {what}: {left} -> {right}");
            all.push(Closed { kind, what, requirements: Vec::new() });
        }
    };
    other(Kind::OtherLoader, "loader", &first.subject.loader, &later.subject.loader);
    other(Kind::OtherProfile, "profile or class", &first.subject.profile, &later.subject.profile);
    other(Kind::OtherMachine, "machine", &machines(first), &machines(later));
    let (before, after) = (first.judge(), later.judge());
    for class in before.classes.iter().filter(|class| class.outcome == Standing::Earned) {
        let now = after.classes.iter().find(|one| one.name == class.name);
        if now.is_none_or(|now| now.outcome != Standing::Earned) {
            let what = format!("class {} {} was earned and is not", class.name, class.version);
            all.push(Closed { kind: Kind::ClassLost, what, requirements: Vec::new() });
        }
    }
    let verdicts: BTreeMap<&str, Verdict> =
        after.requirements.iter().map(|one| (one.id.as_str(), one.verdict)).collect();
    let mut lost: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
    for one in &before.requirements {
        if let Some(kind) = loss(one.verdict, verdicts.get(one.id.as_str()).copied()) {
            lost.entry(kind).or_default().push(one.id.clone());
        }
    }
    all.extend(lost.into_iter().map(|(kind, requirements)| {
        let number = count(requirements.len() as u64, "requirement", "requirements");
        Closed { kind, what: format!("{number} {}", words(kind)), requirements }
    }));
    all
}

/// What is lost from one verdict to the next; `None` for what is kept, better, or was no better before.
fn loss(before: Verdict, after: Option<Verdict>) -> Option<Kind> {
    let bad = |verdict: Verdict| verdict.refutes() || verdict == Verdict::Error;
    let held = before == Verdict::Pass;
    match after {
        Some(after) if after.refutes() => (!bad(before)).then_some(Kind::Refuted),
        Some(Verdict::Error) => (!bad(before)).then_some(Kind::Error),
        Some(Verdict::Warning) => held.then_some(Kind::Warning),
        Some(Verdict::Unsupported) => held.then_some(Kind::Unsupported),
        Some(Verdict::Untested) => held.then_some(Kind::Untested),
        None => held.then_some(Kind::Vanished),
        Some(_) => None,
    }
}

const fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Refuted => "refuted now",
        Kind::Error => "where the harness failed",
        Kind::Warning => "that held and warned now",
        Kind::Unsupported => "that held and are declared unsupported now",
        Kind::Untested => "that held and were not decided now",
        Kind::Vanished => "that held and are not asked for now",
        Kind::OtherLoader | Kind::OtherProfile | Kind::OtherMachine | Kind::ClassLost => "",
    }
}

/// The devices of a record's runs, each once: `cpu`, or the names of the GPUs.
fn machines(record: &Record) -> String {
    let device = |part: &Part| match (part.device.as_str(), &part.machine.gpu) {
        ("cpu", _) => "cpu".to_owned(),
        (_, Some(gpu)) => gpu.clone(),
        (device, None) => device.to_owned(),
    };
    let mut all: Vec<String> = record.parts.iter().map(device).collect();
    all.sort();
    all.dedup();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::sample;

    fn kinds(change: impl Fn(&mut Record)) -> Vec<Kind> {
        let mut later = sample::clean();
        change(&mut later);
        closed(&sample::clean(), &later).into_iter().map(|one| one.kind).collect()
    }

    #[test]
    fn each_loss_is_told_apart_and_a_new_version_is_none() {
        assert_eq!(kinds(|_| {}), []);
        assert_eq!(kinds(|later| later.subject.loader_version = "2".to_owned()), []);
        assert_eq!(kinds(|later| later.subject.loader = "other".to_owned()), [Kind::OtherLoader]);
        assert_eq!(kinds(|later| later.subject.profile = "full".to_owned()), [Kind::OtherProfile]);
        assert_eq!(
            kinds(|later| later.parts[0].device = "cuda:0".to_owned()),
            [Kind::OtherMachine]
        );
        assert_eq!(kinds(|later| later.requirements[0].in_profile = false), [Kind::Vanished]);
        for (verdict, kind) in [
            (Verdict::Fail, Kind::Refuted),
            (Verdict::Crash, Kind::Refuted),
            (Verdict::Unsupported, Kind::Unsupported),
            (Verdict::Untested, Kind::Untested),
            (Verdict::Error, Kind::Error),
        ] {
            let id = sample::clean().cases[0].id.clone();
            let change = |later: &mut Record| later.cases[0] = sample::because(&id, verdict, "now");
            assert_eq!(kinds(change), [kind]);
        }
    }

    #[test]
    fn what_was_refuted_may_stay_refuted_and_what_was_open_may_not_become_so() {
        assert_eq!(loss(Verdict::Fail, Some(Verdict::Timeout)), None);
        assert_eq!(loss(Verdict::Untested, Some(Verdict::Fail)), Some(Kind::Refuted));
        assert_eq!(loss(Verdict::Untested, Some(Verdict::Unsupported)), None);
        assert_eq!(loss(Verdict::Warning, None), None);
    }
}
