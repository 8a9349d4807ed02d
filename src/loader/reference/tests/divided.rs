//! Tests loads that divide a model over ranks of the host, and the verbs on such a model.

use tempfile::TempDir;

use crate::contract::Code;
use crate::contract::generation::{Prompt, Sampling};
use crate::contract::inference::Input;
use crate::contract::parallel::{Parallel, RankPlace};
use crate::contract::request::{DtypePolicy, Format};
use crate::loader::infer::tests::{Tiny, bert, decoder, le_bytes, qwen2, save_batch};
use crate::loader::reference::*;

fn grid(tp: u32, pp: u32, ranks: &[u32]) -> Parallel {
    let ranks = ranks.iter().map(|rank| RankPlace { rank: *rank, device: Device::Cpu });
    Parallel { tp, pp, replicas: 1, ranks: ranks.collect() }
}

fn load(model: &Tiny, parallel: Parallel) -> (ReferenceLoader, Result<Loaded>, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let request = Load { parallel: Some(parallel), ..model.save(folder.path()) };
    let mut loader = ReferenceLoader::new();
    let loaded = loader.load_model(&request);
    (loader, loaded, folder)
}

#[test]
fn each_rank_holds_and_returns_its_slices() {
    let mut model = decoder();
    model.add("stray.weight", &[2, 2]);
    let (mut loader, loaded, folder) = load(&model, grid(2, 2, &[0, 3]));
    let loaded = loaded.expect("loads");
    let [first, last] = loaded.parts.as_slice() else { panic!("{:?}", loaded.parts) };
    assert_eq!((first.rank, last.rank), (0, 3));
    assert_eq!(loaded.held_bytes, first.held_bytes + last.held_bytes);
    let held = loader.stat(Stat {}).expect("holdings");
    assert_eq!((held.models, held.host_bytes), (1, loaded.held_bytes));
    // Of the second stage, the first one has nothing but the words that both need.
    let of =
        |name: &str| model.tensors.iter().filter(|(own, ..)| own.contains(name)).count() as u64;
    assert_eq!(first.elsewhere, Some(of("layers.1.") + 1), "a layer and the last norm");
    assert_eq!(last.elsewhere, Some(of("layers.0.")));
    let held = |part: &crate::contract::parallel::RankPart, name: &str| {
        part.tensors.iter().find(|slice| slice.tensor == name).map(|slice| slice.ranges.clone())
    };
    let queries = "layers.1.self_attn.q_proj.weight";
    assert_eq!(held(last, queries), Some(vec![vec![[8, 16]], vec![[0, 8]]]));
    assert_eq!(held(first, queries), None);
    let stray = [first, last].map(|part| held(part, "stray.weight"));
    assert_eq!(stray, [None, None], "no rank needs it");
    assert_eq!(loaded.unused, Some(vec!["stray.weight".to_owned()]));

    let into = folder.path().join("part");
    let read = Read { handle: loaded.handle, into: into.clone(), rank: Some(3) };
    loader.read(read).expect("reads");
    let bytes = std::fs::read(&into).expect("written");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let whole = &model.tensors.iter().find(|(name, ..)| name == queries).expect("there").2;
    let slice = file.tensor(queries).expect("a slice");
    assert_eq!((slice.shape(), slice.data()), (&[8, 8][..], &*le_bytes(&whole[64..])));
    assert_eq!(file.len(), last.tensors.len());
}

#[test]
fn every_rank_of_an_encoder_has_the_whole_model() {
    let model = bert();
    let all = Parallel { replicas: 2, ..grid(1, 1, &[0, 1]) };
    let loaded = load(&model, all).1.expect("loads");
    assert_eq!(loaded.parts.len(), 2);
    for part in &loaded.parts {
        assert_eq!((part.tensors.len(), part.elsewhere), (model.tensors.len(), Some(0)));
        for slice in &part.tensors {
            let mut tensors = model.tensors.iter();
            let (_, shape, _) =
                tensors.find(|(name, ..)| *name == slice.tensor).expect("a tensor of the model");
            let whole = shape.iter().map(|side| vec![[0, *side as u64]]).collect::<Vec<_>>();
            assert_eq!(slice.ranges, whole, "{}", slice.tensor);
        }
    }
}

#[test]
fn a_rank_must_be_named_and_there() {
    let (mut loader, divided, folder) = load(&decoder(), grid(2, 1, &[1, 0]));
    let divided = divided.expect("loads").handle;
    let whole = loader.load(decoder().save(folder.path())).expect("loads").handle;
    let into = folder.path().join("part");
    for (handle, rank, expected, actual) in [
        (divided, None, "one of ranks 1, 0", "none"),
        (divided, Some(2), "one of ranks 1, 0", "rank 2"),
        (whole, Some(0), "a load that is divided over ranks", "rank 0"),
    ] {
        for failure in [
            loader.read(Read { handle, into: into.clone(), rank }).map(drop),
            loader.export(Export { handle, rank }).map(drop),
        ] {
            let failure = failure.expect_err(actual);
            let found = (failure.expected.as_deref(), failure.actual.as_deref());
            assert_eq!(found, (Some(expected), Some(actual)));
            assert_eq!((failure.code, failure.phase), (Code::InvalidRequest, Phase::Request));
        }
    }
    assert!(!into.exists(), "nothing was written");
    let failure =
        loader.export(Export { handle: divided, rank: Some(0) }).expect_err("on the host");
    assert_eq!(failure.actual.as_deref(), Some("one in host memory"));
}

#[test]
fn a_load_that_cannot_be_divided_is_refused() {
    for (model, parallel, code, expected) in [
        (decoder(), grid(3, 1, &[0]), Code::UnsupportedCapability, None),
        (decoder(), grid(1, 3, &[0]), Code::UnsupportedCapability, None),
        (decoder(), grid(1, 0, &[0]), Code::InvalidRequest, Some("1 or more")),
        (decoder(), grid(2, 1, &[2]), Code::InvalidRequest, Some("a rank from 0 to 1")),
        (bert(), grid(2, 1, &[0]), Code::UnsupportedCapability, Some("tp 1 and pp 1")),
    ] {
        let (mut loader, refused, _folder) = load(&model, parallel);
        let error = refused.expect_err("a grid that does not fit");
        assert_eq!(error.code(), code);
        if expected.is_some() {
            assert_eq!(error.failure().expected.as_deref(), expected);
        }
        assert_eq!(loader.stat(Stat {}), Ok(Holdings::default()), "nothing is held");
    }
    let folder = TempDir::new().expect("a folder");
    let asked = Load { parallel: Some(grid(1, 1, &[0])), ..decoder().save(folder.path()) };
    let mut loader = ReferenceLoader::new();
    let failure = loader.load(Load { inference: None, ..asked.clone() }).expect_err("no config");
    let found = (failure.code, failure.expected.as_deref());
    assert_eq!(found, (Code::InvalidRequest, Some("a configuration in `inference`")));
    let failure = loader
        .load(Load { format: Format::Gguf, inference: None, ..asked.clone() })
        .expect_err("GGUF");
    let found = (failure.code, failure.expected.as_deref(), failure.actual.as_deref());
    assert_eq!(found, (Code::UnsupportedCapability, Some("safetensors"), Some("gguf")));
    assert!(loader.load(Load { keep: DtypePolicy::F32, ..asked }).is_ok());
}

/// The output of a forward pass over the model's batch, with the tokens of a generation if it makes logits.
fn outputs(
    loader: &mut ReferenceLoader,
    model: &Tiny,
    (handle, folder): (u64, &TempDir),
) -> std::result::Result<(Vec<f32>, Vec<u32>), Failure> {
    let (input, into) = (folder.path().join("input"), folder.path().join("out"));
    save_batch(&model.batch(), &input);
    let forward = Forward { handle, input: Input::File(input), into: into.clone(), trace: false };
    let name = loader.forward(forward)?.output;
    let bytes = std::fs::read(&into).expect("written");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let (_, output) = file.iter().next().expect("an output");
    let values = output.data().as_chunks::<4>().0.iter().map(|raw| f32::from_le_bytes(*raw));
    let generate = Generate {
        handle,
        prompt: Prompt::Tokens(vec![3, 7, 2]),
        limit: 5,
        sampling: Sampling::GREEDY,
        into: None,
    };
    let tokens = match name {
        crate::contract::inference::Output::Logits { .. } => loader.generate(generate)?.tokens,
        _ => Vec::new(),
    };
    Ok((values.collect(), tokens))
}

/// The same model with biases in its linear layers, so that those of row-parallel ones count.
fn biased() -> Tiny {
    let mut model = decoder();
    model.config["model_type"] = "llama".into();
    model.config["attention_bias"] = true.into();
    model.config["mlp_bias"] = true.into();
    for layer in 0..2 {
        for (part, width) in [
            ("self_attn.o_proj", 8),
            ("mlp.gate_proj", 12),
            ("mlp.up_proj", 12),
            ("mlp.down_proj", 8),
        ] {
            model.add(format!("layers.{layer}.{part}.bias"), &[width]);
        }
    }
    model
}

#[test]
fn ranks_compute_what_the_whole_model_computes() {
    for model in [decoder(), biased(), qwen2()] {
        let folder = TempDir::new().expect("a folder");
        let mut loader = ReferenceLoader::new();
        let whole = loader.load(model.save(folder.path())).expect("loads").handle;
        let wanted = outputs(&mut loader, &model, (whole, &folder)).expect("runs");
        let logits = wanted.1.len() == 5;
        for parallel in [
            grid(1, 1, &[0]),
            grid(2, 1, &[0, 1]),
            grid(4, 1, &[3, 0, 2, 1]),
            grid(1, 2, &[0, 1]),
            grid(2, 2, &[0, 1, 2, 3]),
            // Of the first replica one rank is missing. There may be many more.
            Parallel { replicas: u32::MAX, ..grid(2, 1, &[1, 4, 5]) },
            Parallel { replicas: 2, ..grid(2, 1, &[1, 2, 3]) },
        ] {
            let shown = format!("{parallel:?}");
            let alone = parallel.world() == Some(1);
            let (mut loader, loaded, folder) = load(&model, parallel);
            let handle = loaded.expect("loads").handle;
            let found = outputs(&mut loader, &model, (handle, &folder));
            if !logits && !alone {
                let failure = found.expect_err("embeddings");
                assert_eq!(failure.code, Code::UnsupportedCapability, "{shown}");
                assert_eq!(failure.actual.as_deref(), Some("embedding"));
                continue;
            }
            let (values, tokens) = found.expect("runs");
            assert_eq!(tokens, wanted.1, "{shown}");
            assert_eq!(values.len(), wanted.0.len(), "{shown}");
            let far = |(one, other): (&f32, &f32)| (one - other).abs() > 1e-5;
            assert!(!values.iter().zip(&wanted.0).any(far), "{shown}: {values:?}, {wanted:?}");
        }
    }
}

#[test]
fn a_run_needs_all_ranks_of_a_replica_and_shows_no_states() {
    let model = decoder();
    let (mut loader, loaded, folder) = load(&model, grid(2, 2, &[0, 1, 3]));
    let handle = loaded.expect("loads").handle;
    let failure = outputs(&mut loader, &model, (handle, &folder)).expect_err("a rank is missing");
    let found = (failure.code, failure.expected.as_deref(), failure.actual.as_deref());
    assert_eq!(found, (Code::InvalidRequest, Some("ranks 0 to 3"), Some("ranks 0, 1, 3")));
    let (mut loader, loaded, folder) = load(&model, grid(2, 1, &[0, 1]));
    let handle = loaded.expect("loads").handle;
    let (input, into) = (folder.path().join("input"), folder.path().join("out"));
    save_batch(&model.batch(), &input);
    let traced = Forward { handle, input: Input::File(input), into, trace: true };
    let failure = loader.forward(traced).expect_err("states");
    assert_eq!(failure.code, Code::UnsupportedCapability);
}
