//! Tests the registry's entries, its goldens, and that the generator gives the pinned digests.

use crate::harness::model::file;
use crate::harness::model::registry::*;

#[test]
fn thirteen_models_of_the_known_dimensions() {
    let dimension = |entry: &Entry| entry.sizes[&Scale::Full].dimension;
    let found: Vec<(&str, usize)> =
        models().unwrap().iter().map(|entry| (entry.id.as_str(), dimension(entry))).collect();
    let wanted = [
        ("E1", 1024),
        ("E2", 512),
        ("E3", 512),
        ("E4", 512),
        ("E5", 768),
        ("E6", 1536),
        ("E7", 1536),
        ("E8", 1024),
        ("E9", 1024),
        ("E10", 768),
        ("E11", 384),
        ("E12", 128),
        ("E13", 30522),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn the_small_models_have_the_pinned_digests() {
    for entry in models().unwrap() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = entry.recipe(Scale::Small).unwrap();
        let written = file::write_recipe(&recipe, folder.path(), &|_| ()).unwrap();
        let found: BTreeMap<String, String> =
            written.into_iter().map(|(name, (_, digest))| (name, digest)).collect();
        assert_eq!(entry.sha256.get(&Scale::Small), Some(&found), "{}", entry.id);
    }
}

#[test]
fn every_model_has_a_golden_at_both_scales() {
    for entry in models().unwrap() {
        for scale in [Scale::Small, Scale::Full] {
            let golden = entry.golden(scale).unwrap_or_else(|| panic!("{} {scale:?}", entry.id));
            let sizes = &entry.sizes[&scale];
            let (input, output) =
                (golden_values(golden.input).unwrap(), golden_values(golden.output).unwrap());
            let wanted = match entry.output {
                HeadKind::TokenStates => sizes.dimension * input.len(),
                _ => sizes.dimension,
            };
            assert_eq!(output.len(), wanted, "{} {scale:?}", entry.id);
        }
    }
}
