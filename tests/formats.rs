//! GGUF as another implementation wrote it: the small chat model by the package that llama.cpp's
//! converter is made of, and quantised blocks with the values that it makes of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::Value;
use weighbridge::contract::Device;
use weighbridge::contract::decoder::{Prompt, Sampling, Turn};
use weighbridge::contract::reply::Generated;
use weighbridge::contract::request::{Generate, Keep};
use weighbridge::loader::checkpoint::Checkpoint;
use weighbridge::loader::cuda::Gpus;
use weighbridge::loader::foreign::blocks::Packing;
use weighbridge::loader::model::Model;
use weighbridge::loader::progress::Progress;
use weighbridge::loader::{Honest, generate, load};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/chat")
}

fn open(path: &Path) -> Model {
    let request = Checkpoint::find(path).expect("found").decoder(Device::Cpu, true);
    assert_eq!(request.keep, Keep::Stored);
    load::load(&mut Gpus::default(), &Honest, &request, &Progress::default()).expect("loads")
}

fn answer(model: &mut Model, prompt: Prompt, into: Option<PathBuf>) -> Generated {
    let sampling = Sampling::GREEDY;
    let request = Generate { handle: 0, prompt, limit: 64, sampling, into };
    generate::generate(model, &mut Gpus::default(), &Honest, &request, &mut |_| ())
        .expect("answers")
}

#[test]
fn every_tensor_is_that_of_the_safetensors_file() {
    let bytes = fs::read(folder().join("model/model.safetensors")).expect("readable");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut wanted: BTreeMap<String, _> = file.tensors().into_iter().collect();
    let model = open(&folder().join("chat.gguf"));
    for held in &model.tensors {
        let view = wanted.remove(&held.info.name).expect("a tensor of the model");
        let shape: Vec<u64> = view.shape().iter().map(|side| *side as u64).collect();
        assert_eq!((&held.info.shape, held.dtype.name()), (&shape, "BF16".to_owned()));
        assert_eq!(model.read(held).expect("read"), view.data(), "{}", held.info.name);
    }
    assert!(wanted.is_empty(), "not loaded: {:?}", wanted.keys());
}

#[test]
fn prompts_logits_and_answers_are_those_of_transformers() {
    let goldens = fs::read(folder().join("goldens.json")).expect("goldens.json");
    let goldens: Value = serde_json::from_slice(&goldens).expect("JSON");
    let mut model = open(&folder().join("chat.gguf"));
    let conversations = goldens["conversations"].as_array().expect("conversations");
    assert!(conversations.len() >= 9);
    for golden in conversations {
        let turns: Vec<Turn> = serde_json::from_value(golden["turns"].clone()).expect("turns");
        let scratch = tempfile::tempdir().expect("a folder");
        let into = scratch.path().join("logits.safetensors");
        let given = answer(&mut model, Prompt::Chat(turns), Some(into.clone()));
        let ids =
            |name: &str| -> Vec<u32> { serde_json::from_value(golden[name].clone()).expect("ids") };
        assert_eq!(given.prompt, ids("prompt"));
        assert_eq!(given.tokens, ids("tokens"));
        assert_eq!(given.text.as_deref(), golden["text"].as_str());
        let bytes = fs::read(&into).expect("written");
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        let first = &file.tensor("logits").expect("logits").data()[..4096];
        let (first, _) = first.as_chunks::<4>();
        for pair in golden["largest"].as_array().expect("pairs") {
            let at = pair[0].as_u64().expect("an id") as usize;
            let (own, wanted) = (f64::from(f32::from_le_bytes(first[at])), pair[1].as_f64());
            let wanted = wanted.expect("a number");
            assert!((own - wanted).abs() < 1e-4 * wanted.abs().max(1.0), "{own} {wanted}");
        }
    }
}

#[test]
fn blocks_have_the_values_that_llama_cpp_gives_them() {
    let bytes = fs::read(folder().join("blocks.safetensors")).expect("readable");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    for (name, packing) in [("Q8_0", Packing::Q8_0), ("Q4_K", Packing::Q4K), ("Q6_K", Packing::Q6K)]
    {
        let blocks = file.tensor(&format!("{name}.blocks")).expect("blocks");
        let values = file.tensor(&format!("{name}.values")).expect("values");
        let mut own = Vec::new();
        packing.unpack(blocks.data(), &mut own);
        assert_eq!(own.len() as u64, 24 * packing.elements() * 4);
        assert_eq!(own, values.data(), "{name}");
    }
}
