//! Compares every claimed share with the one that its rank should have. How it differs tells which rule was
//! broken.

use super::finding::Finding;
use super::replica::{Claimed, Replica};
use super::{reads, reassembly};
use crate::harness::plan::cut::Cut;
use crate::harness::plan::layout::{Entry, Plan};
use crate::harness::plan::role::{Home, Role, Unit};
use crate::harness::plan::rule::Rule;
use crate::harness::plan::share::Share;

/// Checks every tensor of every stage.
pub(super) fn check(replica: &mut Replica<'_>) {
    let mut findings = Vec::new();
    for members in replica.groups() {
        for entry in replica.plan.of_stage(members[0].place.stage) {
            let home = entry.part.home;
            let unowned = matches!(home, Home::Layer(layer) if replica.unowned.contains(&layer));
            // Of a layer without a stage of its own no more is said than that.
            if !unowned {
                Tensor::new(&replica.plan, entry, members).judge(&mut findings);
            }
        }
    }
    replica.findings.append(&mut findings);
}

/// One tensor on the ranks of one stage.
struct Tensor<'t, 'c> {
    plan: &'t Plan,
    entry: &'t Entry,
    members: &'t [Claimed<'c>],
    /// What each rank should hold.
    expected: Vec<Share>,
    /// What each rank claims first.
    found: Vec<Option<&'c Share>>,
}

impl<'t, 'c> Tensor<'t, 'c> {
    fn new(plan: &'t Plan, entry: &'t Entry, members: &'t [Claimed<'c>]) -> Self {
        let expected = members.iter().map(|one| entry.share(one.place.tp_rank)).collect();
        let first = |one: &Claimed<'c>| one.of(entry).first().map(|held| &held.ranges);
        Tensor { plan, entry, members, expected, found: members.iter().map(first).collect() }
    }

    fn judge(&self, findings: &mut Vec<Finding>) {
        let name = &self.entry.declared.name;
        let shape = &self.entry.declared.shape;
        let of_all = self.of_all();
        let mut fits = true;
        for (at, one) in self.members.iter().enumerate() {
            let expected = &self.expected[at];
            let mut add = |rule: Rule, expected: &dyn ToString, found: &dyn ToString| {
                let finding = Finding::new(rule, expected.to_string(), found.to_string());
                findings.push(finding.tensor(name).rank(one.place.rank));
            };
            let Some(found) = self.found[at] else {
                fits &= expected.elements() == 0;
                if expected.elements() > 0 {
                    add(self.missing(), expected, &"nothing");
                }
                continue;
            };
            if let Some(why) = found.misfit(shape) {
                fits = false;
                let rule = of_all.unwrap_or(match self.entry.part.role {
                    Role::Vocabulary => Rule::LastShare,
                    _ => Rule::DeclaredShape,
                });
                add(rule, expected, &why);
            } else if !found.same(expected) {
                add(of_all.unwrap_or_else(|| self.one(at, found)), expected, found);
            }
            let claims = one.of(self.entry);
            let tied = self.entry.part.home == Home::FirstAndLast && self.plan.grid.pp() == 1;
            for more in claims.iter().skip(1) {
                match tied && claims.len() == 2 {
                    // The second one is the head.
                    true if more.ranges.same(expected) => {}
                    true => add(Rule::TiedHead, expected, &more.ranges),
                    false => add(Rule::Reassembles, &"the tensor once", &more.ranges),
                }
            }
            let differences = claims.iter().filter(|held| held.ranges.same(expected));
            for (wanted, told) in
                differences.filter_map(|held| reads::check(self.plan, self.entry, held))
            {
                add(Rule::ColumnBytes, &wanted, &told);
            }
        }
        if self.entry.part.role == Role::RowBias {
            findings.extend(self.added().map(|finding| finding.tensor(name)));
        }
        if let Some(cut) = self.entry.cut.as_ref().filter(|_| fits) {
            // A share that is empty need not be claimed.
            let nothing = Share::cut(shape, cut.dimension, Vec::new());
            let found = self.found.iter();
            let shares: Vec<&Share> = found.map(|one| one.unwrap_or(&nothing)).collect();
            findings.extend(reassembly::check(self.entry, cut, &shares));
        }
    }

    /// The rule of a share that is missing.
    fn missing(&self) -> Rule {
        let home = self.entry.part.home;
        match self.entry.cut {
            _ if home == Home::FirstAndLast && self.members[0].place.stage > 0 => {
                Rule::TiedAcrossStages
            }
            Some(_) => Rule::Reassembles,
            None => Rule::Replicated,
        }
    }

    /// The rule that one mistake of all ranks together breaks: all have the first slice, or each has the
    /// slice of another of its numbers.
    fn of_all(&self) -> Option<Rule> {
        let cut = self.entry.cut.as_ref()?;
        let found: Vec<&Share> = self.found.iter().copied().collect::<Option<_>>()?;
        let first = &self.expected[0];
        if found.iter().all(|one| one.same(first))
            && self.expected.iter().any(|one| !one.same(first))
        {
            return Some(Rule::OwnSlice);
        }
        let by = |number: fn(&Claimed<'_>) -> u64| {
            let mut all = self.members.iter().map(number).zip(&found);
            all.all(|(number, found)| {
                let tp = self.plan.grid.tp();
                let is_rank = self.expected[(number % tp) as usize].same(found);
                is_rank || number >= tp && self.beyond(cut, number) == **found
            })
        };
        let differs = found.iter().zip(&self.expected).any(|(found, wanted)| !found.same(wanted));
        let numbered = by(|one| one.place.device) || by(|one| one.place.rank);
        (differs && numbered).then_some(Rule::RankNames)
    }

    /// The share of a number that is no rank of the group, as a loader would compute it.
    fn beyond(&self, cut: &Cut, number: u64) -> Share {
        let held = cut.blocks.iter().map(|block| block.unbounded(number)).collect();
        Share::cut(&self.entry.declared.shape, cut.dimension, held)
    }

    /// The rule that a rank's wrong share breaks.
    fn one(&self, at: usize, found: &Share) -> Rule {
        let Some(cut) = &self.entry.cut else { return Rule::Replicated };
        let tied = self.entry.part.home == Home::FirstAndLast && self.members[0].place.stage > 0;
        let is_of_another = self.expected.iter().any(|other| other.same(found));
        let whole = |at: &usize| {
            *at == cut.dimension || {
                found.dimensions()[*at]
                    == Share::whole(&self.entry.declared.shape).dimensions()[*at]
            }
        };
        match self.entry.part.role {
            Role::FusedHeads if cut.repeats() && self.has_queries(cut, at, found) => {
                Rule::FewKeyHeads
            }
            Role::FusedHeads => Rule::FusedHeads,
            Role::FusedGate => Rule::FusedGate,
            Role::Column(Unit::KeyHeads) if cut.repeats() => Rule::FewKeyHeads,
            Role::Row(_) if !(0..found.dimensions().len()).all(|at| whole(&at)) => {
                Rule::ColumnBytes
            }
            Role::Vocabulary if tied => Rule::TiedAcrossStages,
            Role::Vocabulary if is_of_another => Rule::OwnSlice,
            Role::Vocabulary if cut.is_uneven(self.plan.grid.tp()) => Rule::LastShare,
            Role::Vocabulary => Rule::PaddedVocabulary,
            _ => Rule::OwnSlice,
        }
    }

    /// Whether a share of a fused matrix has the right queries.
    fn has_queries(&self, cut: &Cut, at: usize, found: &Share) -> bool {
        let queries = cut.blocks[0].whole();
        let part = |share: &Share| share.within(cut.dimension, queries);
        part(found).same(&part(&self.expected[at]))
    }

    /// Whether the bias of a row-parallel layer is in the sum as often as it should be: once by one rank, or
    /// not by any, which then adds it to the sum.
    fn added(&self) -> Option<Finding> {
        let told = |one: &Claimed<'_>| one.of(self.entry).first().and_then(|held| held.adds);
        let adding: Vec<u64> = self
            .members
            .iter()
            .filter(|one| told(one) == Some(true))
            .map(|one| one.place.rank)
            .collect();
        let nobody = self.members.iter().all(|one| told(one) == Some(false));
        let found = match adding.as_slice() {
            [] if nobody => "no rank adds it".to_owned(),
            [] | [_] => return None,
            many => format!("ranks {many:?} add it"),
        };
        Some(Finding::new(Rule::BiasOnce, "one rank adds it", found))
    }
}
