//! The keys of `config.json` and `generation_config.json` that the judge knows, each with the first
//! case that states it in another way than the models of the suite do.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::case::Case;
use crate::harness::case::model::{ModelDamage, ModelSource};
use crate::harness::model::described;

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name; those of the second file follow the file's name.
    pub name: String,
    /// The first case that states it, leaves it out, or changes its value.
    pub case: Option<String>,
}

/// What stands before the keys of `generation_config.json`.
const GENERATION: &str = "generation_config.json: ";

/// Every key that the judge knows, or that a case states.
pub fn keys(cases: &[Case]) -> Vec<Key> {
    let mut found: BTreeMap<String, Option<String>> = BTreeMap::new();
    for name in described::keys() {
        found.insert(name.to_owned(), None);
    }
    for name in described::settings() {
        found.insert(format!("{GENERATION}{name}"), None);
    }
    for case in cases {
        for name in case.models.values().flat_map(stated) {
            found.entry(name).or_default().get_or_insert_with(|| case.id());
        }
    }
    found.into_iter().map(|(name, case)| Key { name, case }).collect()
}

/// The keys that a model states in a way of its own.
fn stated(model: &ModelSource) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let Some(spelled) = &model.spelled {
        names.extend(spelled.set.keys().chain(spelled.truth.keys()).cloned());
        names.extend(spelled.drop.iter().cloned());
        names.extend(spelled.generation.keys().map(|name| format!("{GENERATION}{name}")));
    }
    for damage in &model.damage {
        if let ModelDamage::Set(name, _) | ModelDamage::Unset(name) | ModelDamage::Leave(name) =
            damage
        {
            names.insert(name.clone());
        }
    }
    names
}
