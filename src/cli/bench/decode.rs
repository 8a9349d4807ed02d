//! `weighbridge bench decode`: first tokens and tokens a second of a decoder, beside the rate at which the
//! device reads its memory, and transformers in the same run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::child::Conversation;
use crate::cli::fault::print;
use crate::cli::stamp::Stamp;
use crate::cli::weighing::check_device;
use crate::cli::{Stop, exit};
use crate::contract::generation::{Prompt, Sampling};
use crate::contract::inference::Head;
use crate::contract::request::Generate;
use crate::contract::{DType, Device};
use crate::gpu;
use crate::harness::model::{decoders, file};
use crate::loader::device::Gpus;
use crate::loader::load::model::Model;
use crate::loader::open::checkpoint::Checkpoint;
use crate::loader::progress::Progress;
use crate::loader::verbs::generate;
use crate::loader::{Honest, load};

/// Format of the JSON.
const FORMAT: &str = "weighbridge.bench.decode/1";
/// What every peer runs.
const SCRIPT: &str = include_str!("decode.py");
/// Arms of the peer, by their names in the script.
const PEERS: [&str; 2] = ["eager", "static, compiled"];
/// Tokens of the prompts whose first token is timed.
const PROMPTS: [usize; 3] = [16, 128, 1000];
/// Tokens generated behind the shortest prompt.
const COUNT: u32 = 256;

/// Time a decoder, batch 1, greedy: first tokens, and tokens a second.
///
/// Exit codes: 0 done, 2 usage, 3 a peer failed, 5 it could not be measured.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A folder with a decoder; one of Qwen2.5-1.5B's shape, weights from a seed, unless given.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Element types of the synthetic model. Repeatable.
    #[arg(long, value_enum, value_name = "TYPE", default_values = ["bf16", "f32"])]
    dtype: Vec<Elements>,
    /// Layers of the synthetic model, 28 in the original.
    #[arg(long, value_name = "N", default_value_t = 28)]
    layers: usize,
    /// Folder to write the synthetic model below; a temporary one unless given.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Where it runs: cuda, cuda:N or cpu.
    #[arg(long, default_value = "cuda:0")]
    device: Device,
    /// Timed rounds of each figure.
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Also transformers, by Python.
    #[arg(long)]
    peers: bool,
    /// Python that runs it.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: PathBuf,
    /// Write everything as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Element types that a synthetic model may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Elements {
    Bf16,
    F32,
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
    /// At which the device read its memory in this run.
    read_gbps: Option<f64>,
    results: Vec<Row>,
}

/// One arm on one model.
#[derive(Debug, Serialize)]
struct Row {
    model: String,
    arm: String,
    /// Median seconds to the first token, for prompts of [`PROMPTS`] tokens.
    first_seconds: Vec<f64>,
    /// Median tokens a second behind the first.
    tokens_per_second: f64,
    /// Weights that a token reads, in bytes.
    token_bytes: u64,
    /// Share of the rate at which the device reads.
    share_of_reading: Option<f64>,
    /// How many of the tokens are ours, from the first on.
    alike: usize,
}

/// Measures.
///
/// # Errors
/// As [`Arguments`] says.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, Stop> {
    check_device(arguments.device)?;
    let mut figures = Figures {
        format: FORMAT,
        stamp: Stamp::now(),
        device: arguments.device.to_string(),
        rounds: arguments.rounds,
        read_gbps: read_rate(arguments.device)?,
        results: Vec::new(),
    };
    let mut code = exit::CORROBORATED;
    let scratch = match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    }
    .map_err(Stop::usage)?;
    match &arguments.model {
        Some(folder) => {
            let name = folder.display().to_string();
            code = code.max(model(arguments, folder, &name, &mut figures, out)?);
        }
        None => {
            for elements in &arguments.dtype {
                let folder = scratch.path().join("model");
                std::fs::create_dir_all(&folder).map_err(Stop::harness)?;
                let dtype = match elements {
                    Elements::Bf16 => DType::BF16,
                    Elements::F32 => DType::F32,
                };
                let recipe = decoders::full_size(dtype, arguments.layers);
                file::write_recipe(&recipe, &folder, &|_| ()).map_err(Stop::harness)?;
                let name =
                    format!("Qwen2.5-1.5B's shape, {dtype}, weights from a seed (synthetic)");
                code = code.max(model(arguments, &folder, &name, &mut figures, out)?);
                std::fs::remove_dir_all(&folder).map_err(Stop::harness)?;
            }
        }
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&figures).map_err(Stop::harness)?;
        std::fs::write(path, text)
            .map_err(|error| Stop::harness(format!("cannot write {}: {error}", path.display())))?;
    }
    print(out, &table(&figures))?;
    Ok(code)
}

fn read_rate(device: Device) -> Result<Option<f64>, Stop> {
    let Device::Cuda(ordinal) = device else { return Ok(None) };
    let context = gpu::Context::open(ordinal).map_err(Stop::harness)?;
    gpu::read_limit(&context).map(Some).map_err(Stop::harness)
}

/// Measures one model by every arm; the code that it ends with.
fn model(
    arguments: &Arguments,
    folder: &Path,
    name: &str,
    figures: &mut Figures,
    out: &mut dyn Write,
) -> Result<u8, Stop> {
    let vocabulary = 1000;
    let ids = |count: usize| -> Vec<u32> {
        (0..count).map(|at| 5 + (at as u32 * 7919) % (vocabulary - 5)).collect()
    };
    let prompts: Vec<Vec<u32>> = PROMPTS.into_iter().map(ids).collect();
    let (own, dtype) = ours(arguments, folder, name, &prompts, figures)?;
    if !arguments.peers {
        return Ok(exit::CORROBORATED);
    }
    let mut code = exit::CORROBORATED;
    for arm in PEERS {
        if let Err(why) = peer(arguments, arm, (folder, name), dtype, &prompts, &own, figures) {
            code = exit::INCOMPLETE;
            print(out, &format!("transformers, {arm}: {why}\n"))?;
        }
    }
    Ok(code)
}

/// What one token reads, and in which type: every matrix once, but of embeddings that are no head a row.
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
) -> Result<(Vec<u32>, DType), Stop> {
    let mut gpus = Gpus::default();
    let head = Head::Logits {};
    let checkpoint = Checkpoint::find(folder).map_err(Stop::harness)?;
    let request = checkpoint.tokens(arguments.device, true, head);
    let mut model =
        load::load(&mut gpus, &Honest, &request, &Progress::default()).map_err(Stop::harness)?;
    if let Some(runnable) = &mut model.runnable {
        // Every arm generates as many.
        runnable.ends.clear();
    }
    let dtype = model.tensors.first().map_or(DType::F32, |tensor| tensor.dtype);
    let mut once = |prompt: &[u32], limit: u32| -> Result<(f64, f64, Vec<u32>), Stop> {
        let request = Generate {
            handle: 0,
            prompt: Prompt::Tokens(prompt.to_vec()),
            limit,
            sampling: Sampling::GREEDY,
            into: None,
        };
        let (begin, mut first) = (Instant::now(), None);
        let mut see = |_| {
            first.get_or_insert_with(|| begin.elapsed().as_secs_f64());
        };
        let given = generate::generate(&mut model, &mut gpus, &Honest, &request, &mut see);
        let all = begin.elapsed().as_secs_f64();
        let given = given.map_err(Stop::harness)?;
        Ok((first.unwrap_or(all), all, given.tokens))
    };
    // The longest first, so that no later one needs more memory.
    once(&prompts[prompts.len() - 1], COUNT)?;
    let mut firsts = Vec::new();
    for prompt in prompts {
        let mut seconds = Vec::new();
        once(prompt, 1)?;
        for _ in 0..arguments.rounds {
            seconds.push(once(prompt, 1)?.0);
        }
        firsts.push(median(seconds));
    }
    let (mut rates, mut tokens) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let (first, all, given) = once(&prompts[0], COUNT)?;
        rates.push(f64::from(COUNT - 1) / (all - first));
        tokens = given;
    }
    let alike = tokens.len();
    let bytes = token_bytes(&model);
    figures.results.push(row(name, "weighbridge", firsts, median(rates), bytes, figures, alike));
    Ok((tokens, dtype))
}

#[derive(Deserialize)]
struct Hello {
    version: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    seconds: Vec<f64>,
    #[serde(default)]
    tokens: Vec<u32>,
    error: Option<String>,
}

fn peer(
    arguments: &Arguments,
    arm: &str,
    (folder, name): (&Path, &str),
    dtype: DType,
    prompts: &[Vec<u32>],
    own: &[u32],
    figures: &mut Figures,
) -> Result<(), String> {
    let (text, device) = (folder.display().to_string(), arguments.device.to_string());
    let dtype = if dtype == DType::F32 { "f32" } else { "bf16" };
    let words = ["-c", SCRIPT, arm, &text, &device, dtype];
    let mut talk = Conversation::start(&arguments.python, &words, None, Duration::from_secs(400))?;
    let hello: Hello = talk.hear()?;
    if let Some(error) = hello.error {
        return Err(error);
    }
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut ask = |command: &str, ids: &[u32]| -> Result<Answer, String> {
        let path = scratch.path().join("ids.json");
        let text = serde_json::to_string(ids).map_err(|error| error.to_string())?;
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        let (kind, numbers) = command.split_once(' ').unwrap_or((command, ""));
        let answer: Answer = talk.ask(&format!("{kind} {} {numbers}", path.display()))?;
        match answer.error {
            Some(error) => Err(error),
            None => Ok(answer),
        }
    };
    let rounds = arguments.rounds;
    let given = ask(&format!("tokens {COUNT} {}", rounds.min(3)), &prompts[0])?;
    let seconds = median(given.seconds);
    let mut firsts = Vec::new();
    for prompt in prompts {
        firsts.push(median(ask(&format!("first {rounds}"), prompt)?.seconds));
    }
    let alike = given.tokens.iter().zip(own).take_while(|(theirs, ours)| theirs == ours).count();
    let arm = format!("{}, {arm}", hello.version.as_deref().unwrap_or("transformers"));
    let bytes = figures.results.last().map_or(0, |row| row.token_bytes);
    let rate = f64::from(COUNT - 1) / seconds;
    figures.results.push(row(name, &arm, firsts, rate, bytes, figures, alike));
    Ok(())
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
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
                "\n{}: {COUNT} tokens behind {}, greedy, batch 1; a token reads {:.3} GB\n",
                row.model,
                PROMPTS[0],
                row.token_bytes as f64 / 1e9
            );
            last = &row.model;
        }
        let share = row.share_of_reading.map_or(String::new(), |share| {
            format!(", {:>4.1} % of the rate of reading", share * 1e2)
        });
        let firsts: Vec<String> = row
            .first_seconds
            .iter()
            .zip(PROMPTS)
            .map(|(seconds, tokens)| format!("{:.2} ms behind {tokens}", seconds * 1e3))
            .collect();
        text += &format!(
            "  {:<54} {:>7.1} tokens/s{share}; first token {}; {} of {COUNT} tokens ours\n",
            row.arm,
            row.tokens_per_second,
            firsts.join(", "),
            row.alike
        );
    }
    text
}
