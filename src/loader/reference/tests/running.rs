//! Tests the verbs that run a model on the host, and what each verb answers for what it cannot serve.

use std::fs;

use tempfile::TempDir;

use crate::contract::generation::{Prompt, Sampling, Stop};
use crate::contract::inference::{Batch, Compute, Input, Output};
use crate::contract::{Class, Code};
use crate::loader::infer::tests::{Tiny, bert, decoder, le_bytes, projection, save_batch};
use crate::loader::load::tests::{F32_ONES, file_of, request};
use crate::loader::reference::*;

/// A loader with this model, the model's handle, and a folder.
fn loaded(model: &Tiny) -> (ReferenceLoader, u64, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let mut loader = ReferenceLoader::default();
    let handle = loader.load(model.save(folder.path())).expect("loads").handle;
    (loader, handle, folder)
}

/// A golden file of these values.
fn golden(values: &[f32]) -> Vec<u8> {
    [(values.len() as u32).to_le_bytes().to_vec(), le_bytes(values)].concat()
}

#[test]
fn a_forward_pass_is_written_and_compared_with_its_golden() {
    let model = projection();
    let (mut loader, handle, folder) = loaded(&model);
    let at = |name: &str| folder.path().join(name);
    let vector = [1.0, -2.0, 0.5, 0.0, 3.0, 0.25];
    let batch = Batch::Vectors { rows: 1, columns: 6, values: vector.to_vec() };
    save_batch(&batch, &at("input"));
    let asked = Forward { handle, input: Input::File(at("input")), into: at("out"), trace: false };
    let forwarded = loader.forward(asked.clone()).expect("runs");
    assert_eq!(
        (forwarded.device, forwarded.output),
        (Device::Cpu, Output::Embedding { shape: [1, 4] },)
    );
    let bytes = fs::read(at("out")).expect("written");
    assert_eq!(forwarded.written.bytes, bytes.len() as u64);
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let tensors = model.tensors;
    let (weight, bias) = (&tensors[0].2, &tensors[1].2);
    let wanted: Vec<f32> = (0..4)
        .map(|row| {
            let products = weight[row * 6..][..6].iter().zip(vector).map(|(w, x)| w * x);
            products.sum::<f32>() + bias[row]
        })
        .collect();
    let given = file.tensor("embedding").expect("an embedding").data().to_vec();
    let given: Vec<f32> =
        given.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    assert!(given.iter().zip(&wanted).all(|(one, other)| (one - other).abs() < 1e-5), "{given:?}");

    fs::write(at("test_input.bin"), golden(&vector)).expect("written");
    let mut validate = |values: &[f32], tolerance| {
        fs::write(at("golden.bin"), golden(values)).expect("written");
        let (input, golden) = (at("test_input.bin"), at("golden.bin"));
        loader.validate(Validate { handle, input, golden, tolerance })
    };
    let validated = validate(&given, 0.0).expect("the golden output");
    assert_eq!((validated.values, validated.max_difference), (4, 0.0));
    let mut other = given.clone();
    other[2] += 0.5;
    let failure = validate(&other, 0.1).expect_err("another output");
    assert_eq!((failure.code, failure.phase), (Code::GoldenMismatch, Phase::Infer));
    let near = validate(&other, 0.75).expect("within the tolerance");
    assert_eq!((near.index, near.max_difference > 0.4), (2, true));
}

#[test]
fn a_decoder_generates_from_tokens_and_tells_its_plan() {
    let mut model = decoder();
    model.add("stray.weight", &[2, 2]);
    let folder = TempDir::new().expect("a folder");
    let mut loader = ReferenceLoader::new().named("another name");
    let loaded = loader.load(model.save(folder.path())).expect("loads");
    let plan = loaded.plan.expect("a plan");
    assert_eq!((plan.tokens, plan.cache_bytes), (32, 2 * 2 * 32 * 2 * 4 * 4));
    assert_eq!(loaded.unused, Some(vec!["stray.weight".to_owned()]));
    let times = loaded.times.expect("times");
    assert!(times.read_and_hash_us <= times.sum_us());
    let into = folder.path().join("logits");
    let ask = |limit, into: Option<std::path::PathBuf>| Generate {
        handle: loaded.handle,
        prompt: Prompt::Tokens(vec![3, 7]),
        limit,
        sampling: Sampling::GREEDY,
        into,
    };
    let long = loader.generate(ask(4, Some(into.clone()))).expect("generates");
    assert_eq!((long.tokens.len(), long.stop), (4, Stop::Limit));
    assert_eq!((long.prompt.as_slice(), long.text), (&[3, 7][..], None));
    let bytes = fs::read(&into).expect("written");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    assert_eq!(file.tensor("logits").expect("logits").shape(), [4, 11]);
    let short = loader.generate(ask(2, None)).expect("generates");
    assert_eq!((short.tokens.as_slice(), short.written), (&long.tokens[..2], None));
    let chat = Generate { prompt: Prompt::Chat(Vec::new()), ..ask(1, None) };
    let failure = loader.generate(chat).expect_err("no tokenizer");
    assert_eq!((failure.code, failure.phase), (Code::InvalidTokenizer, Phase::Request));
    let hello = Hello { protocol: PROTOCOL, nonce: String::new(), scratch: "".into() };
    assert_eq!(loader.hello(hello).expect("an introduction").name, "another name");
    let read = loader.progress().reading();
    let all: usize = model.tensors.iter().map(|(.., values)| values.len() * 4).sum();
    assert_eq!((read.total, read.read, read.verified), (all as u64, all as u64, all as u64));
}

#[test]
fn a_model_that_is_not_made_for_it_is_not_run() {
    let (mut loader, encoder, folder) = loaded(&bert());
    let generate = |handle| Generate {
        handle,
        prompt: Prompt::Tokens(vec![1]),
        limit: 1,
        sampling: Sampling::GREEDY,
        into: None,
    };
    let failure = loader.generate(generate(encoder)).expect_err("an encoder");
    let found = (failure.code, failure.expected.as_deref(), failure.actual.as_deref());
    let wanted = (Code::InvalidRequest, Some("a head that gives logits"), Some("embedding"));
    assert_eq!(found, wanted);
    let plain = file_of(&[("a", "F32", &[3], &F32_ONES)]);
    let plain = loader.load(Load { admit: false, ..request(plain.path()) }).expect("loads");
    assert_eq!((plain.plan, plain.unused), (None, None));
    let handle = plain.handle;
    let path = folder.path().join("x");
    let input = Input::File(path.clone());
    let forward = Forward { handle, input, into: path.clone(), trace: false };
    fs::write(&path, golden(&[1.0])).expect("written");
    let validate = Validate { handle, input: path.clone(), golden: path, tolerance: 0.0 };
    for failure in [
        loader.forward(forward.clone()).map(drop),
        loader.validate(validate.clone()).map(drop),
        loader.generate(generate(handle)).map(drop),
    ] {
        let failure = failure.expect_err("no way to run it");
        assert_eq!(failure.code, Code::InvalidRequest);
        assert_eq!(failure.expected.as_deref(), Some("a load with `inference`"));
    }
    let multiply =
        Multiply { handle: 77, a: "a".into(), b: "a".into(), into: folder.path().join("c") };
    for failure in [
        loader.forward(Forward { handle: 77, ..forward }).map(drop),
        loader.validate(Validate { handle: 77, ..validate }).map(drop),
        loader.generate(generate(77)).map(drop),
        loader.multiply(multiply).map(drop),
    ] {
        let failure = failure.expect_err("no such model");
        assert_eq!((failure.code, failure.actual.as_deref()), (Code::UnknownHandle, Some("77")));
    }
}

#[test]
fn only_matrices_of_f32_that_fit_are_multiplied() {
    let half = [0u8; 6];
    let file = file_of(&[
        ("cube", "F32", &[1, 3, 1], &F32_ONES),
        ("half", "F16", &[1, 3], &half),
        ("none", "F32", &[0, 3], &[]),
        ("row", "F32", &[1, 3], &F32_ONES),
    ]);
    let mut loader = ReferenceLoader::new();
    let handle = loader.load(Load { admit: false, ..request(file.path()) }).expect("loads").handle;
    for (a, b, tensor, expected, actual) in [
        ("cube", "row", "cube", "a matrix", "shape [1, 3, 1]"),
        ("row", "none", "none", "a matrix", "shape [0, 3]"),
        ("half", "row", "half", "F32", "F16"),
        ("row", "row", "row", "3 rows", "1 rows"),
    ] {
        let (a, b) = (a.to_owned(), b.to_owned());
        let failure = loader.multiply(Multiply { handle, a, b, into: "/nonexistent".into() });
        let failure = failure.expect_err(actual);
        let found =
            (failure.tensor.as_deref(), failure.expected.as_deref(), failure.actual.as_deref());
        assert_eq!(found, (Some(tensor), Some(expected), Some(actual)));
        assert_eq!((failure.code, failure.phase), (Code::InvalidRequest, Phase::Request));
    }
}

#[test]
fn the_host_has_no_streams_and_nothing_to_wait_for() {
    let mut loader = ReferenceLoader::new();
    let (path, into) = ("/nonexistent".into(), "/nonexistent/out".into());
    let failure = loader.stream(Stream { device: Device::Cpu, path, rounds: 1, into });
    let failure = failure.expect_err("no stream");
    assert_eq!((failure.class, failure.phase), (Class::Unsupported, Phase::Request));
    assert_eq!(failure.message, "[EMB-E021] UNSUPPORTED: the host has no CUDA streams");
    assert_eq!(loader.synchronize(Synchronize { device: Device::Cpu }), Ok(Done {}));
    let hello = Hello { protocol: PROTOCOL + 1, nonce: String::new(), scratch: "".into() };
    let failure = loader.hello(hello).expect_err("another version");
    assert_eq!(failure.expected, Some(PROTOCOL.to_string()));
    assert!(failure.remedy.is_some_and(|remedy| remedy.contains(PROTOCOL_GUIDE)));
}

#[test]
fn rounding_that_is_not_served_is_refused_before_any_device_is_used() {
    let folder = TempDir::new().expect("a folder");
    let mut loader = ReferenceLoader::default();
    let request = decoder().save(folder.path()).computing(Compute::Bf16);
    // A model of F32 weights: on the GPU they are refused, whether there is one or not.
    for (device, expected, actual) in [
        (Device::Cpu, "a CUDA device", "cpu"),
        (
            Device::Cuda(0),
            "BF16 weights, [out, in], with a multiple of eight columns",
            "F32 of 16 x 8, [out, in]",
        ),
    ] {
        let failure = loader.load(Load { device, ..request.clone() }).expect_err("not served");
        assert_eq!((failure.class, failure.code, failure.phase), {
            (Class::Unsupported, Code::UnsupportedCapability, Phase::Request)
        });
        assert_eq!(failure.expected.as_deref(), Some(expected));
        assert_eq!(failure.actual.as_deref(), Some(actual));
        assert!(failure.remedy.is_some_and(|remedy| remedy.contains("Compute the model exactly")));
    }
    assert_eq!(loader.stat(Stat {}).expect("an answer").models, 0);
    assert!(loader.load(request.computing(Compute::Exact)).is_ok(), "exactly it loads");
}
