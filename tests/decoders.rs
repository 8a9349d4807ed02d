//! Decoders on the host: six architectures against transformers, and models made for this run against
//! the oracle, logits at every position and the state behind every layer.

use std::fs;
use std::path::Path;

use serde_json::Value;
use weighbridge::contract::inference::{Batch, Head, Pooling, Traced, TracedForward};
use weighbridge::contract::{Code, Device};
use weighbridge::harness::evidence::digest::sha256_file;
use weighbridge::harness::model::registry::golden_values;
use weighbridge::harness::model::{Architecture, HeadKind, Recipe, decoders, file, random};
use weighbridge::harness::oracle::forward::{Oracle, Precision};
use weighbridge::loader::device::Gpus;
use weighbridge::loader::error::LoadError;
use weighbridge::loader::open::checkpoint::Checkpoint;
use weighbridge::loader::progress::Progress;
use weighbridge::loader::verbs::forward;
use weighbridge::loader::{Honest, load};

/// Largest difference, relative to the largest logit of a position, or to 1 where that is smaller.
const TOLERANCE: f32 = 1e-5;
/// For the oracle in F64 against transformers in F64, whose rotary angles stay F32 all the same.
const EXACT: f32 = 1e-6;

fn run(recipe: &Recipe, batch: &Batch) -> Result<Traced, LoadError> {
    let folder = tempfile::tempdir().expect("a folder");
    file::write_recipe(recipe, folder.path(), &|_| ()).expect("written");
    run_files(folder.path(), recipe, batch)
}

fn run_files(folder: &Path, recipe: &Recipe, batch: &Batch) -> Result<Traced, LoadError> {
    let request = Checkpoint::find(folder)?.tokens(Device::Cpu, true, recipe.head());
    let mut gpus = Gpus::default();
    let mut model = load::load(&mut gpus, &Honest, &request, &Progress::default())?;
    forward::run(&mut model, &mut gpus, batch, true)
}

fn one_sentence(ids: Vec<i64>) -> Batch {
    Batch::Tokens { rows: 1, columns: ids.len(), mask: vec![1; ids.len()], types: Vec::new(), ids }
}

/// How far two are apart, by the measure of [`TOLERANCE`].
fn apart(given: &[f32], wanted: &[f32], width: usize) -> f32 {
    assert_eq!(given.len(), wanted.len());
    let rows = given.chunks(width).zip(wanted.chunks(width));
    let far = |(given, wanted): (&[f32], &[f32])| {
        let largest = wanted.iter().fold(1f32, |most, value| most.max(value.abs()));
        let far = given.iter().zip(wanted).fold(0f32, |far, (a, b)| far.max((a - b).abs()));
        far / largest
    };
    rows.map(far).fold(0.0, f32::max)
}

#[test]
fn loader_and_oracle_agree_with_transformers_on_six_architectures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/decoders");
    let versions = fs::read(folder.join("versions.json")).expect("versions.json");
    let versions: Value = serde_json::from_slice(&versions).expect("JSON");
    for recipe in decoders::all() {
        let name = recipe.architecture.model_type();
        let made = tempfile::tempdir().expect("a folder");
        file::write_recipe(&recipe, made.path(), &|_| ()).expect("written");
        // The golden is of these weights and no others.
        let digest = sha256_file(&made.path().join(file::SINGLE)).expect("readable");
        assert_eq!(versions["weights"][name], digest, "{name}");
        let golden = fs::read(folder.join(format!("{name}.bin"))).expect("a golden");
        let golden = golden_values(&golden).expect("a sound golden");
        let (batch, width) = (one_sentence(decoders::ids(&recipe)), recipe.sizes.vocabulary);
        assert_eq!(golden.len(), decoders::TOKENS * width, "{name}");

        let given = run_files(made.path(), &recipe, &batch).expect("runs").output;
        assert_eq!(given.shape, [1, decoders::TOKENS, width], "{name}");
        let far = apart(&given.values, &golden, width);
        assert!(far < TOLERANCE, "{name}: loader {far}");
        let mut oracle = Oracle::of(&recipe, Precision::F64).expect("an oracle");
        let wanted = oracle.forward(&batch, false).expect("runs").output;
        let far = apart(&wanted.values, &golden, width);
        assert!(far < EXACT, "{name}: oracle {far}");
    }
}

/// A batch of three: full, one token, and part padding.
fn batch(recipe: &Recipe, seed: u64) -> Batch {
    let columns = 31;
    let mut state = seed | 1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % recipe.sizes.vocabulary
    };
    let lengths = [columns, 1, 17];
    let place = |row: usize, at: usize| at < lengths[row];
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    for row in 0..lengths.len() {
        for at in 0..columns {
            ids.push(if place(row, at) { next() as i64 } else { 0 });
            mask.push(i64::from(place(row, at)));
        }
    }
    Batch::Tokens { rows: lengths.len(), columns, ids, mask, types: Vec::new() }
}

#[test]
fn random_models_agree_with_the_oracle_at_every_position_and_layer() {
    let decoders = Architecture::ALL.into_iter().filter(|one| one.is_decoder());
    let (mut untied, mut types) = ([false; 2], std::collections::BTreeSet::new());
    for architecture in decoders {
        for seed in 0..8 {
            let recipe = random::recipe(architecture, Some(HeadKind::Logits), seed);
            untied[usize::from(recipe.decoder.untied)] = true;
            types.insert(recipe.dtype.to_string());
            let batch = batch(&recipe, seed);
            let what = format!("{} {seed}", architecture.model_type());
            let given = run(&recipe, &batch).unwrap_or_else(|error| panic!("{what}: {error}"));
            let mut oracle = Oracle::of(&recipe, Precision::F64).expect("an oracle");
            let wanted = oracle.forward(&batch, true).expect("runs");
            let far = apart(&given.output.values, &wanted.output.values, recipe.sizes.vocabulary);
            assert!(far < TOLERANCE, "{what}: logits {far}");
            assert_eq!(given.states.len(), 7 * recipe.sizes.layers + 2, "{what}");
            for (given, wanted) in given.states.iter().zip(&wanted.states) {
                assert_eq!((&given.name, &given.shape), (&wanted.name, &wanted.shape), "{what}");
                let width = given.shape[2];
                let far = apart(&given.values, &wanted.values, width);
                assert!(far < TOLERANCE, "{what}: {} {far}", given.name);
            }
        }
    }
    assert!(untied == [true; 2] && types.len() == 3, "{untied:?} {types:?}");
}

/// What a configuration says is honoured: without it, other logits.
#[test]
fn what_a_configuration_says_changes_the_logits() {
    type Change = fn(&mut Recipe);
    let changes: [(Architecture, &str, Change); 7] = [
        (Architecture::Mistral, "window", |recipe| recipe.decoder.window = None),
        (Architecture::Phi3, "window by one", |recipe| recipe.decoder.window = Some(8)),
        (Architecture::Llama, "scaling", |recipe| recipe.decoder.scaling = None),
        (Architecture::Llama, "base", |recipe| recipe.sizes.rotary_base = 10_000.0),
        (Architecture::Qwen3, "epsilon", |recipe| recipe.sizes.epsilon = 1e-6),
        (Architecture::Qwen2, "key heads", |recipe| recipe.sizes.rotary_base = 301.0),
        (Architecture::Gpt2, "heads", |recipe| recipe.sizes.heads = 4),
    ];
    for (architecture, what, change) in changes {
        let mut all = decoders::all().into_iter();
        let recipe = all.find(|one| one.architecture == architecture).expect("one of each");
        let mut other = recipe.clone();
        change(&mut other);
        if architecture == Architecture::Gpt2 {
            // A size that follows from the others.
            other.sizes.head_size = 0;
        }
        let batch = one_sentence(decoders::ids(&recipe));
        let width = recipe.sizes.vocabulary;
        let (a, b) = (run(&recipe, &batch).expect("runs"), run(&other, &batch).expect("runs"));
        let far = apart(&a.output.values, &b.output.values, width);
        assert!(far > 10.0 * TOLERANCE, "{what} makes no difference: {far}");
    }
}

#[test]
fn the_flag_decides_which_head_is_used() {
    let all = decoders::all();
    let llama = all.iter().find(|one| one.architecture == Architecture::Llama).expect("a Llama");
    let batch = one_sentence(decoders::ids(llama));
    let folder = tempfile::tempdir().expect("a folder");
    file::write_recipe(llama, folder.path(), &|_| ()).expect("written");
    let untied = run_files(folder.path(), llama, &batch).expect("runs");

    // A tied model may carry a stale head: the embeddings count.
    let path = folder.path().join(file::CONFIG);
    let text = fs::read_to_string(&path).expect("config.json");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    config["tie_word_embeddings"] = Value::Bool(true);
    fs::write(&path, config.to_string()).expect("written");
    let tied = run_files(folder.path(), llama, &batch).expect("runs");
    assert!(apart(&tied.output.values, &untied.output.values, llama.sizes.vocabulary) > 0.1);

    // An untied one without a head is incomplete, whatever else would fit.
    let mut headless = llama.clone();
    headless.decoder.untied = false;
    file::write_recipe(&headless, folder.path(), &|_| ()).expect("written");
    let text = fs::read_to_string(&path).expect("config.json");
    fs::write(
        &path,
        text.replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"),
    )
    .expect("written");
    let error = run_files(folder.path(), llama, &batch).expect_err("no head");
    assert_eq!(error.code(), Code::IncompleteModel, "{error}");
    assert!(error.to_string().contains("lm_head.weight"), "{error}");
}

#[test]
fn a_head_that_a_model_has_not_is_refused() {
    let bert = random::recipe(Architecture::Bert, Some(HeadKind::Embedding(Pooling::Mean)), 1);
    let asked = Recipe { output: HeadKind::Logits, projection: None, normalize: false, ..bert };
    let error = run(&asked, &one_sentence(vec![1, 2, 3])).expect_err("no language model");
    assert_eq!(error.code(), Code::InvalidRequest, "{error}");
    let normalised = serde_json::json!({"logits": {"normalize": true}});
    serde_json::from_value::<Head>(normalised).expect_err("logits are not normalised");
}
