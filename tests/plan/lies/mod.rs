//! Lies about a plan, one for each fault that loaders were seen to have. Each breaks the rules that are named beside
//! it and no other.

mod places;
mod slices;
mod words;

use std::collections::BTreeSet;

use weighbridge::harness::model::recipe::{Architecture, Recipe};
use weighbridge::harness::plan::document::{Held, Rank};
use weighbridge::harness::plan::{Document, Finding, Grid, Headers, Interval, Plan, Rule, Share};

use crate::{found, plan, recipe, rules};

/// A Llama that two and four ranks divide, of four layers, whose last shares of the vocabulary are uneven.
fn llama() -> Recipe {
    recipe(Architecture::Llama, |recipe| {
        let sizes = &mut recipe.sizes;
        (sizes.heads, sizes.key_heads, sizes.inner, sizes.layers) = (8, 2, 64, 4);
        sizes.vocabulary = 109;
    })
}

fn phi3() -> Recipe {
    recipe(Architecture::Phi3, |recipe| {
        (recipe.sizes.heads, recipe.sizes.key_heads, recipe.sizes.inner) = (4, 2, 76);
    })
}

fn tied() -> Recipe {
    recipe(Architecture::Qwen3, |recipe| {
        recipe.decoder.untied = false;
        (recipe.sizes.inner, recipe.sizes.vocabulary) = (72, 128);
    })
}

/// What is found in a claim that was true before the lie.
fn lie(headers: &Headers, grid: &Grid, tell: impl FnOnce(&Plan, &mut Document)) -> Vec<Finding> {
    let plan = plan(headers, grid);
    let mut claim = plan.document();
    assert_eq!(found(headers, grid, &claim), Vec::new(), "the truth");
    tell(&plan, &mut claim);
    found(headers, grid, &claim)
}

/// The findings break exactly these rules.
fn breaks(findings: &[Finding], expected: &[Rule]) {
    let expected: BTreeSet<Rule> = expected.iter().copied().collect();
    assert_eq!(rules(findings), expected, "{findings:#?}");
}

/// One of the findings is about this rule, tensor and rank, with these words.
fn says(
    findings: &[Finding],
    rule: Rule,
    tensor: Option<&str>,
    rank: Option<u64>,
    words: [&str; 2],
) {
    let [expected, told] = words;
    let fits = |one: &&Finding| {
        one.rule == rule
            && one.tensor.as_deref() == tensor
            && one.rank == rank
            && one.expected.contains(expected)
            && one.found.contains(told)
    };
    assert!(findings.iter().any(|one| fits(&one)), "{findings:#?}");
}

/// A tensor of a rank.
fn held<'c>(rank: &'c mut Rank, name: &str) -> &'c mut Held {
    let found = rank.tensors.iter_mut().find(|held| held.tensor == name);
    found.unwrap_or_else(|| panic!("no {name}"))
}

/// A share of these intervals.
fn share(dimensions: &[&[[u64; 2]]]) -> Share {
    let one = |held: &&[[u64; 2]]| held.iter().copied().map(Interval::from).collect();
    dimensions.iter().map(one).collect::<Vec<Vec<Interval>>>().into()
}

/// Gives every rank the shares that another number than its own leads to.
fn by(plan: &Plan, claim: &mut Document, number: impl Fn(&Rank) -> u64) {
    for rank in &mut claim.ranks {
        let slice = number(rank);
        let stage = rank.stage.expect("it is told");
        rank.tensors = plan.of_stage(stage).map(|entry| plan.held(entry, slice)).collect();
        for held in &mut rank.tensors {
            held.adds = None;
        }
    }
}

const QUERY: &str = "model.layers.1.self_attn.q_proj.weight";
const KEY: &str = "model.layers.1.self_attn.k_proj.weight";
const OUT: &str = "model.layers.1.self_attn.o_proj.weight";
const FUSED: &str = "model.layers.1.self_attn.qkv_proj.weight";
const GATE: &str = "model.layers.1.mlp.gate_up_proj.weight";
const WORDS: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";
