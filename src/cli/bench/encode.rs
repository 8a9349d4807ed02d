//! `weighbridge bench encode`: measures one forward pass of an encoder, and compares it with
//! transformers in the same run.

use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use clap::Args;
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;

use super::figures::Missing;
use super::frame::{Common, Ids, lacks, load_ours, middle, without, written};
use super::peer::{other, own_seconds};
use crate::cli::stamp::Stamp;
use crate::cli::steps::Steps;
use crate::cli::{CommandError, exit};
use crate::contract::DType;
use crate::contract::inference::{
    ATTENTION_MASK, Batch, Compute, Head, INPUT_IDS, Input, OutputKind, Pooling,
};
use crate::contract::reply::Reply;
use crate::contract::request::{Forward, Request};
use crate::harness::model::recipe::{Decoder, Sizes};
use crate::harness::model::{Architecture, HeadKind, Recipe, file};
use crate::harness::scratch::Scratch;
use crate::loader::verbs::forward;

/// Format of the JSON.
const FORMAT: &str = "weighbridge.bench.encode/1";

/// Arms of transformers. The adapter uses these names with the prefix `encoder-`.
const PEERS: [&str; 3] = ["eager", "compiled", "compiled-graphs"];

/// Runs before the timed ones: they compile and warm up.
const WARM_UP: u32 = 8;

/// Batches that are timed: sentences and tokens.
const SHAPES: [(usize, usize); 2] = [(1, 128), (64, 128)];

/// Ids of the texts, of a model that has as many.
const IDS: Range<usize> = 1000..21_000;

/// Largest difference of an embedding at which two F32 runs count as the same model.
const SAME: f32 = 1e-5;

/// Measure one forward pass of an encoder in F32, and with `--peers` also in transformers, eager
/// and compiled.
///
/// Without `--model`, the model is a BERT of the shape of all-MiniLM-L6-v2. A round begins
/// with token ids in host memory and ends with the embedding in host memory. A peer reports its
/// times in its replies. Exit codes: 0 done, 1 two arms give different embeddings, 2 usage, 3 a
/// peer failed, 5 it could not be measured, 7 the GPU is quarantined.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Timed rounds of each arm and shape.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
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
    /// Arms that could not be measured, and why.
    missing: Vec<Missing>,
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
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let common = &arguments.common;
    let health = common.card.look(common.on.device)?;
    common.output.check()?;
    let stamp = Stamp { health, ..Stamp::now(common.on.device) };
    let scratch = Scratch::new_in(&std::env::temp_dir()).map_err(CommandError::harness)?;
    let (folder, model) = match &common.model {
        Some(folder) => (folder.clone(), folder.display().to_string()),
        None => {
            file::write_recipe(&minilm(), scratch.path(), &|_| ())
                .map_err(CommandError::harness)?;
            let name = "all-MiniLM-L6-v2's shape, weights from a seed (synthetic)";
            (scratch.path().to_owned(), name.to_owned())
        }
    };
    let longest = SHAPES.iter().map(|shape| shape.1).max().unwrap_or(0);
    let ids = Ids::of(&folder, longest, IDS)?;
    let batches: Vec<Batch> = SHAPES.iter().map(|shape| batch(*shape, ids)).collect();
    let (mut results, own) = ours(arguments, &folder, &batches)?;
    let (mut code, mut missing) = (exit::CORROBORATED, Vec::new());
    for arm in PEERS.into_iter().filter(|_| common.peers) {
        match peer(arguments, arm, &folder, &batches, &own) {
            Ok(rows) => results.extend(rows),
            Err(why) => code = lacks(&mut missing, format!("transformers, {arm}"), why),
        }
    }
    if results.iter().any(|row| row.difference.is_nan() || row.difference > SAME) {
        code = exit::REFUTED;
    }
    let figures = Figures {
        format: FORMAT,
        stamp,
        model,
        device: common.on.device.to_string(),
        rounds: arguments.rounds,
        results,
        missing,
    };
    common.output.tell(&figures, &table(&figures), out)?;
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

/// The ids that every arm is given, without padding.
fn batch((rows, columns): (usize, usize), ids: Ids) -> Batch {
    let ids = (0..rows * columns).map(|place| ids.at(place) as i64).collect();
    Batch::Tokens { rows, columns, ids, mask: vec![1; rows * columns], types: Vec::new() }
}

type Measured = (Vec<Row>, Vec<Vec<f32>>);

/// One vector a sentence.
fn head() -> Head {
    Head::Embedding { pooling: Pooling::Mean, projection: None, normalize: true }
}

fn ours(arguments: &Arguments, folder: &Path, batches: &[Batch]) -> Result<Measured, CommandError> {
    let (mut model, mut gpus) =
        load_ours(folder, arguments.common.on.device, head(), Compute::Exact)?;
    let (mut rows, mut outputs) = (Vec::new(), Vec::new());
    let steps = Steps::new(arguments.common.output.show);
    for (batch, shape) in batches.iter().zip(SHAPES) {
        steps.step(&format!("weighbridge, {} x {} tokens", shape.0, shape.1));
        let mut once =
            || forward::run(&mut model, &mut gpus, batch, false).map_err(CommandError::harness);
        let mut seconds = Vec::new();
        for _ in 0..WARM_UP {
            once()?;
        }
        let mut output = Vec::new();
        for _ in 0..arguments.rounds {
            let begin = Instant::now();
            output = once()?.output.values;
            seconds.push(begin.elapsed().as_secs_f64());
        }
        rows.push(row("weighbridge", shape, seconds, 0.0));
        outputs.push(output);
        known(&steps, &rows);
    }
    steps.end();
    Ok((rows, outputs))
}

fn peer(
    arguments: &Arguments,
    arm: &str,
    folder: &Path,
    batches: &[Batch],
    own: &[Vec<f32>],
) -> Result<Vec<Row>, String> {
    let arm_there = format!("encoder-{arm}");
    let (mut peer, name, handle) = arguments.common.start(&arm_there, folder, head())?;
    let (input, into) = (peer.file("input.safetensors"), peer.file("output.safetensors"));
    let mut rows = Vec::new();
    let steps = Steps::new(arguments.common.output.show);
    for ((batch, own), shape) in batches.iter().zip(own).zip(SHAPES) {
        steps.step(&format!("{name}, {arm}, {} x {} tokens", shape.0, shape.1));
        write(batch, &input)?;
        let mut seconds = Vec::new();
        for round in 0..WARM_UP + arguments.rounds {
            let input = Input::File(input.clone());
            let request = Forward { handle, input, into: into.clone(), trace: false };
            let (reply, trip) = peer.ask(Request::Forward(request))?;
            let Reply::Forward(forwarded) = reply else { return Err(other(&reply)) };
            if round >= WARM_UP {
                seconds.push(own_seconds(forwarded.elapsed_us, trip)?);
            }
        }
        let given = written(&into, OutputKind::Embedding.name())?;
        let far = match given.len() == own.len() {
            true => given.iter().zip(own).fold(0f32, |far, (a, b)| far.max((a - b).abs())),
            false => f32::NAN,
        };
        rows.push(row(&format!("{name}, {arm}"), shape, seconds, far));
        known(&steps, &rows);
    }
    steps.end();
    Ok(rows)
}

/// Says the last row.
fn known(steps: &Steps, rows: &[Row]) {
    if let Some(row) = rows.last() {
        steps.row(&format!(
            "{}, {} x {} tokens: median {:.1} us",
            row.arm, row.sentences, row.tokens, row.median_us
        ));
    }
}

/// Writes a batch of tokens for a peer.
fn write(batch: &Batch, path: &Path) -> Result<(), String> {
    let Batch::Tokens { rows, columns, ids, mask, .. } = batch else {
        return Err("no batch of tokens".to_owned());
    };
    let bytes =
        |values: &[i64]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let parts = [(INPUT_IDS, bytes(ids)), (ATTENTION_MASK, bytes(mask))];
    let views = parts.iter().map(|(name, bytes)| {
        TensorView::new(Dtype::I64, vec![*rows, *columns], bytes).map(|view| (*name, view))
    });
    let views: Vec<_> = views.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    safetensors::serialize_to_file(views, None, path).map_err(|error| error.to_string())
}

fn row(arm: &str, (sentences, tokens): (usize, usize), seconds: Vec<f64>, far: f32) -> Row {
    let least = seconds.iter().copied().min_by(f64::total_cmp).unwrap_or(f64::NAN);
    Row {
        arm: arm.to_owned(),
        sentences,
        tokens,
        median_us: middle(seconds) * 1e6,
        least_us: least * 1e6,
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
    text + &without(&figures.missing)
}
