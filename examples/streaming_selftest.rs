//! Tests decoders on a real device twice, held whole and streamed layer by layer: random models of
//! six architectures and three element types. Logits of batches, intermediate states, logits of
//! every step and greedy tokens must be the same to the last bit, and every tensor that is read
//! back must equal the file's. The exit code is 1 if any check failed or if there is no GPU.
//!
//! `streaming_selftest N` tests N models of each architecture, by default 12; use a small N with
//! `compute-sanitizer`.

mod shapes;

use std::path::Path;
use std::process::ExitCode;

use weighbridge::contract::Device;
use weighbridge::contract::generation::{Prompt, Sampling};
use weighbridge::contract::inference::{Batch, State};
use weighbridge::contract::plan::Residency;
use weighbridge::contract::request::Generate;
use weighbridge::harness::model::{Architecture, HeadKind, Recipe, file, random};
use weighbridge::loader::device::Gpus;
use weighbridge::loader::load::model::Model;
use weighbridge::loader::open::checkpoint::Checkpoint;
use weighbridge::loader::progress::Progress;
use weighbridge::loader::verbs::{forward, generate};
use weighbridge::loader::{Honest, LoadDecisions, LoadError, load};

/// Streams whatever fits.
struct Streamed;

impl LoadDecisions for Streamed {
    fn residency(&self, _fits: Residency) -> Residency {
        Residency::Streamed
    }
}

fn main() -> ExitCode {
    let count = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(12);
    let mut gpus = Gpus::default();
    let mut failed = 0;
    for architecture in Architecture::ALL.into_iter().filter(|one| one.is_decoder()) {
        for seed in 0..count {
            let mut recipe = random::recipe(architecture, Some(HeadKind::Logits), seed);
            recipe.sizes.layers = 2 + seed as usize % 4;
            if seed % 2 == 1 {
                // Room for prompts that the library multiplies.
                shapes::widen(&mut recipe, seed, 700);
            }
            if let Err(why) = compare(&mut gpus, &recipe, seed) {
                failed += 1;
                println!("FAIL {} {seed}: {why}", architecture.model_type());
            }
        }
        println!("{}: {count} models, whole and streamed", architecture.model_type());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compare(gpus: &mut Gpus, recipe: &Recipe, seed: u64) -> Result<(), String> {
    let words = |error: LoadError| error.to_string();
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    file::write_recipe(recipe, folder.path(), &|_| ()).map_err(|error| error.to_string())?;
    let mut whole = open(gpus, folder.path(), recipe, &Honest).map_err(words)?;
    let mut streamed = open(gpus, folder.path(), recipe, &Streamed).map_err(words)?;
    let modes = [&whole, &streamed].map(|model| model.plan.map(|plan| plan.mode));
    if modes != [Some(Residency::Whole), Some(Residency::Streamed)] {
        return Err(format!("modes {modes:?}"));
    }
    for (own, theirs) in whole.tensors.iter().zip(&streamed.tensors) {
        if whole.read(own).map_err(words)? != streamed.read(theirs).map_err(words)? {
            return Err(format!("{} comes back otherwise", own.info.name));
        }
    }
    let vocabulary = recipe.sizes.vocabulary as u64;
    let prompt = |length: usize| -> Vec<u32> {
        (0..length as u64).map(|at| ((at * 7919 + seed * 104_729) % vocabulary) as u32).collect()
    };
    let longest = recipe.sizes.longest(recipe.architecture);
    for length in [1, 7, longest.min(30), longest - 9] {
        let ids = prompt(length);
        let batch = batch(&ids);
        for trace in [true, false] {
            let own = forward::run(&mut whole, gpus, &batch, trace).map_err(words)?;
            let theirs = forward::run(&mut streamed, gpus, &batch, trace).map_err(words)?;
            same(&own.output, &theirs.output)?;
            own.states.iter().zip(&theirs.states).try_for_each(|(a, b)| same(a, b))?;
        }
        let own = generated(gpus, &mut whole, &ids, folder.path())?;
        let theirs = generated(gpus, &mut streamed, &ids, folder.path())?;
        if own != theirs {
            return Err(format!("generated behind {length}: {:?}, {:?}", own.1, theirs.1));
        }
    }
    Ok(())
}

fn same(own: &State, theirs: &State) -> Result<(), String> {
    let bits = |state: &State| state.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    match own.shape == theirs.shape && bits(own) == bits(theirs) {
        true => Ok(()),
        false => Err(format!("{} of shape {:?} has other bits", own.name, own.shape)),
    }
}

fn batch(ids: &[u32]) -> Batch {
    Batch::Tokens {
        rows: 1,
        columns: ids.len(),
        ids: ids.iter().map(|id| i64::from(*id)).collect(),
        mask: vec![1; ids.len()],
        types: Vec::new(),
    }
}

fn open(
    gpus: &mut Gpus,
    folder: &Path,
    recipe: &Recipe,
    decisions: &dyn LoadDecisions,
) -> Result<Model, LoadError> {
    let request = Checkpoint::find(folder)?.tokens(Device::Cuda(0), true, recipe.head());
    load::load(gpus, decisions, &request, &Progress::default())
}

/// The logits' file of every step, and the tokens of each way to generate.
fn generated(
    gpus: &mut Gpus,
    model: &mut Model,
    prompt: &[u32],
    folder: &Path,
) -> Result<(Vec<u8>, Vec<Vec<u32>>), String> {
    let into = folder.join("logits");
    let mut tokens = Vec::new();
    for into in [Some(into.clone()), None] {
        let request = Generate {
            handle: 0,
            prompt: Prompt::Tokens(prompt.to_vec()),
            limit: 9,
            sampling: Sampling::GREEDY,
            into,
        };
        let given = generate::generate(model, gpus, &Honest, &request, &mut |_| ());
        tokens.push(given.map_err(|error| error.to_string())?.tokens);
    }
    let logits = std::fs::read(into).map_err(|error| error.to_string())?;
    Ok((logits, tokens))
}
