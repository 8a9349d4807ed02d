//! The checker of parallel plans: what NumPy divides, it divides alike; each lie about a plan breaks the rule that
//! it should; what cannot be divided is refused with its numbers.

mod adapter_slices;
mod by_config;
mod goldens;
mod lies;
mod random;
mod refusals;

use std::collections::BTreeSet;
use std::path::Path;

use tempfile::TempDir;
use weighbridge::harness::model::file::write_recipe;
use weighbridge::harness::model::recipe::{Architecture, Recipe};
use weighbridge::harness::model::{config, decoders, tensors};
use weighbridge::harness::plan::header::{Declared, WeightFile};
use weighbridge::harness::plan::{Document, Finding, Grid, Headers, Plan, Rule, judge};

/// A small decoder with other sizes than those of the suite where that is needed.
pub fn recipe(architecture: Architecture, change: impl FnOnce(&mut Recipe)) -> Recipe {
    let mut all = decoders::all().into_iter();
    let mut recipe = all.find(|one| one.architecture == architecture).expect("a decoder");
    change(&mut recipe);
    recipe
}

/// The headers of a recipe's model, without any file.
pub fn headers(recipe: &Recipe) -> Headers {
    let mut at = 64;
    let mut declared = Vec::new();
    for spec in tensors::of(recipe) {
        let bytes = spec.elements() as u64 * recipe.dtype.bits() / 8;
        let shape = spec.shape.iter().map(|side| *side as u64).collect();
        let (name, dtype) = (spec.name, recipe.dtype);
        declared.push(Declared { name, dtype, shape, file: 0, begin: Some(at), bytes });
        at += bytes;
    }
    declared.sort_by(|a, b| a.name.cmp(&b.name));
    let files = vec![WeightFile { name: "model.safetensors".to_owned(), bytes: Some(at) }];
    Headers { config: config::of(recipe), files, tensors: declared, by_config: None }
}

/// A recipe's model in a folder.
pub fn written(recipe: &Recipe) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write_recipe(recipe, folder.path(), &|_| ()).expect("the model is written");
    folder
}

/// A grid on the first devices.
pub fn grid(tp: u64, pp: u64) -> Grid {
    Grid::new(tp, pp, 1, &[]).expect("a grid")
}

/// The true plan.
pub fn plan(headers: &Headers, grid: &Grid) -> Plan {
    Plan::of(headers, grid, 1).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// What is found in a claim about a model.
pub fn found(headers: &Headers, grid: &Grid, claim: &Document) -> Vec<Finding> {
    let judgement = judge(headers, grid, 1, claim).unwrap_or_else(|refusal| panic!("{refusal}"));
    assert!(!judgement.refused);
    judgement.findings
}

/// The rules that are broken.
pub fn rules(findings: &[Finding]) -> BTreeSet<Rule> {
    findings.iter().map(|finding| finding.rule).collect()
}

/// The folder of the goldens.
pub fn golden(name: &str) -> std::path::PathBuf {
    Path::new("fixtures/plan").join(name)
}
