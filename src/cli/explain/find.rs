//! What a name stands for: a requirement, a section, a case, a code and so on. A name may stand for
//! several things: `preflight` is a section, a capability and a phase.

use serde::Serialize;

use super::meaning;
use crate::cli::sections;
use crate::contract::Code;
use crate::contract::Device;
use crate::contract::capability::{self, Capability};
use crate::harness::case::{Case, Want, alone};
use crate::harness::spec::{
    Class, ErrorCode, Excluded, Kind, KindGroup, Limit, Profile, Requirement, Resolution, Section,
    Spec,
};
use crate::loader::remedies;
use crate::mutants;

/// A cause of an error of the reference loader, and what to do about it.
#[derive(Serialize)]
pub(super) struct Cause {
    pub code: Code,
    pub cause: &'static str,
    pub remedy: &'static str,
}

/// One thing that a name stands for. In JSON each stands under its kind.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Found<'a> {
    Requirement {
        #[serde(flatten)]
        row: &'a Requirement,
        kind: &'static str,
        kind_reason: &'a str,
        resolved: Vec<&'a Resolution>,
        limits: Vec<&'a Limit>,
        cases: Vec<String>,
    },
    Resolution {
        #[serde(flatten)]
        row: &'a Resolution,
        requirements: Vec<&'a str>,
    },
    Case {
        id: String,
        tests: &'a str,
        requirement: &'a str,
        holds: &'a str,
        kind: &'static str,
        kind_reason: &'a str,
        needs: Vec<String>,
        capabilities: Vec<String>,
        kills: Vec<&'a str>,
    },
    Section {
        #[serde(flatten)]
        row: &'a Section,
        requirements: Vec<&'a str>,
        cases: usize,
    },
    LoaderClass {
        #[serde(flatten)]
        row: &'a Class,
        /// Whether a case may count as policy beside it.
        policy_apart: bool,
    },
    Profile {
        #[serde(flatten)]
        row: &'a Profile,
        points: u32,
    },
    ErrorCode {
        #[serde(flatten)]
        row: &'a ErrorCode,
        /// The failure that was asked for, if it was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<Code>,
        /// The causes that the reference loader tells apart, each with its remedy. `{}` stands for a
        /// name that the error fills in.
        causes: Vec<Cause>,
    },
    Capability {
        name: String,
        meaning: &'static str,
        cases: usize,
        requirements: Vec<&'a str>,
        /// How many cases need nothing beyond it and what it cannot exist without, on one device or another.
        alone: usize,
    },
    Phase {
        name: String,
        meaning: &'static str,
    },
    Class {
        name: String,
        meaning: &'static str,
    },
    Mutant {
        name: &'static str,
        lie: &'static str,
        seen_in: &'static str,
        needs_gpu: bool,
        refuted_by: Vec<String>,
    },
    Limit(&'a Limit),
    Excluded(&'a Excluded),
}

/// Everything that a name stands for, in upper or lower case.
pub(super) fn all<'a>(name: &str, spec: &'a Spec, cases: &'a [Case]) -> Vec<Found<'a>> {
    let same = |word: &str| word.eq_ignore_ascii_case(name);
    let mut found = Vec::new();
    let rows = spec.requirements().iter().filter(|row| same(&row.id));
    found.extend(rows.map(|row| Found::Requirement {
        row,
        kind: of_kind(spec, &row.id).0,
        kind_reason: of_kind(spec, &row.id).1,
        resolved: row.resolutions.iter().filter_map(|id| spec.resolution(id)).collect(),
        limits: spec.limits().iter().filter(|one| one.requirements.contains(&row.id)).collect(),
        cases: cases.iter().filter(|case| case.requirement == row.id).map(Case::id).collect(),
    }));
    let rows = spec.resolutions().iter().filter(|row| same(&row.id));
    found.extend(rows.map(|row| {
        let shaped = spec.requirements().iter().filter(|one| one.resolutions.contains(&row.id));
        Found::Resolution { row, requirements: shaped.map(|one| one.id.as_str()).collect() }
    }));
    found.extend(cases.iter().filter(|case| same(&case.id())).map(|case| self::case(case, spec)));
    found.extend(error_code(name, spec));
    found.extend(sections::named(name, spec).into_iter().map(|row| {
        let requirements = spec.requirements().iter().filter(|one| one.section == row.id);
        let requirements: Vec<&str> = requirements.map(|one| one.id.as_str()).collect();
        let own = |case: &&Case| requirements.contains(&case.requirement.as_str());
        Found::Section { row, cases: cases.iter().filter(own).count(), requirements }
    }));
    let rows = spec.profiles().iter().filter(|row| same(&row.name));
    found.extend(rows.map(|row| {
        let points = spec.points(row.requirements.iter().map(String::as_str));
        Found::Profile { row, points }
    }));
    let rows = spec.classes().iter().filter(|row| same(&row.name));
    found.extend(rows.map(|row| Found::LoaderClass { row, policy_apart: !row.rule.is_whole() }));
    let asked = Capability::ALL.into_iter().filter(|one| same(&capability::name(*one)));
    found.extend(asked.map(|one| asked_by(one, cases)));
    let phases = meaning::phases().filter(|(name, _)| same(name));
    found.extend(phases.map(|(name, meaning)| Found::Phase { name, meaning }));
    let classes = meaning::classes().filter(|(name, _)| same(name));
    found.extend(classes.map(|(name, meaning)| Found::Class { name, meaning }));
    found.extend(mutants::all().filter(|one| same(one.name)).map(|one| {
        let killers = cases.iter().filter(|case| case.kills.contains(one.name));
        Found::Mutant {
            name: one.name,
            lie: one.lie,
            seen_in: one.seen_in,
            needs_gpu: one.needs_gpu,
            refuted_by: killers.map(Case::id).collect(),
        }
    }));
    found.extend(spec.limits().iter().filter(|row| same(&row.id)).map(Found::Limit));
    found.extend(spec.excluded().iter().filter(|row| same(&row.id)).map(Found::Excluded));
    found
}

/// Every name that stands for something.
pub fn names(spec: &Spec, cases: &[Case]) -> Vec<String> {
    let errors = spec.error_codes().iter().flat_map(|row| {
        let failures = row.failures.iter().map(|failure| failure.name());
        [row.code.clone(), row.name.clone()].into_iter().chain(row.aliases.clone()).chain(failures)
    });
    let mut names: Vec<String> = (spec.requirements().iter().map(|row| row.id.clone()))
        .chain(spec.resolutions().iter().map(|row| row.id.clone()))
        .chain(spec.limits().iter().map(|row| row.id.clone()))
        .chain(spec.excluded().iter().map(|row| row.id.clone()))
        .chain(errors)
        .chain(spec.sections().iter().flat_map(sections::words).map(str::to_owned))
        .chain(spec.profiles().iter().map(|row| row.name.clone()))
        .chain(spec.classes().iter().map(|row| row.name.clone()))
        .chain(Capability::ALL.into_iter().map(capability::name))
        .chain(meaning::phases().chain(meaning::classes()).map(|(name, _)| name))
        .chain(mutants::names().into_iter().map(str::to_owned))
        .chain(cases.iter().map(Case::id))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// An error by its code, with or without `EMB-`, by a name, or by one of its failures.
fn error_code<'a>(name: &str, spec: &'a Spec) -> Option<Found<'a>> {
    let upper = name.to_ascii_uppercase();
    let failure: Option<Code> = serde_json::from_value(name.to_ascii_lowercase().into()).ok();
    let row = spec.error_code(&upper).or_else(|| spec.error_code(&format!("EMB-{upper}")));
    let row = row.or_else(|| spec.error_code_of(failure?))?;
    let asked = |code: &&Code| failure.is_none_or(|failure| failure == **code);
    let rows = row.failures.iter().filter(asked).flat_map(|code| remedies::of(*code));
    let causes =
        rows.map(|row| Cause { code: row.code, cause: row.cause, remedy: row.text }).collect();
    Some(Found::ErrorCode { row, failure, causes })
}

fn case<'a>(case: &'a Case, spec: &'a Spec) -> Found<'a> {
    let word = |want: &Want| match want {
        Want::Gpu => "a GPU",
        Want::Cards => "two GPUs",
        Want::Cpu => "a run on the CPU",
        Want::Toolchain => "the loader's toolchain",
    };
    let of_ranks = (case.cards() > 1 && !case.needs.contains(&Want::Cards))
        .then(|| format!("{} GPUs in a run on a GPU", case.cards()));
    let (kind, kind_reason) = match &case.policy {
        Some(reason) => (Kind::Policy.name(), reason.as_str()),
        None => of_kind(spec, &case.requirement),
    };
    Found::Case {
        kind,
        kind_reason,
        id: case.id(),
        tests: &case.tries,
        requirement: &case.requirement,
        holds: spec.requirement(&case.requirement).map_or("", |row| row.sentence.as_str()),
        needs: case.needs.iter().map(|want| word(want).to_owned()).chain(of_ranks).collect(),
        capabilities: case.capabilities(None).into_iter().map(capability::name).collect(),
        kills: case.kills.iter().map(String::as_str).collect(),
    }
}

/// The kind of a requirement, and its reason.
fn of_kind<'a>(spec: &'a Spec, id: &str) -> (&'static str, &'a str) {
    let words = |group: &'a KindGroup| (group.kind.name(), group.reason.as_str());
    spec.kind(id).map_or(("", ""), words)
}

/// A capability, with the cases that ask for it.
pub(super) fn asked_by(one: Capability, cases: &[Case]) -> Found<'_> {
    let asking: Vec<&Case> =
        cases.iter().filter(|case| case.capabilities(None).contains(&one)).collect();
    let mut requirements: Vec<&str> = asking.iter().map(|case| case.requirement.as_str()).collect();
    requirements.dedup();
    let mut alone: Vec<String> = [Device::Cpu, Device::Cuda(0)]
        .into_iter()
        .flat_map(|device| alone::alone(cases, one, device))
        .map(Case::id)
        .collect();
    alone.sort_unstable();
    alone.dedup();
    Found::Capability {
        name: capability::name(one),
        meaning: meaning::of_capability(one),
        cases: asking.len(),
        requirements,
        alone: alone.len(),
    }
}
