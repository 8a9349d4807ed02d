//! GGUF as another implementation wrote it: the small chat model by the package that llama.cpp's
//! converter is made of. And what becomes of files that are cut or changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use apr_format::v2::{AprV2Header, AprV2Metadata, AprV2Writer};
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::Value;
use weighbridge::contract::generation::{Prompt, Sampling, Turn};
use weighbridge::contract::reply::Generated;
use weighbridge::contract::request::{DtypePolicy, Generate, Seal};
use weighbridge::contract::{Code, Device};
use weighbridge::loader::device::Gpus;
use weighbridge::loader::load::model::Model;
use weighbridge::loader::open::checkpoint::Checkpoint;
use weighbridge::loader::progress::Progress;
use weighbridge::loader::verbs::generate;
use weighbridge::loader::{Honest, load};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/chat")
}

fn open(path: &Path) -> Model {
    let request = Checkpoint::find(path).expect("found").decoder(Device::Cpu, true);
    assert_eq!(request.keep, DtypePolicy::Stored);
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
        assert_eq!(held.info.shape, shape);
        // What has one side is F32 in GGUF: the same value is the half's bits on top.
        let widened = || view.data().as_chunks::<2>().0.iter().flat_map(|[a, b]| [0, 0, *a, *b]);
        let (dtype, bytes) = match shape.len() {
            1 => ("F32", widened().collect()),
            _ => ("BF16", view.data().to_vec()),
        };
        assert_eq!(held.dtype.name(), dtype);
        assert_eq!(model.read(held).expect("read"), bytes, "{}", held.info.name);
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

/// A load of these bytes, and the code of its refusal where it is one.
fn code_of(bytes: &[u8], name: &str) -> Option<Code> {
    let scratch = tempfile::tempdir().expect("a folder");
    let path = scratch.path().join(name);
    fs::write(&path, bytes).expect("written");
    let request = Checkpoint::find(&path).expect("found").decoder(Device::Cpu, false);
    let loaded = load::load(&mut Gpus::default(), &Honest, &request, &Progress::default());
    let failure = loaded.err()?.failure().clone();
    assert!(failure.expected.is_some() && failure.remedy.is_some(), "{failure:?}");
    assert_ne!(failure.code, Code::Internal, "{failure:?}");
    Some(failure.code)
}

/// Where the data of the small model's GGUF file begins, as its writer says.
const GGUF_HEADER: usize = 59_968;

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let whole = fs::read(folder().join("chat.gguf")).expect("readable");
    // Every place of the first keys, some of each part, and the last bytes of all.
    let some = (0..400).chain((400..GGUF_HEADER).step_by(997));
    let places = some.chain([GGUF_HEADER, GGUF_HEADER + 1, whole.len() - 1]);
    for place in places {
        let code = code_of(&whole[..place], "cut.gguf");
        let code = code.unwrap_or_else(|| panic!("loads, cut at byte {place}"));
        let truthful = matches!(code, Code::TooShort | Code::HeaderTruncated | Code::Truncated);
        assert!(truthful, "cut at byte {place}: {code:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Nothing that stands in a header makes the reader panic, hang, or reserve what is not there.
    #[test]
    fn changed_headers_are_read_or_refused(
        at in 0usize..GGUF_HEADER,
        more in 0usize..400,
        bytes in prop::collection::vec(any::<u8>(), 1..9),
    ) {
        static WHOLE: OnceLock<Vec<u8>> = OnceLock::new();
        let whole = WHOLE.get_or_init(|| fs::read(folder().join("chat.gguf")).expect("readable"));
        // The data is left out: a header that is sound is refused for that.
        let mut header = whole[..GGUF_HEADER].to_vec();
        for place in [at, more] {
            for (old, new) in header[place..].iter_mut().zip(&bytes) {
                *old = *new;
            }
        }
        prop_assert!(code_of(&header, "changed.gguf").is_some());
    }

    /// The same of APR, the header's own sum made right again.
    #[test]
    fn changed_apr_headers_are_read_or_refused(
        at: prop::sample::Index,
        bytes in prop::collection::vec(any::<u8>(), 1..9),
    ) {
        let mut metadata = AprV2Metadata::new("qwen2");
        metadata.hidden_size = Some(8);
        let mut writer = AprV2Writer::new(metadata);
        writer.add_f32_tensor("model.norm.weight", vec![8], &[1.0; 8]);
        writer.add_f32_tensor("model.embed_tokens.weight", vec![4, 8], &[0.5; 32]);
        let mut file = writer.write().expect("written");
        let at = at.index(file.len());
        for (old, new) in file[at..].iter_mut().zip(&bytes) {
            *old = *new;
        }
        if let Ok(mut header) = AprV2Header::from_bytes(&file) {
            header.update_checksum();
            file[..64].copy_from_slice(&header.to_bytes());
        }
        prop_assert!(code_of(&file, "changed.apr").is_some());
    }
}

#[test]
fn a_sealed_load_of_another_format_is_refused() {
    let mut request =
        Checkpoint::find(&folder().join("chat.gguf")).expect("found").decoder(Device::Cpu, true);
    request.seal = Some(Seal { path: PathBuf::from("seal.json"), sha256: "0".repeat(64) });
    let loaded = load::load(&mut Gpus::default(), &Honest, &request, &Progress::default());
    assert_eq!(loaded.expect_err("refused").code(), Code::UnsupportedCapability);
}

#[test]
fn a_configuration_is_told_once() {
    let checkpoint = Checkpoint::find(&folder().join("chat.gguf")).expect("found");
    let mut request = checkpoint.decoder(Device::Cpu, true);
    let inference = request.inference.as_mut().expect("to be run");
    inference.config = Some(folder().join("model/config.json"));
    let both = load::load(&mut Gpus::default(), &Honest, &request, &Progress::default());
    assert_eq!(both.expect_err("refused").code(), Code::InvalidRequest);
    let mut request =
        Checkpoint::find(&folder().join("model")).expect("found").decoder(Device::Cpu, true);
    request.inference.as_mut().expect("to be run").config = None;
    let none = load::load(&mut Gpus::default(), &Honest, &request, &Progress::default());
    assert_eq!(none.expect_err("refused").code(), Code::InvalidRequest);
}
