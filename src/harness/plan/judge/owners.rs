//! Which stage owns which layer, as the claim has it. A loader may divide the layers unevenly in its own way; it
//! may not leave one out or have one twice. Tensors that no file has are found here too.

use std::collections::{BTreeSet, HashSet};

use super::finding::Finding;
use super::replica::Replica;
use crate::harness::plan::document::Held;
use crate::harness::plan::layout::Plan;
use crate::harness::plan::role::Home;
use crate::harness::plan::rule::Rule;
use crate::harness::plan::weights::TIED;

/// Finds every layer's stage, and takes it over into the plan.
pub(super) fn check(replica: &mut Replica<'_>) {
    let plan = &replica.plan;
    let mut findings = Vec::new();
    let (mut stages, mut unowned) = (plan.stages.clone(), BTreeSet::new());
    let mut owners: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); stages.len()];
    for entry in &plan.entries {
        let Home::Layer(layer) = entry.part.home else { continue };
        let holders = replica.claimed.iter().filter(|one| !one.of(entry).is_empty());
        owners[layer as usize].extend(holders.map(|one| one.place.stage));
    }
    // Of an encoder, every rank has every layer.
    let decoder = plan.architecture.is_decoder();
    for (layer, owners) in owners.iter().enumerate().filter(|_| decoder) {
        let found = match owners.iter().copied().collect::<Vec<_>>().as_slice() {
            [only] => {
                stages[layer] = *only;
                continue;
            }
            [] => "no stage".to_owned(),
            several => format!("stages {several:?}"),
        };
        unowned.insert(layer as u64);
        let number = replica.claimed[0].place.replica;
        let expected = format!("layer {layer} on one stage of replica {number}");
        findings.push(Finding::new(Rule::OneStage, expected, found));
    }
    let known: HashSet<&str> =
        plan.entries.iter().map(|entry| entry.declared.name.as_str()).collect();
    for one in replica.claimed {
        for held in one.rank.tensors.iter().filter(|held| !known.contains(held.tensor.as_str())) {
            findings.extend(unknown(plan, held).map(|finding| finding.rank(one.place.rank)));
        }
        for entry in plan.entries.iter().filter(|entry| !matches!(entry.part.home, Home::Layer(_)))
        {
            if !plan.has(one.place.stage, entry) && !one.of(entry).is_empty() {
                let expected = format!("no such tensor on stage {}", one.place.stage);
                let finding = Finding::new(Rule::OneStage, expected, "a share of it");
                findings.push(finding.tensor(&entry.declared.name).rank(one.place.rank));
            }
        }
    }
    replica.plan.stages = stages;
    replica.unowned = unowned;
    replica.findings.append(&mut findings);
}

/// What is wrong with an entry that is none of the plan's.
fn unknown(plan: &Plan, held: &Held) -> Option<Finding> {
    let finding = match plan.unused.iter().find(|(name, _)| *name == held.tensor) {
        None => Finding::new(Rule::NoSuchTensor, "a tensor of the files", "an entry without one"),
        Some((_, reason)) if *reason == TIED => {
            let rule = match plan.grid.pp() {
                1 => Rule::TiedHead,
                _ => Rule::TiedAcrossStages,
            };
            Finding::new(rule, "the word embeddings as head", "a matrix of its own")
        }
        Some(_) => return None,
    };
    Some(finding.tensor(&held.tensor))
}
