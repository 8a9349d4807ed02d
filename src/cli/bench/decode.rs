//! `weighbridge bench decode`: measures time to first token and tokens per second of a decoder.
//! Compares them with the rate at which the device reads its memory, and with transformers in the
//! same run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::figures::Missing;
use super::frame::{Common, lacks, load_ours, middle, without};
use super::peer::{Peer, other, own_seconds};
use super::synthetic::Elements;
use crate::cli::stamp::Stamp;
use crate::cli::steps::Steps;
use crate::cli::{CommandError, exit};
use crate::contract::Device;
use crate::contract::generation::{Prompt, Sampling};
use crate::contract::inference::Head;
use crate::contract::reply::Reply;
use crate::contract::request::{Generate, Request};
use crate::gpu;
use crate::harness::model::{decoders, file};
use crate::harness::scratch::Scratch;
use crate::loader::Honest;
use crate::loader::load::model::Model;
use crate::loader::verbs::generate;

/// Format of the JSON.
const FORMAT: &str = "weighbridge.bench.decode/1";
/// Arms of transformers: the name in the output, and the name in the adapter.
const PEERS: [(&str, &str); 2] =
    [("eager", "decoder-eager"), ("static, compiled", "decoder-static")];
/// Generations before the timed ones, because the first ones compile.
const WARM_UP: u32 = 3;
/// Lengths in tokens of the prompts whose first token is timed.
const PROMPTS: [usize; 3] = [16, 128, 1000];
/// Tokens generated after the shortest prompt.
const COUNT: u32 = 256;

/// Measure time to first token and tokens per second of a decoder: batch 1, greedy.
///
/// Without `--model`, the model has the shape of Qwen2.5-1.5B. A peer reports its times in its
/// replies. Exit codes: 0 done, 2 usage, 3 a peer failed, 5 it could not be measured, 7 the
/// GPU is quarantined.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Element types of the synthetic model. Repeatable.
    #[arg(long, value_enum, value_name = "TYPE", default_values = ["bf16", "f32"])]
    dtype: Vec<Elements>,
    /// Layers of the synthetic model, 28 in the original.
    #[arg(long, value_name = "N", default_value_t = 28)]
    layers: usize,
    /// Folder to write the synthetic model to. The default is a temporary folder.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Timed rounds of each figure.
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Figures {
    /// [`FORMAT`].
    format: &'static str,
    #[serde(flatten)]
    stamp: Stamp,
    device: String,
    rounds: u32,
    /// Rate at which the device read its memory in this run, in GB/s.
    read_gbps: Option<f64>,
    results: Vec<Row>,
    /// Arms that could not be measured, and why.
    missing: Vec<Missing>,
}

/// One arm on one model.
#[derive(Debug, Serialize)]
struct Row {
    model: String,
    arm: String,
    /// Median seconds to the first token, for prompts of [`PROMPTS`] tokens.
    first_seconds: Vec<f64>,
    /// Median of the tokens per second after the first token.
    tokens_per_second: f64,
    /// Weights that the device reads for a token, in bytes.
    token_bytes: u64,
    /// Share of the rate at which the device reads its memory.
    share_of_reading: Option<f64>,
    /// How many of the tokens, from the first on, equal the bundled loader's.
    alike: usize,
}

/// Measures.
///
/// # Errors
/// As [`Arguments`] says.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let common = &arguments.common;
    let health = common.card.look(common.on.device)?;
    common.output.check()?;
    let mut figures = Figures {
        format: FORMAT,
        stamp: Stamp { health, ..Stamp::now(common.on.device) },
        device: common.on.device.to_string(),
        rounds: arguments.rounds,
        read_gbps: read_rate(common.on.device)?,
        results: Vec::new(),
        missing: Vec::new(),
    };
    let mut code = exit::CORROBORATED;
    let temporary = std::env::temp_dir();
    let scratch = Scratch::new_in(arguments.folder.as_deref().unwrap_or(&temporary))
        .map_err(CommandError::usage)?;
    match &common.model {
        Some(folder) => {
            let name = folder.display().to_string();
            code = code.max(model(arguments, folder, &name, &mut figures)?);
        }
        None => {
            for elements in &arguments.dtype {
                let folder = scratch.path().join("model");
                std::fs::create_dir_all(&folder).map_err(CommandError::harness)?;
                let dtype = elements.dtype();
                let recipe = decoders::full_size(dtype, arguments.layers);
                file::write_recipe(&recipe, &folder, &|_| ()).map_err(CommandError::harness)?;
                let name =
                    format!("Qwen2.5-1.5B's shape, {dtype}, weights from a seed (synthetic)");
                code = code.max(model(arguments, &folder, &name, &mut figures)?);
                std::fs::remove_dir_all(&folder).map_err(CommandError::harness)?;
            }
        }
    }
    common.output.tell(&figures, &table(&figures), out)?;
    Ok(code)
}

fn read_rate(device: Device) -> Result<Option<f64>, CommandError> {
    let Device::Cuda(ordinal) = device else { return Ok(None) };
    let context = gpu::Context::open(ordinal).map_err(CommandError::harness)?;
    gpu::read_limit(&context).map(Some).map_err(CommandError::harness)
}

/// Measures one model with every arm. Returns the exit code.
fn model(
    arguments: &Arguments,
    folder: &Path,
    name: &str,
    figures: &mut Figures,
) -> Result<u8, CommandError> {
    let vocabulary = 1000;
    let ids = |count: usize| -> Vec<u32> {
        (0..count).map(|at| 5 + (at as u32 * 7919) % (vocabulary - 5)).collect()
    };
    let prompts: Vec<Vec<u32>> = PROMPTS.into_iter().map(ids).collect();
    let own = ours(arguments, folder, name, &prompts, figures)?;
    let mut code = exit::CORROBORATED;
    for arm in PEERS.into_iter().filter(|_| arguments.common.peers) {
        if let Err(why) = peer(arguments, arm, (folder, name), &prompts, &own, figures) {
            code = lacks(&mut figures.missing, arm.0, why);
        }
    }
    Ok(code)
}

/// Bytes that the device reads for one token: every tensor once. Embeddings that are not also the
/// head are left out, because a token reads only one of their rows.
fn token_bytes(model: &Model) -> u64 {
    let tied = model.runnable.as_ref().is_some_and(|runnable| runnable.config.tied);
    let lookup = |name: &str| name.ends_with("embed_tokens.weight") || name.ends_with("wte.weight");
    let read = model.tensors.iter().filter(|tensor| tied || !lookup(&tensor.info.name));
    read.map(|tensor| tensor.bytes).sum()
}

fn ours(
    arguments: &Arguments,
    folder: &Path,
    name: &str,
    prompts: &[Vec<u32>],
    figures: &mut Figures,
) -> Result<Vec<u32>, CommandError> {
    let (mut model, mut gpus) = load_ours(folder, arguments.common.on.device, Head::Logits {})?;
    if let Some(runnable) = &mut model.runnable {
        // Without end tokens, every arm generates the same number of tokens.
        runnable.ends.clear();
    }
    let mut once = |prompt: &[u32], limit: u32| -> Result<(f64, f64, Vec<u32>), CommandError> {
        let request = request(0, prompt, limit);
        let (begin, mut first) = (Instant::now(), None);
        let mut see = |_| {
            first.get_or_insert_with(|| begin.elapsed().as_secs_f64());
        };
        let given = generate::generate(&mut model, &mut gpus, &Honest, &request, &mut see);
        let all = begin.elapsed().as_secs_f64();
        let given = given.map_err(CommandError::harness)?;
        Ok((first.unwrap_or(all), all, given.tokens))
    };
    let steps = Steps::new(arguments.common.output.show);
    steps.step(&format!("{name}: weighbridge"));
    // The longest first, so that no later one needs more memory.
    once(&prompts[prompts.len() - 1], COUNT)?;
    let mut firsts = Vec::new();
    for prompt in prompts {
        let mut seconds = Vec::new();
        once(prompt, 1)?;
        for _ in 0..arguments.rounds {
            seconds.push(once(prompt, 1)?.0);
        }
        firsts.push(middle(seconds));
    }
    let (mut rates, mut tokens) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let (first, all, given) = once(&prompts[0], COUNT)?;
        rates.push(f64::from(COUNT - 1) / (all - first));
        tokens = given;
    }
    let alike = tokens.len();
    let bytes = token_bytes(&model);
    figures.results.push(row(name, "weighbridge", firsts, middle(rates), bytes, figures, alike));
    known(&steps, figures);
    Ok(tokens)
}

/// A request for at most `limit` tokens after a prompt, greedy.
fn request(handle: u64, prompt: &[u32], limit: u32) -> Generate {
    let prompt = Prompt::Tokens(prompt.to_vec());
    Generate { handle, prompt, limit, sampling: Sampling::GREEDY, into: None }
}

/// Lets a peer generate. Returns the seconds from ids to tokens, and the tokens.
fn once(
    peer: &mut Peer,
    handle: u64,
    prompt: &[u32],
    limit: u32,
) -> Result<(f64, Vec<u32>), String> {
    let (reply, trip) = peer.ask(Request::Generate(request(handle, prompt, limit)))?;
    let Reply::Generate(generated) = reply else { return Err(other(&reply)) };
    if generated.tokens.len() != limit as usize {
        return Err(format!("{} tokens in place of {limit}", generated.tokens.len()));
    }
    Ok((own_seconds(generated.elapsed_us, trip)?, generated.tokens))
}

fn peer(
    arguments: &Arguments,
    (arm, arm_there): (&str, &str),
    (folder, name): (&Path, &str),
    prompts: &[Vec<u32>],
    own: &[u32],
    figures: &mut Figures,
) -> Result<(), String> {
    let (mut peer, whose, handle) = arguments.common.start(arm_there, folder, Head::Logits {})?;
    let steps = Steps::new(arguments.common.output.show);
    steps.step(&format!("{name}: {whose}, {arm}"));
    let (mut rates, mut tokens) = (Vec::new(), Vec::new());
    for limit in [1, COUNT] {
        for _ in 0..WARM_UP {
            once(&mut peer, handle, &prompts[0], limit)?;
        }
    }
    for _ in 0..arguments.rounds.min(3) {
        let (all, given) = once(&mut peer, handle, &prompts[0], COUNT)?;
        let (first, _) = once(&mut peer, handle, &prompts[0], 1)?;
        rates.push(f64::from(COUNT - 1) / (all - first));
        tokens = given;
    }
    let mut firsts = Vec::new();
    for prompt in prompts {
        for _ in 0..WARM_UP {
            once(&mut peer, handle, prompt, 1)?;
        }
        let mut seconds = Vec::new();
        for _ in 0..arguments.rounds {
            seconds.push(once(&mut peer, handle, prompt, 1)?.0);
        }
        firsts.push(middle(seconds));
    }
    let alike = tokens.iter().zip(own).take_while(|(theirs, ours)| theirs == ours).count();
    let bytes = figures.results.last().map_or(0, |row| row.token_bytes);
    let arm = format!("{whose}, {arm}");
    figures.results.push(row(name, &arm, firsts, middle(rates), bytes, figures, alike));
    known(&steps, figures);
    Ok(())
}

/// Says the last row.
fn known(steps: &Steps, figures: &Figures) {
    if let Some(row) = figures.results.last() {
        steps.row(&format!("{}: {}: {:.1} tokens/s", row.model, row.arm, row.tokens_per_second));
    }
    steps.end();
}

fn row(
    model: &str,
    arm: &str,
    first_seconds: Vec<f64>,
    rate: f64,
    token_bytes: u64,
    figures: &Figures,
    alike: usize,
) -> Row {
    Row {
        model: model.to_owned(),
        arm: arm.to_owned(),
        first_seconds,
        tokens_per_second: rate,
        token_bytes,
        share_of_reading: figures.read_gbps.map(|gbps| rate * token_bytes as f64 / (gbps * 1e9)),
        alike,
    }
}

fn table(figures: &Figures) -> String {
    let mut text = format!(
        "bench decode  {}\nmachine       {}\n",
        figures.stamp.origin(),
        figures.stamp.place()
    );
    if let Some(gbps) = figures.read_gbps {
        text += &format!("reading       {gbps:.0} GB/s of device memory, the best of eight\n");
    }
    let mut last = "";
    for row in &figures.results {
        if row.model != last {
            text += &format!(
                "\n{}: {COUNT} tokens after a prompt of {}, greedy, batch 1; a token reads {:.3} GB\n",
                row.model,
                PROMPTS[0],
                row.token_bytes as f64 / 1e9
            );
            last = &row.model;
        }
        let share = row.share_of_reading.map_or(String::new(), |share| {
            format!(", {:>4.1} % of the memory read rate", share * 1e2)
        });
        let firsts: Vec<String> = row
            .first_seconds
            .iter()
            .zip(PROMPTS)
            .map(|(seconds, tokens)| format!("{:.2} ms after {tokens}", seconds * 1e3))
            .collect();
        text += &format!(
            "  {:<54} {:>7.1} tokens/s{share}; first token {}; {} of {COUNT} tokens equal ours\n",
            row.arm,
            row.tokens_per_second,
            firsts.join(", "),
            row.alike
        );
    }
    text + &without(&figures.missing)
}
