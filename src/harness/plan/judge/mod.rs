//! Holds a plan that a loader claims against model and grid, and names every rule that it breaks.
//!
//! Two kinds of arithmetic find a fault. The claimed shares of a stage's ranks are compared with each other:
//! they must be disjoint and make up the tensor (`reassembly`). And each is compared with the share that its
//! rank should have; how it differs tells which rule was broken (`slices`).

mod finding;
mod owners;
mod ranks;
mod reads;
mod reassembly;
mod replica;
mod slices;
mod vocabulary;

use std::collections::BTreeSet;

use self::replica::{Claimed, Replica};
use super::document::Document;
use super::files::Headers;
use super::grid::Grid;
use super::layout::Plan;
use super::refusal::{Fault, Refusal};
use super::rule::Rule;
use crate::contract::Code;

pub use self::finding::Finding;

/// What a claim is worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Whether the loader refuses. A refusal breaks a rule only if it names no numbers.
    pub refused: bool,
    /// Every broken rule.
    pub findings: Vec<Finding>,
}

/// Judges a claim. `multiple` is as in [`super::Division::of`]; a claim that states its own padded
/// vocabulary is judged by that.
///
/// # Errors
/// If files, model, grid or document are such that there is nothing to judge.
pub fn judge(
    headers: &Headers,
    grid: &Grid,
    multiple: u64,
    claim: &Document,
) -> Result<Judgement, Refusal> {
    if headers.by_config.is_some() {
        let message = "a claim is held against headers, and no weight file is there";
        let remedy = "Get the weight files, or plan without a claim.";
        return Err(Refusal::model(Code::NotFound, message).told("headers", "none", remedy));
    }
    let plan = match Plan::of(headers, grid, multiple) {
        Ok(plan) => plan,
        Err(refusal) if refusal.fault == Fault::Model => return wanted(refusal, claim),
        Err(refusal) => return Err(refusal),
    };
    if claim.refused.is_some() {
        return Ok(Judgement { refused: true, findings: Vec::new() });
    }
    let mut findings = Vec::new();
    let plan = match claim.padded_vocabulary.map(|padded| (padded, plan.padded_to(padded))) {
        None => plan,
        Some((_, Some(padded))) => padded,
        Some((padded, None)) => {
            let words = plan.division.vocabulary;
            let expected = format!("{words} rows or more, a multiple of tp {}", grid.tp());
            findings.push(Finding::new(Rule::PaddedVocabulary, expected, padded));
            plan
        }
    };
    let claimed = claim.ranks(grid)?;
    let claimed: Vec<Claimed<'_>> =
        grid.places().zip(&claimed).map(|(place, rank)| Claimed::new(place, rank)).collect();
    for claimed in claimed.chunks((grid.tp() * grid.pp()) as usize) {
        let unowned = BTreeSet::new();
        let mut replica = Replica { plan: plan.clone(), claimed, unowned, findings };
        owners::check(&mut replica);
        ranks::check(&mut replica);
        slices::check(&mut replica);
        vocabulary::check(&mut replica);
        findings = replica.findings;
    }
    Ok(Judgement { refused: false, findings })
}

/// Judges a claim about a model that must be refused.
fn wanted(refusal: Refusal, claim: &Document) -> Result<Judgement, Refusal> {
    let Some(rule) = refusal.rule else { return Err(refusal) };
    let expected = format!("a refusal: {}", refusal.failure.message);
    let Some(words) = &claim.refused else {
        let found = format!("a plan of {} ranks", claim.ranks.len());
        return Ok(Judgement {
            refused: false,
            findings: vec![Finding::new(rule, expected, found)],
        });
    };
    let named = |number: &u64| {
        let number = number.to_string();
        words.split(|c: char| !c.is_ascii_digit()).any(|word| word == number)
    };
    let missing = refusal.numbers.iter().find(|number| !named(number));
    let finding = |number| Finding::new(rule, format!("a refusal that names {number}"), words);
    Ok(Judgement { refused: true, findings: missing.map(finding).into_iter().collect() })
}
