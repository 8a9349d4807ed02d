//! Which cases a record must have: those that its runs scheduled, by what they say of their selection and of
//! their plan.

use std::collections::{BTreeMap, BTreeSet};

use super::own::{Own, at};
use super::scope::Wanted;
use super::selection::Chosen;
use crate::harness::record::plan_part::{Ids, PlanPart};
use crate::harness::record::{Mismatch, Part, Record};

/// Every difference. `wanted` is what each run had to weigh.
pub(super) fn differences(record: &Record, wanted: &[Wanted], own: Own<'_>) -> Vec<Mismatch> {
    let sections: BTreeMap<&str, &str> =
        own.spec.requirements().iter().map(|row| (row.id.as_str(), row.section.as_str())).collect();
    let known: BTreeSet<String> = own.cases.cases().iter().map(|case| case.id()).collect();
    let mut all = Vec::new();
    let mut runs = Vec::new();
    for (part, wanted) in record.parts.iter().zip(wanted) {
        let Some(chosen) = Chosen::read(part.selection.as_deref()) else {
            let found = part.selection.clone().unwrap_or_default();
            all.push(at("selection", "options --section, --case and the like", found));
            return all;
        };
        let section = |id: &str| id.split("::").next().and_then(|id| sections.get(id)).copied();
        let is_chosen = |id: &&String| {
            chosen.wants(section(id).unwrap_or_default(), id, |text| known.contains(text))
        };
        let may: BTreeSet<&str> =
            wanted.cases.iter().filter(is_chosen).map(String::as_str).collect();
        if let Some(plan) = &part.plan {
            all.extend(of_plan(plan, &may, chosen.by_file, own));
        }
        runs.push(Run { part, may, by_file: chosen.by_file });
    }
    let recorded: BTreeSet<&str> = record.cases.iter().map(|case| case.id.as_str()).collect();
    for case in &record.cases {
        if let Some(run) = runs.get(case.part)
            && !run.may.contains(case.id.as_str())
        {
            all.push(at(&case.id, "a case that its run scheduled", "one that it did not"));
        }
    }
    let whole = every_part(record);
    let must = runs.iter().filter(|run| !run.by_file && (run.part.plan.is_none() || whole));
    let must: BTreeSet<&str> = must.flat_map(|run| run.may.iter().copied()).collect();
    let lacks = must.into_iter().filter(|id| !recorded.contains(id));
    all.extend(lacks.map(|id| at(id, "a record of this case, which was scheduled", "none")));
    let order = |ids: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        ids.filter(|id| recorded.contains(id)).map(str::to_owned).collect()
    };
    let suite = order(&mut wanted.iter().take(1).flat_map(|one| &one.cases).map(String::as_str));
    let found = order(&mut record.cases.iter().map(|case| case.id.as_str()));
    if all.is_empty() && suite != found {
        all.push(at("cases", "the order of the suite", "another order"));
    }
    all
}

/// One run of the record.
struct Run<'a> {
    part: &'a Part,
    /// Every case that it may have scheduled.
    may: BTreeSet<&'a str>,
    by_file: bool,
}

/// What a run says of its plan. Which cases the plan gave to this part depends on costs that are not in the
/// record.
fn of_plan(plan: &PlanPart, may: &BTreeSet<&str>, by_file: bool, own: Own<'_>) -> Vec<Mismatch> {
    let mut all = Vec::new();
    let is_canary = |id: &str| own.cases.cases().iter().any(|case| case.canary && case.id() == id);
    if !by_file {
        let canaries: BTreeSet<&str> = may.iter().copied().filter(|id| is_canary(id)).collect();
        let found: BTreeSet<&str> = plan.canaries.iter().map(String::as_str).collect();
        if canaries != found {
            let text = |set: &BTreeSet<&str>| set.iter().copied().collect::<Vec<_>>().join(", ");
            all.push(at(format!("{}, canaries", plan.name()), text(&canaries), text(&found)));
        }
        let ids = Ids::of(may.iter().copied());
        if ids != plan.all {
            let text = |ids: &Ids| format!("{} cases, SHA-256 {}", ids.count, ids.sha256);
            let place = format!("{}, cases of the plan", plan.name());
            all.push(at(place, text(&ids), text(&plan.all)));
        }
    }
    all
}

/// Whether the record holds every part of its plan.
fn every_part(record: &Record) -> bool {
    let plans: Vec<&PlanPart> = record.parts.iter().filter_map(|part| part.plan.as_ref()).collect();
    let shards: BTreeSet<u64> = plans.iter().map(|plan| plan.shard).collect();
    plans.first().is_some_and(|first| shards.len() as u64 == first.of)
}
