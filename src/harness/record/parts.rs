//! What the parts of a plan that a record holds add up to: which part it is, which parts are missing,
//! and where two runs of one case disagree.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::plan_part::{Ids, PlanPart};
use super::{Record, Verdict};

/// What is to be said of a record of a plan in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Digest of the plan.
    pub plan: String,
    /// How many parts the plan is divided into.
    pub of: u64,
    /// Number of the part, if the record is one part and no merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<u64>,
    /// Numbers of the parts that a merge lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<u64>,
    /// Cases of one part that two runs of it decided differently.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disagreements: Vec<Disagreement>,
    /// Canaries whose verdict is not the same in all runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<Disagreement>,
}

/// A case about which runs disagree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disagreement {
    /// The case's id.
    pub case: String,
    /// What each run found.
    pub seen: Vec<Seen>,
}

/// What one run found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Index of the run in [`Record::parts`].
    pub run: usize,
    /// Its verdict.
    pub verdict: Verdict,
}

impl Disagreement {
    /// Those whose verdict is not the most frequent one; all, if no verdict is the most frequent.
    pub fn odd(&self) -> Vec<Seen> {
        let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
        for seen in &self.seen {
            *counts.entry(seen.verdict).or_default() += 1;
        }
        let most = counts.values().max().copied().unwrap_or(0);
        let usual: Vec<Verdict> =
            counts.iter().filter(|(_, count)| **count == most).map(|(one, _)| *one).collect();
        let is_odd = |seen: &&Seen| usual.len() > 1 || !usual.contains(&seen.verdict);
        self.seen.iter().filter(is_odd).copied().collect()
    }
}

impl Parts {
    /// What is to be said of a record; `None` if it is whole: no part of a plan, or every part of one, whose
    /// runs agree.
    pub fn of(record: &Record) -> Option<Parts> {
        let plans = plans(record);
        let (_, first) = plans.first()?;
        let merged = plans.iter().any(|(_, plan)| plan.merged);
        let present: BTreeSet<u64> = plans.iter().map(|(_, plan)| plan.shard).collect();
        let parts = Parts {
            plan: first.digest.clone(),
            of: first.of,
            shard: (!merged && first.of > 1).then_some(first.shard),
            missing: match merged {
                true => (1..=first.of).filter(|one| !present.contains(one)).take(MOST).collect(),
                false => Vec::new(),
            },
            disagreements: if merged { disagreements(&plans) } else { Vec::new() },
            canaries: if merged { canaries(first, &plans) } else { Vec::new() },
        };
        let whole = parts.shard.is_none()
            && parts.missing.is_empty()
            && parts.disagreements.is_empty()
            && parts.canaries.is_empty();
        (!whole).then_some(parts)
    }

    /// Whether something of the plan was not run: a part, or a canary of a part.
    pub fn lacks(&self) -> bool {
        let untested =
            |one: &Disagreement| one.seen.iter().any(|seen| seen.verdict == Verdict::Untested);
        !self.missing.is_empty() || self.canaries.iter().any(untested)
    }
}

/// How many missing parts are listed at most: a record from elsewhere may name any number of parts.
const MOST: usize = 4096;

fn plans(record: &Record) -> Vec<(usize, &PlanPart)> {
    let parts = record.parts.iter().enumerate();
    parts.filter_map(|(index, part)| Some((index, part.plan.as_ref()?))).collect()
}

fn disagreements(plans: &[(usize, &PlanPart)]) -> Vec<Disagreement> {
    let mut seen: BTreeMap<&str, Vec<Seen>> = BTreeMap::new();
    for (run, plan) in plans {
        for (case, verdict) in &plan.verdicts {
            // What a run did not decide, another may decide.
            if !plan.is_canary(case) && *verdict != Verdict::Untested {
                seen.entry(case).or_default().push(Seen { run: *run, verdict: *verdict });
            }
        }
    }
    seen.into_iter().filter_map(|(case, seen)| differing(case, seen)).collect()
}

fn canaries(first: &PlanPart, plans: &[(usize, &PlanPart)]) -> Vec<Disagreement> {
    let of = |plan: &PlanPart, case: &String| {
        plan.verdicts.get(case).copied().unwrap_or(Verdict::Untested)
    };
    let seen = |case: &String| -> Vec<Seen> {
        let decided_elsewhere = |shard: u64| {
            plans.iter().any(|(_, plan)| plan.shard == shard && of(plan, case) != Verdict::Untested)
        };
        plans
            .iter()
            .map(|(run, plan)| (plan.shard, Seen { run: *run, verdict: of(plan, case) }))
            .filter(|(shard, seen)| seen.verdict != Verdict::Untested || !decided_elsewhere(*shard))
            .map(|(_, seen)| seen)
            .collect()
    };
    first.canaries.iter().filter_map(|case| differing(case, seen(case))).collect()
}

fn differing(case: &str, seen: Vec<Seen>) -> Option<Disagreement> {
    let first = seen.first()?.verdict;
    let differ = seen.iter().any(|one| one.verdict != first);
    differ.then(|| Disagreement { case: case.to_owned(), seen })
}

/// Where a record contradicts what its parts say of the plan: place and fault.
pub fn contradictions(record: &Record) -> Vec<(String, String)> {
    let plans = plans(record);
    let Some((_, first)) = plans.first() else { return Vec::new() };
    let mut found = Vec::new();
    let mut say = |place: String, what: &str| found.push((place, what.to_owned()));
    let held: BTreeSet<&str> = record.cases.iter().map(|case| case.id.as_str()).collect();
    for (_, plan) in &plans {
        if plan.shard == 0 || plan.shard > plan.of {
            say(plan.name(), "there is no such part");
        }
        if (&plan.digest, plan.of, &plan.canaries, &plan.all)
            != (&first.digest, first.of, &first.canaries, &first.all)
        {
            say(plan.name(), "it belongs to another plan than the first part");
        }
        if !plan.canaries.iter().all(|id| held.contains(id.as_str())) {
            say(plan.name(), "the record lacks a canary of the plan");
        }
    }
    // A run without a plan may have decided a case of a part, and which part that was is not recorded.
    if plans.len() < record.parts.len() {
        return found;
    }
    let mut shards: BTreeMap<u64, &PlanPart> = BTreeMap::new();
    shards.extend(plans.iter().map(|(_, plan)| (plan.shard, *plan)));
    for (shard, plan) in &shards {
        let of_part = |index: usize| {
            let part = record.parts.get(index).and_then(|part| part.plan.as_ref());
            part.is_some_and(|part| part.shard == *shard)
        };
        let own = record.cases.iter().filter(|case| of_part(case.part));
        let own = own.map(|case| case.id.as_str()).filter(|id| !plan.is_canary(id));
        if Ids::of(own) != plan.own {
            say(plan.name(), "its cases are not those that the plan gives to it");
        }
    }
    let all = shards.values().map(|plan| plan.own.count).fold(0, u64::saturating_add);
    if shards.len() as u64 == first.of
        && all.saturating_add(first.canaries.len() as u64) != first.all.count
    {
        say("plan".to_owned(), "the cases of its parts are not all of its cases");
    }
    found
}

#[cfg(test)]
mod tests;
