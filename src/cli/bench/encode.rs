//! `weighbridge bench encode`: one forward pass of an encoder, beside transformers in the same run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::child::Conversation;
use crate::cli::fault::print;
use crate::cli::stamp::Stamp;
use crate::cli::weighing::check_device;
use crate::cli::{Stop, exit};
use crate::contract::inference::{Batch, Head, Pooling};
use crate::contract::{DType, Device};
use crate::harness::model::recipe::{Decoder, Sizes};
use crate::harness::model::{Architecture, HeadKind, Recipe, file};
use crate::loader::device::Gpus;
use crate::loader::open::checkpoint::Checkpoint;
use crate::loader::progress::Progress;
use crate::loader::verbs::forward;
use crate::loader::{Honest, load};

/// Format of the JSON.
const FORMAT: &str = "weighbridge.bench.encode/1";

/// What every peer runs.
const SCRIPT: &str = include_str!("encode.py");

/// Arms of the peer, by their names in the script.
const PEERS: [&str; 3] = ["eager", "compiled", "compiled-graphs"];

/// Batches that are timed: sentences and tokens.
const SHAPES: [(usize, usize); 2] = [(1, 128), (64, 128)];

/// Largest difference between two F32 runs of one model that is no other model.
const SAME: f32 = 1e-5;

/// Time one forward pass of an encoder in F32, beside transformers, eager and compiled.
///
/// A round begins with token ids on the host and ends with the embedding there. Exit codes: 0 done,
/// 1 two arms give different embeddings, 2 usage, 3 a peer failed, 5 it could not be measured.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A folder with a BERT model; one of all-MiniLM-L6-v2's shape, weights from a seed, unless given.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Where it runs: cuda, cuda:N or cpu.
    #[arg(long, default_value = "cuda:0")]
    device: Device,
    /// Timed rounds of each arm and shape.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
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

/// What was measured.
#[derive(Debug, Serialize)]
struct Figures {
    /// [`FORMAT`].
    format: &'static str,
    #[serde(flatten)]
    stamp: Stamp,
    model: String,
    device: String,
    rounds: u32,
    results: Vec<Row>,
}

/// One arm on one shape.
#[derive(Debug, Serialize)]
struct Row {
    arm: String,
    sentences: usize,
    tokens: usize,
    median_us: f64,
    least_us: f64,
    /// Largest absolute difference from our embedding.
    difference: f32,
}

/// Measures.
///
/// # Errors
/// As [`Arguments`] says.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, Stop> {
    check_device(arguments.device)?;
    let stamp = Stamp::now();
    let scratch = tempfile::tempdir().map_err(Stop::harness)?;
    let (folder, model) = match &arguments.model {
        Some(folder) => (folder.clone(), folder.display().to_string()),
        None => {
            file::write_recipe(&minilm(), scratch.path(), &|_| ()).map_err(Stop::harness)?;
            let name = "all-MiniLM-L6-v2's shape, weights from a seed (synthetic)";
            (scratch.path().to_owned(), name.to_owned())
        }
    };
    let batches: Vec<Batch> = SHAPES.iter().map(|shape| batch(*shape)).collect();
    let (mut results, own) = ours(arguments, &folder, &batches)?;
    let mut code = exit::CORROBORATED;
    if arguments.peers {
        for arm in PEERS {
            match peer(arguments, arm, &folder, scratch.path(), &batches, &own) {
                Ok(rows) => results.extend(rows),
                Err(why) => {
                    code = exit::INCOMPLETE;
                    print(out, &format!("transformers, {arm}: {why}\n"))?;
                }
            }
        }
    }
    if results.iter().any(|row| row.difference.is_nan() || row.difference > SAME) {
        code = exit::REFUTED;
    }
    let figures = Figures {
        format: FORMAT,
        stamp,
        model,
        device: arguments.device.to_string(),
        rounds: arguments.rounds,
        results,
    };
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&figures).map_err(Stop::harness)?;
        std::fs::write(path, text)
            .map_err(|error| Stop::harness(format!("cannot write {}: {error}", path.display())))?;
    }
    print(out, &table(&figures))?;
    Ok(code)
}

/// all-MiniLM-L6-v2, by its published configuration.
fn minilm() -> Recipe {
    Recipe {
        architecture: Architecture::Bert,
        dtype: DType::F32,
        sizes: Sizes {
            hidden: 384,
            dimension: 384,
            vocabulary: 30522,
            layers: 6,
            heads: 12,
            key_heads: 0,
            head_size: 0,
            inner: 1536,
            positions: 512,
            types: 2,
            padding: 0,
            rotary_base: 0.0,
            epsilon: 1e-12,
        },
        output: HeadKind::Embedding(Pooling::Mean),
        projection: None,
        normalize: true,
        shards: 1,
        decoder: Decoder::default(),
        seed: "weighbridge bench encode".to_owned(),
    }
}

/// Ids that every arm is given, all of them tokens.
fn batch((rows, columns): (usize, usize)) -> Batch {
    let id = |at: usize| 1000 + (at as i64 * 7919) % 20_000;
    let ids = (0..rows * columns).map(id).collect();
    Batch::Tokens { rows, columns, ids, mask: vec![1; rows * columns], types: Vec::new() }
}

type Measured = (Vec<Row>, Vec<Vec<f32>>);

fn ours(arguments: &Arguments, folder: &Path, batches: &[Batch]) -> Result<Measured, Stop> {
    let mut gpus = Gpus::default();
    let head = Head::Embedding { pooling: Pooling::Mean, projection: None, normalize: true };
    let checkpoint = Checkpoint::find(folder).map_err(Stop::harness)?;
    let request = checkpoint.tokens(arguments.device, true, head);
    let mut model =
        load::load(&mut gpus, &Honest, &request, &Progress::default()).map_err(Stop::harness)?;
    let (mut rows, mut outputs) = (Vec::new(), Vec::new());
    for (batch, (sentences, tokens)) in batches.iter().zip(SHAPES) {
        let mut once = || forward::run(&mut model, &mut gpus, batch, false).map_err(Stop::harness);
        let mut seconds = Vec::new();
        for _ in 0..8 {
            once()?;
        }
        let mut output = Vec::new();
        for _ in 0..arguments.rounds {
            let begin = Instant::now();
            output = once()?.output.values;
            seconds.push(begin.elapsed().as_secs_f64());
        }
        rows.push(row("weighbridge", (sentences, tokens), seconds, 0.0));
        outputs.push(output);
    }
    Ok((rows, outputs))
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
    error: Option<String>,
}

fn peer(
    arguments: &Arguments,
    arm: &str,
    folder: &Path,
    scratch: &Path,
    batches: &[Batch],
    own: &[Vec<f32>],
) -> Result<Vec<Row>, String> {
    let folder = folder.display().to_string();
    let device = arguments.device.to_string();
    let words = ["-c", SCRIPT, arm, &folder, &device];
    let patience = Duration::from_secs(300);
    let mut talk = Conversation::start(&arguments.python, &words, None, patience)?;
    let hello: Hello = talk.hear()?;
    if let Some(error) = hello.error {
        return Err(error);
    }
    let mut rows = Vec::new();
    for ((batch, own), (sentences, tokens)) in batches.iter().zip(own).zip(SHAPES) {
        let Batch::Tokens { ids, columns, .. } = batch else { continue };
        let path = scratch.join("ids.json");
        let lines: Vec<&[i64]> = ids.chunks(*columns).collect();
        let text = serde_json::to_string(&lines).map_err(|error| error.to_string())?;
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        let target = scratch.join("embedding.bin");
        let (ids, rounds) = (path.display(), arguments.rounds);
        let answer: Answer = talk.ask(&format!("run {ids} {rounds} {}", target.display()))?;
        if let Some(error) = answer.error {
            return Err(error);
        }
        let bytes = std::fs::read(&target).map_err(|error| error.to_string())?;
        let given: Vec<f32> = bytes.as_chunks().0.iter().map(|v| f32::from_le_bytes(*v)).collect();
        let far = match given.len() == own.len() {
            true => given.iter().zip(own).fold(0f32, |far, (a, b)| far.max((a - b).abs())),
            false => f32::NAN,
        };
        let name = format!("{}, {arm}", hello.version.as_deref().unwrap_or("transformers"));
        rows.push(row(&name, (sentences, tokens), answer.seconds, far));
    }
    Ok(rows)
}

fn row(arm: &str, (sentences, tokens): (usize, usize), mut seconds: Vec<f64>, far: f32) -> Row {
    seconds.sort_by(f64::total_cmp);
    let at = |index: usize| seconds.get(index).copied().unwrap_or(f64::NAN) * 1e6;
    Row {
        arm: arm.to_owned(),
        sentences,
        tokens,
        median_us: at(seconds.len() / 2),
        least_us: at(0),
        difference: far,
    }
}

fn table(figures: &Figures) -> String {
    let mut text = format!(
        "bench encode  {}\nmachine       {}\nmodel         {}, F32 without TF32, on {}; ids on the \
         host to embedding on the host\n",
        figures.stamp.origin(),
        figures.stamp.place(),
        figures.model,
        figures.device
    );
    for shape in SHAPES {
        let rows: Vec<&Row> =
            figures.results.iter().filter(|row| (row.sentences, row.tokens) == shape).collect();
        let own = rows.first().map_or(f64::NAN, |row| row.median_us);
        text += &format!("\n{} x {} tokens\n", shape.0, shape.1);
        for row in rows {
            text += &format!(
                "  {:<54} median {:>9.1} us, least {:>9.1} us, {:>5.2} times ours, differs by {:.1e}\n",
                row.arm,
                row.median_us,
                row.least_us,
                row.median_us / own,
                row.difference
            );
        }
    }
    text
}
