//! How a record earns or misses each class.

use std::collections::{BTreeMap, BTreeSet};

use super::scope::Claims;
use super::table::{ClassRow, Table};
use super::told::{ClassOutcome, FeatureOutcome, Open, PolicyCount, Standing};
use crate::harness::record::{CaseRecord, Record, Verdict};

/// The outcome of every class, the nearest first; empty where the record has no table.
pub fn of(record: &Record) -> Vec<ClassOutcome> {
    let Some(table) = &record.classes else { return Vec::new() };
    let weighed = Weighed::new(record);
    let mut all: Vec<ClassOutcome> =
        table.classes.iter().map(|class| weighed.class(table, class)).collect();
    // Those that this run did not weigh come after those that it did.
    all.sort_by_key(|one| (one.outcome, one.short.len(), one.held == 0, one.open.len()));
    all
}

/// What a record says of a loader, ready to be looked up.
struct Weighed<'a> {
    claims: Claims<'a>,
    cases: BTreeMap<&'a str, &'a CaseRecord>,
    /// Requirements whose failure is only a warning.
    warnings: BTreeSet<&'a str>,
    order: BTreeMap<&'a str, usize>,
}

/// What the cases of one requirement say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Held,
    Open,
    Refuted,
}

impl<'a> Weighed<'a> {
    fn new(record: &'a Record) -> Self {
        let on_gpu = |device: &str| device != "cpu";
        let gpu = record.parts.iter().any(|part| on_gpu(&part.device));
        // What one machine lacks, the loader does not declare there: only what every run of this kind of
        // device declares is claimed.
        let declared = record
            .parts
            .iter()
            .filter(|part| on_gpu(&part.device) == gpu)
            .map(|part| {
                let yes = part.capabilities.iter().filter(|(_, word)| *word == "yes");
                yes.map(|(name, _)| name.as_str()).collect::<BTreeSet<_>>()
            })
            .reduce(|left, right| &left & &right)
            .unwrap_or_default();
        let rows = record.requirements.iter();
        Weighed {
            claims: Claims { declared, gpu },
            cases: record.cases.iter().map(|case| (case.id.as_str(), case)).collect(),
            warnings: rows.clone().filter(|row| row.warning).map(|row| row.id.as_str()).collect(),
            order: rows.enumerate().map(|(at, row)| (row.id.as_str(), at)).collect(),
        }
    }

    fn class(&self, table: &Table, class: &ClassRow) -> ClassOutcome {
        let mut told = ClassOutcome {
            name: class.name.clone(),
            version: class.version.clone(),
            outcome: Standing::NotClaimed,
            requirements: 0,
            held: 0,
            short: Vec::new(),
            open: Vec::new(),
            features: Vec::new(),
            not_claimed: Vec::new(),
            lacks: Vec::new(),
            policy: None,
            remedy: None,
        };
        let gpu = self.claims.gpu;
        let lacks = self.claims.lacks(class, gpu);
        let here = lacks.is_some();
        told.lacks = lacks.or_else(|| self.claims.lacks(class, !gpu)).unwrap_or_default();
        if !told.lacks.is_empty() {
            return told;
        }
        told.outcome = Standing::Untested;
        if !here {
            let (other, this) =
                if gpu { ("cpu", "onto a GPU") } else { ("cuda:0", "into host memory") };
            told.remedy = Some(format!("this run loads {this}; add --device {other}"));
            return told;
        }
        let scope = self.claims.scope(table, class);
        let said = self.by_requirement(scope.cases.keys().copied());
        told.requirements = said.len() as u64;
        for (requirement, (said, because)) in self.in_order(said) {
            match said {
                Said::Held => told.held += 1,
                Said::Refuted => told.short.push(requirement.to_owned()),
                Said::Open => {
                    told.open.push(Open { requirement: requirement.to_owned(), because });
                }
            }
        }
        for name in self.claims.features(class) {
            let own = scope.cases.iter().filter(|(_, relies)| relies.contains(&name));
            let said = self.by_requirement(own.map(|(id, _)| *id));
            told.features.push(FeatureOutcome {
                name: name.to_owned(),
                requirements: said.len() as u64,
                short: self.refuted(said),
            });
        }
        let is_claimed = |name: &&String| self.claims.declared.contains(name.as_str());
        told.not_claimed =
            class.features.iter().filter(|name| !is_claimed(name)).cloned().collect();
        if !class.whole {
            let said = self.of_policy(scope.policy.iter().copied());
            let held = said.values().filter(|(said, _)| *said == Said::Held).count() as u64;
            let requirements = said.len() as u64;
            told.policy = Some(PolicyCount {
                requirements,
                held,
                short: self.refuted(said),
                in_other_words: self.in_other_words(scope.cases.keys().copied()),
            });
        }
        told.outcome = match (told.short.is_empty(), told.open.is_empty(), told.requirements) {
            (false, _, _) => Standing::Missed,
            (true, true, 1..) => Standing::Earned,
            _ => Standing::Untested,
        };
        if told.outcome == Standing::Untested {
            told.remedy = Some(match told.open.first() {
                _ if !scope.cases.keys().any(|id| self.cases.contains_key(id))
                    && !scope.cases.is_empty() =>
                {
                    format!("this run did not weigh it; use --class {}", class.name)
                }
                Some(open) if told.open.len() == 1 => open.because.clone(),
                Some(open) => format!("{} and {} more", open.because, told.open.len() - 1),
                None => "no case of the suite is about what the loader declares".to_owned(),
            });
        }
        told
    }

    /// What the cases say of a format or a claim, by requirement, and why where one is undecided.
    fn by_requirement<'c>(
        &self,
        cases: impl Iterator<Item = &'c str>,
    ) -> BTreeMap<&'c str, (Said, String)> {
        self.said(cases, false)
    }

    /// What cases of policy say, by requirement.
    fn of_policy<'c>(
        &self,
        cases: impl Iterator<Item = &'c str>,
    ) -> BTreeMap<&'c str, (Said, String)> {
        self.said(cases, true)
    }

    fn said<'c>(
        &self,
        cases: impl Iterator<Item = &'c str>,
        policy: bool,
    ) -> BTreeMap<&'c str, (Said, String)> {
        let mut all: BTreeMap<&str, (Said, String)> = BTreeMap::new();
        let beside = |id: &&str| self.cases.get(id).is_some_and(|case| case.has_no_object());
        for id in cases.filter(|id| !beside(id)) {
            let requirement = id.split("::").next().unwrap_or_default();
            let (said, because) = self.says(id, self.warnings.contains(requirement), policy);
            let entry = all.entry(requirement).or_insert((Said::Held, String::new()));
            if said > entry.0 {
                *entry = (said, because);
            }
        }
        all
    }

    fn says(&self, id: &str, warning: bool, policy: bool) -> (Said, String) {
        let Some(case) = self.cases.get(id) else {
            return (Said::Open, format!("{id}: this run did not select it"));
        };
        let said = match case.verdict {
            Verdict::Pass | Verdict::Warning => Said::Held,
            verdict if warning && verdict.refutes() => Said::Held,
            _ if !policy && case.failed_by_policy_alone() => Said::Held,
            verdict if verdict.refutes() => Said::Refuted,
            _ if warning => Said::Held,
            _ => Said::Open,
        };
        let reason = case.reason.as_deref().unwrap_or(case.verdict.name());
        (said, format!("{id}: {reason}"))
    }

    /// Requirements with a case that failed by words alone.
    fn in_other_words<'c>(&self, cases: impl Iterator<Item = &'c str>) -> Vec<String> {
        let by_words =
            |id: &&str| self.cases.get(id).is_some_and(|case| case.failed_by_policy_alone());
        let requirements: BTreeSet<&str> =
            cases.filter(by_words).filter_map(|id| id.split("::").next()).collect();
        let mut all: Vec<&str> = requirements.into_iter().collect();
        all.sort_by_key(|id| self.order.get(id).copied().unwrap_or(usize::MAX));
        all.into_iter().map(str::to_owned).collect()
    }

    fn refuted(&self, said: BTreeMap<&str, (Said, String)>) -> Vec<String> {
        let all = self.in_order(said).into_iter();
        all.filter(|(_, (said, _))| *said == Said::Refuted).map(|(id, _)| id.to_owned()).collect()
    }

    /// In the order of the spec.
    fn in_order<'c>(
        &self,
        said: BTreeMap<&'c str, (Said, String)>,
    ) -> Vec<(&'c str, (Said, String))> {
        let mut all: Vec<_> = said.into_iter().collect();
        all.sort_by_key(|(id, _)| self.order.get(id).copied().unwrap_or(usize::MAX));
        all
    }
}
