//! Tests that honest habits change nothing, and that others change what they are about.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;
use tempfile::TempDir;

use crate::contract::Loader;
use crate::contract::generation::{Prompt, Sampling};
use crate::contract::inference::{Head, Input, Pooling};
use crate::contract::request::{Forward, Generate};
use crate::loader::ReferenceLoader;
use crate::loader::infer::tests::{Tiny, bert, decoder, nomic, projection, qwen2, save_batch};
use crate::mutants::inference_forms::bent::*;

/// Every tensor that a traced forward pass writes.
type Written = BTreeMap<String, Vec<f32>>;

fn run(mut loader: ReferenceLoader, model: &Tiny) -> Written {
    let folder = TempDir::new().expect("a folder");
    let handle = loader.load(model.save(folder.path())).expect("loads").handle;
    let (input, into) = (folder.path().join("in"), folder.path().join("out"));
    let batch = match model.config["model_type"].as_str() {
        Some("projection") => {
            Batch::Vectors { rows: 2, columns: 6, values: (0..12u8).map(f32::from).collect() }
        }
        _ => model.batch(),
    };
    save_batch(&batch, &input);
    let asked = Forward { handle, input: Input::File(input), into: into.clone(), trace: true };
    loader.forward(asked).expect("runs");
    let bytes = fs::read(&into).expect("written");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let values = |bytes: &[u8]| {
        bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
    };
    file.tensors().iter().map(|(name, view)| (name.clone(), values(view.data()))).collect()
}

fn bending(habits: Habits) -> ReferenceLoader {
    ReferenceLoader::with_decisions(Box::new(Bending(habits)))
}

fn far(one: &Written, other: &Written) -> f32 {
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    let pairs = one.values().zip(other.values());
    let pairs = pairs.flat_map(|(one, other)| one.iter().zip(other));
    pairs.map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

fn with_head(mut model: Tiny, head: Head) -> Tiny {
    model.head = head;
    model
}

/// A qwen3: a norm over each head, and no biases.
fn qwen3() -> Tiny {
    let mut model = decoder();
    model.config["model_type"] = json!("qwen3");
    model.tensors.retain(|(name, ..)| !name.ends_with("bias"));
    for layer in 0..2 {
        for part in ["q_norm", "k_norm"] {
            model.add(format!("layers.{layer}.self_attn.{part}.weight"), &[4]);
        }
    }
    model
}

/// An encoder that scores words.
fn splade() -> Tiny {
    let mut model = with_head(bert(), Head::pooled(Pooling::Splade));
    model.pair("cls.predictions.transform.dense", 8, 8);
    model.norm("cls.predictions.transform.LayerNorm", 8);
    model.add("cls.predictions.bias", &[11]);
    model
}

#[test]
fn honest_habits_compute_what_the_honest_engine_computes() {
    let pooled = Head::Embedding { pooling: Pooling::Cls, projection: None, normalize: true };
    let states = Head::TokenStates { projection: None, normalize: true };
    for (of, model) in [
        ("bert", bert()),
        ("bert, normalised", with_head(bert(), pooled)),
        ("bert, states", with_head(bert(), states)),
        ("splade", splade()),
        ("nomic", nomic()),
        ("qwen2", qwen2()),
        ("a decoder", decoder()),
        ("qwen3", qwen3()),
        ("a projection", projection()),
    ] {
        let far = far(&run(bending(Habits::HONEST), &model), &run(ReferenceLoader::new(), &model));
        assert!(far < 1e-5, "{of}: {far}");
    }
}

#[test]
fn honest_habits_generate_what_the_honest_engine_generates() {
    let tokens = |mut loader: ReferenceLoader| {
        let folder = TempDir::new().expect("a folder");
        let handle = loader.load(decoder().save(folder.path())).expect("loads").handle;
        let prompt = Prompt::Tokens(vec![3, 7, 2]);
        let sampling = Sampling::GREEDY;
        let asked = Generate { handle, prompt, limit: 12, sampling, into: None };
        loader.generate(asked).expect("generates").tokens
    };
    let honest = tokens(ReferenceLoader::new());
    assert_eq!((tokens(bending(Habits::HONEST)), honest.len()), (honest.clone(), 12));
}

#[test]
fn a_habit_changes_what_it_is_about() {
    let output = |loader, model: &Tiny| run(loader, model)["embedding"].clone();
    let first = with_head(qwen2(), Head::pooled(Pooling::Cls));
    let last = Habits { last: |_| 0, ..Habits::HONEST };
    assert_eq!(output(bending(last), &qwen2()), output(ReferenceLoader::new(), &first));

    let mut flat = bert();
    let table = flat.values("embeddings.position_embeddings.weight");
    let (row, others) = table.split_at_mut(8);
    others.chunks_mut(8).for_each(|other| other.copy_from_slice(row));
    let rows = Habits { rows: |_, _, places| places.fill(0), ..Habits::HONEST };
    let beyond = Habits { rows: |_, _, places| places.fill(99), ..Habits::HONEST };
    let honest = run(ReferenceLoader::new(), &flat);
    assert!(far(&run(bending(rows), &bert()), &honest) < 1e-5, "one row for all");
    assert!(far(&run(bending(beyond), &flat), &honest) < 1e-5, "the last row, and no error");

    let honest = run(ReferenceLoader::new(), &nomic());
    for (of, habits) in [
        ("turned", Habits { turned: |at| at * 2, ..Habits::HONEST }),
        ("sight", Habits { sight: |of, _| of.causal = true, ..Habits::HONEST }),
        ("head", Habits { head: |head| 1 - head, ..Habits::HONEST }),
        ("weigh", Habits { weigh: |scores| scores.fill(0.25), ..Habits::HONEST }),
        ("skips", Habits { skips: |_, _| true, ..Habits::HONEST }),
        (
            "states",
            Habits { states: |x| x.iter_mut().for_each(|x| *x += x.abs()), ..Habits::HONEST },
        ),
    ] {
        let far = far(&run(bending(habits), &nomic()), &honest);
        assert!(far > 1e-3, "{of}: {far}");
    }
}
