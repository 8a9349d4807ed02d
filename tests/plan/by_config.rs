//! A plan from `config.json` and the index alone, where no weight file is there.

use std::fs;

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use weighbridge::contract::{Code, DType};
use weighbridge::harness::model::file::{CONFIG, INDEX};
use weighbridge::harness::model::recipe::{Architecture, Recipe};
use weighbridge::harness::model::{config, decoders, random};
use weighbridge::harness::plan::weights::BEYOND;
use weighbridge::harness::plan::{Document, Fault, Headers, Plan, judge};

use crate::{grid, headers, plan, recipe};

/// A folder with a recipe's configuration and an index of two files, neither of which is there.
fn alone(recipe: &Recipe, change: impl FnOnce(&mut Value, &mut Value)) -> TempDir {
    let all = headers(recipe);
    let file = |at: usize| format!("model-{:05}-of-00002.safetensors", at % 2 + 1);
    let map: Map<String, Value> = all
        .tensors
        .iter()
        .enumerate()
        .map(|(at, tensor)| (tensor.name.clone(), json!(file(at))))
        .collect();
    let total: u64 = all.tensors.iter().map(|tensor| tensor.bytes).sum();
    let mut index = json!({"metadata": {"total_size": total}, "weight_map": map});
    let mut config = config::of(recipe);
    config["dtype"] = json!(match recipe.dtype {
        DType::F16 => "float16",
        DType::BF16 => "bfloat16",
        _ => "float32",
    });
    change(&mut config, &mut index);
    let folder = tempfile::tempdir().expect("a folder");
    for (name, value) in [(CONFIG, &config), (INDEX, &index)] {
        fs::write(folder.path().join(name), value.to_string()).expect("a document");
    }
    folder
}

#[test]
fn slices_are_those_of_the_headers_and_places_are_unknown() {
    let encoders = (0..40).map(|seed| random::recipe(Architecture::Bert, None, seed));
    let (projecting, plain): (Vec<Recipe>, Vec<Recipe>) = encoders.partition(|recipe| {
        headers(recipe).tensors.iter().any(|tensor| tensor.name == "projection.weight")
    });
    // The configuration says nothing of a projection, and an encoder is loaded whole.
    let folder = alone(&projecting[0], |_, _| ());
    let of_config = Headers::read_or_configured(folder.path()).expect("an index");
    let refusal = Plan::of(&of_config, &grid(1, 1), 1).expect_err("no shape");
    assert_eq!(refusal.failure.tensor.as_deref(), Some("projection.weight"));
    let encoder = plain.into_iter().next().expect("an encoder without a projection");
    let mut families = 0;
    for recipe in decoders::all().into_iter().chain([encoder]) {
        let folder = alone(&recipe, |_, _| ());
        let of_headers = headers(&recipe);
        let of_config = Headers::read_or_configured(folder.path()).expect("an index");
        let divided = [(2, 2), (2, 1), (1, 2), (1, 1)].into_iter().find_map(|(tp, pp)| {
            Some((grid(tp, pp), Plan::of(&of_headers, &grid(tp, pp), 1).ok()?))
        });
        let (grid, wanted) = divided.expect("a plan");
        let found = plan(&of_config, &grid);
        assert_eq!(found.entries.len(), wanted.entries.len());
        for (found, wanted) in found.entries.iter().zip(&wanted.entries) {
            let told = |one: &weighbridge::harness::plan::Entry| {
                let of = &one.declared;
                (of.name.clone(), of.dtype, of.shape.clone(), of.bytes, one.part, one.cut.clone())
            };
            assert_eq!(told(found), told(wanted));
        }
        let by_config = found.by_config.as_ref().expect("shapes by the configuration");
        let unused: u64 = (of_headers.tensors.iter())
            .filter(|tensor| wanted.unused.iter().any(|(name, _)| *name == tensor.name))
            .map(|tensor| tensor.bytes)
            .sum();
        assert_eq!(by_config.total, Some(found.bytes() + unused));
        assert_eq!(found.bytes_of_ranks(), wanted.bytes_of_ranks());
        for rank in found.document().ranks {
            assert_eq!(rank.bytes_read, None);
            assert!(rank.tensors.iter().all(|held| held.spans.is_none() && held.file.is_some()));
        }
        families += 1;
    }
    assert!(families >= 6, "only {families} families");
}

#[test]
fn what_is_not_known_is_refused() {
    let llama = recipe(Architecture::Llama, |_| ());
    let refused =
        |folder: &TempDir| Headers::read_or_configured(folder.path()).expect_err("no plan");
    for dtype in [json!(null), json!("int8"), json!(16)] {
        let refusal = refused(&alone(&llama, |config, _| config["dtype"] = dtype.clone()));
        assert_eq!((refusal.fault, refusal.failure.code), (Fault::Files, Code::NotFound));
        assert!(refusal.failure.remedy.is_some() && refusal.failure.actual.is_some());
    }
    // The name that older files have.
    let older = alone(&llama, |config, _| {
        let dtype = config["dtype"].take();
        let config = config.as_object_mut().expect("an object");
        config.remove("dtype");
        config.insert("torch_dtype".to_owned(), dtype);
    });
    Headers::read_or_configured(older.path()).expect("an element type");
    // One file of two: the other is missing, which is another matter.
    let half = alone(&llama, |_, _| ());
    fs::write(half.path().join("model-00001-of-00002.safetensors"), b"").expect("a file");
    assert_eq!(refused(&half).failure.code, Code::TooShort);
    // Who wants the headers says so.
    let folder = alone(&llama, |_, _| ());
    assert_eq!(Headers::read(folder.path()).expect_err("no file").failure.code, Code::NotFound);
    let found = Headers::read_or_configured(folder.path()).expect("an index");
    let claim = Document { refused: Some("no".to_owned()), ..Document::default() };
    judge(&found, &grid(1, 1), 1, &claim).expect_err("nothing to hold a claim against");
}

#[test]
fn sizes_that_no_model_has_are_refused() {
    let llama = recipe(Architecture::Llama, |_| ());
    let folder = alone(&llama, |config, _| {
        config["vocab_size"] = json!(1 << 30);
        config["hidden_size"] = json!(1 << 28);
        config["num_attention_heads"] = json!(1);
        config["num_key_value_heads"] = json!(1);
    });
    let headers = Headers::read_or_configured(folder.path()).expect("an index");
    let refusal = Plan::of(&headers, &grid(1, 1), 1).expect_err("too large");
    assert_eq!(refusal.failure.code, Code::InvalidConfig, "{refusal}");
    assert!(refusal.failure.message.contains("more bytes than a model can have"), "{refusal}");
}

#[test]
fn layers_that_the_configuration_has_not_are_unused_with_biases_or_without() {
    for architecture in [Architecture::Llama, Architecture::Qwen2] {
        let mut all = headers(&recipe(architecture, |_| ()));
        let layers = all.config["num_hidden_layers"].as_u64().expect("layers");
        all.config["num_hidden_layers"] = json!(layers - 1);
        let plan = plan(&all, &grid(1, 1));
        let last = format!("layers.{}.", layers - 1);
        assert!(!plan.unused.is_empty());
        assert!(plan.unused.iter().all(|(name, why)| name.contains(&last) && *why == BEYOND));
        assert!(plan.entries.iter().all(|entry| !entry.declared.name.contains(&last)));
    }
}
