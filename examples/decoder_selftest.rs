//! Tests generation on a real device against the host: random models of six architectures and three
//! element types, and sizes that the wide kernels accept. Logits of every step, greedy and fed
//! token by token, must agree. Two runs must give the same bits. The exit code is 1 if any check
//! failed or if there is no GPU.
//!
//! `decoder_selftest N` tests N models of each architecture, by default 12; use a small N with
//! `compute-sanitizer`. `decoder_selftest N FIRST` leaves out those before FIRST.

mod shapes;

use std::path::Path;
use std::process::ExitCode;

use weighbridge::contract::generation::{Prompt, Sampling};
use weighbridge::contract::request::Generate;
use weighbridge::contract::{DType, Device};
use weighbridge::harness::model::{Architecture, HeadKind, Recipe, file, random};
use weighbridge::loader::device::Gpus;
use weighbridge::loader::load::model::Model;
use weighbridge::loader::open::checkpoint::Checkpoint;
use weighbridge::loader::progress::Progress;
use weighbridge::loader::verbs::generate;
use weighbridge::loader::{Honest, LoadError, load};

/// Largest difference of a logit, relative to the row's largest, at least 1.
const TOLERANCE: f32 = 2e-5;
/// The seed whose models have long rows.
const LONG: u64 = 6;

fn main() -> ExitCode {
    let number = |at| std::env::args().nth(at).and_then(|text| text.parse().ok());
    let (count, first) = (number(1).unwrap_or(12), number(2).unwrap_or(0));
    let mut gpus = Gpus::default();
    let mut failed = 0;
    let decoders = Architecture::ALL.into_iter().filter(|one| one.is_decoder());
    for architecture in decoders {
        let mut worst = 0f32;
        for seed in first..count {
            let mut recipe = random::recipe(architecture, Some(HeadKind::Logits), seed);
            if seed % 2 == 1 {
                shapes::widen(&mut recipe, seed, length(seed).max(200) + 100);
            }
            if seed == LONG {
                lengthen(&mut recipe);
            }
            match compare(&mut gpus, &recipe, seed) {
                Ok(far) => worst = worst.max(far),
                Err(why) => {
                    failed += 1;
                    println!("FAIL {} {seed}: {why}", architecture.model_type());
                }
            }
        }
        println!(
            "{}: {} models, logits at most {worst:.2e} apart",
            architecture.model_type(),
            count.saturating_sub(first)
        );
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Rows that are long and many: a thread has parts of several rows, some of which wait in shared memory.
fn lengthen(recipe: &mut Recipe) {
    let sizes = &mut recipe.sizes;
    sizes.hidden = match recipe.architecture {
        Architecture::Phi3 | Architecture::Gpt2 => sizes.heads * sizes.head_size,
        _ => 1152,
    };
    (sizes.inner, sizes.vocabulary, sizes.layers) = (4608, 8400, 1);
    recipe.dtype = DType::F32;
}

/// Tokens of the prompt. With one of the long ones several clusters of blocks share a head, with the longest a block of
/// attention takes a group of heads.
fn length(seed: u64) -> usize {
    match seed {
        3 => 1500,
        5 => 4100,
        _ => 1 + (seed as usize * 7) % 40,
    }
}

fn compare(gpus: &mut Gpus, recipe: &Recipe, seed: u64) -> Result<f32, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    file::write_recipe(recipe, folder.path(), &|_| ()).map_err(|error| error.to_string())?;
    let words = |error: LoadError| error.to_string();
    let mut host = open(gpus, folder.path(), recipe, Device::Cpu).map_err(words)?;
    let mut device = open(gpus, folder.path(), recipe, Device::Cuda(0)).map_err(words)?;
    let length = length(seed);
    let prompt: Vec<u32> = (0..length)
        .map(|at| ((at as u64 * 7919 + seed * 104_729) % recipe.sizes.vocabulary as u64) as u32)
        .collect();
    let limit = 1 + (seed as u32 * 5) % 37;
    let (own, tokens) = logits(gpus, &mut host, &prompt, limit, folder.path())?;
    let (theirs, given) = logits(gpus, &mut device, &prompt, limit, folder.path())?;
    let width = recipe.sizes.vocabulary;
    let mut worst = 0f32;
    for (at, (own, theirs)) in own.chunks(width).zip(theirs.chunks(width)).enumerate() {
        let largest = own.iter().fold(1f32, |most, value| most.max(value.abs()));
        let far = own.iter().zip(theirs).fold(0f32, |far, (a, b)| far.max((a - b).abs()));
        let far = far / largest;
        if far.is_nan() || far > TOLERANCE {
            return Err(format!("logits {at} of {limit} behind {length}: {far:.2e} apart"));
        }
        worst = worst.max(far);
        // From here on the two may generate different tokens.
        if tokens.get(at) != given.get(at) {
            break;
        }
    }
    // The recorded graph, which does not wait for the host, gives the same as feeding tokens; and
    // again.
    for round in 0..2 {
        let greedy = tokens_of(gpus, &mut device, &prompt, limit)?;
        if greedy != given {
            return Err(format!("round {round}: {greedy:?}, fed one by one {given:?}"));
        }
    }
    let (again, _) = logits(gpus, &mut device, &prompt, limit, folder.path())?;
    match again.iter().zip(&theirs).all(|(a, b)| a.to_bits() == b.to_bits()) {
        true => Ok(worst),
        false => Err("the second run gives other bits".to_owned()),
    }
}

fn open(
    gpus: &mut Gpus,
    folder: &Path,
    recipe: &Recipe,
    device: Device,
) -> Result<Model, LoadError> {
    let request = Checkpoint::find(folder)?.tokens(device, true, recipe.head());
    load::load(gpus, &Honest, &request, &Progress::default())
}

fn request(prompt: &[u32], limit: u32) -> Generate {
    let prompt = Prompt::Tokens(prompt.to_vec());
    Generate { handle: 0, prompt, limit, sampling: Sampling::GREEDY, into: None }
}

fn tokens_of(
    gpus: &mut Gpus,
    model: &mut Model,
    prompt: &[u32],
    limit: u32,
) -> Result<Vec<u32>, String> {
    let given = generate::generate(model, gpus, &Honest, &request(prompt, limit), &mut |_| ());
    given.map(|given| given.tokens).map_err(|error| error.to_string())
}

/// The logits of every step, and the tokens.
fn logits(
    gpus: &mut Gpus,
    model: &mut Model,
    prompt: &[u32],
    limit: u32,
    folder: &Path,
) -> Result<(Vec<f32>, Vec<u32>), String> {
    let into = folder.join("logits");
    let request = Generate { into: Some(into.clone()), ..request(prompt, limit) };
    let given = generate::generate(model, gpus, &Honest, &request, &mut |_| ());
    let given = given.map_err(|error| error.to_string())?;
    let bytes = std::fs::read(into).map_err(|error| error.to_string())?;
    let file = safetensors::SafeTensors::deserialize(&bytes).map_err(|error| error.to_string())?;
    let view = file.tensor("logits").map_err(|error| error.to_string())?;
    let values = view.data().as_chunks().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect();
    Ok((values, given.tokens))
}
