//! `weighbridge bench decode`: measures time to first token and tokens per second of a decoder.
//! Compares them with the rate at which the device reads its memory, and times and errors with
//! transformers and a GGUF runtime in the same run.

mod accuracy;
mod arms;
mod figures;
mod runtime;
mod table;

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Args;

use self::arms::Measured;
use self::figures::{COUNT, FORMAT, Figures, PROMPTS, Row, compare, refuted};
use self::runtime::Runtime;
use self::table::table;
use super::frame::{Common, Ids, lacks};
use super::synthetic::Elements;
use crate::cli::computing::Computing;
use crate::cli::stamp::Stamp;
use crate::cli::steps::Steps;
use crate::cli::{CommandError, exit};
use crate::contract::Device;
use crate::contract::inference::Compute;
use crate::gpu;
use crate::harness::manifest::Manifest;
use crate::harness::model::{decoders, file};
use crate::harness::scratch::Scratch;

/// The arm of transformers that computes in the model's own element type: what BF16 is compared with.
const PLAIN: (&str, &str) = ("eager", "decoder-eager");
/// Arms of transformers: the name in the output, and the name in the adapter.
const PEERS: [(&str, &str); 2] = [PLAIN, ("static, compiled", "decoder-static")];
/// Prompts of each length whose logits are compared. The first of them is timed. Behind a single one, which
/// of two roundings errs less is mostly chance.
const COMPARED: usize = 4;
/// Ids of prompts, of a model that has as many.
const IDS: Range<usize> = 5..1000;
/// The arm whose logits are the truth.
const TRUTH: (&str, &str) = ("F64", "decoder-f64");

/// Measure time to first token and tokens per second of a decoder: batch 1, greedy.
///
/// Without `--model`, the model has the shape of Qwen2.5-1.5B. A peer reports its times in its
/// replies. With `--compute bf16`, the mode that rounds activations is measured beside the exact one.
/// With `--peers`, the logits behind prompts of each length are compared with those of transformers in F64, and the
/// mode that rounds is admitted for a length if its error is no larger than that of transformers in plain
/// BF16. Exit codes: 0 done, 1 the mode that rounds is not admitted, 2 usage, 3 a peer failed, 5 it could
/// not be measured, 7 the GPU is quarantined.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    computing: Computing,
    #[command(flatten)]
    runtime: Runtime,
    /// Element types of the synthetic model. Repeatable. The default is both; with `--compute bf16` it is
    /// `bf16` alone.
    #[arg(long, value_enum, value_name = "TYPE")]
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

/// Measures.
///
/// # Errors
/// As [`Arguments`] says.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let common = &arguments.common;
    let health = common.card.look(common.on.device)?;
    common.output.check()?;
    let manifest = arguments.runtime.manifest()?;
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
    let file_for_runtime = scratch.path().join("model.gguf");
    let gguf = manifest.as_ref().map(|manifest| (manifest, file_for_runtime.as_path()));
    match &common.model {
        Some(folder) => {
            let name = folder.display().to_string();
            code = code.max(model(arguments, gguf, (folder, &name), &mut figures)?);
        }
        None => {
            for elements in arguments.elements() {
                let folder = scratch.path().join("model");
                std::fs::create_dir_all(&folder).map_err(CommandError::harness)?;
                let dtype = elements.dtype();
                let recipe = decoders::full_size(dtype, arguments.layers);
                file::write_recipe(&recipe, &folder, &|_| ()).map_err(CommandError::harness)?;
                let name =
                    format!("Qwen2.5-1.5B's shape, {dtype}, weights from a seed (synthetic)");
                code = code.max(model(arguments, gguf, (&folder, &name), &mut figures)?);
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

impl Arguments {
    /// Element types of the synthetic model.
    fn elements(&self) -> &[Elements] {
        match (self.dtype.as_slice(), self.computing.compute) {
            ([], Compute::Exact) => &[Elements::Bf16, Elements::F32],
            // Only BF16 weights are multiplied by rounded activations.
            ([], Compute::Bf16) => &[Elements::Bf16],
            (named, _) => named,
        }
    }
}

/// Measures one model with every arm. Returns the exit code.
fn model(
    arguments: &Arguments,
    gguf: Option<(&Manifest, &Path)>,
    (folder, name): (&Path, &str),
    figures: &mut Figures,
) -> Result<u8, CommandError> {
    let longest = PROMPTS[PROMPTS.len() - 1] + COUNT as usize;
    let of = Ids::of(folder, longest, IDS)?;
    let ids = |count: usize, from: usize| -> Vec<u32> {
        (from..from + count).map(|place| of.at(place) as u32).collect()
    };
    let prompts = PROMPTS.map(|count| (0..COMPARED).map(|n| ids(count, n * 331)).collect());
    let Arguments { common, computing, rounds, .. } = arguments;
    let measured = Measured { common, rounds: *rounds, folder, name, prompts: &prompts };
    let begin = figures.results.len();
    let exact = measured.ours(Compute::Exact, None, figures)?;
    if computing.compute != Compute::Exact {
        measured.ours(computing.compute, Some(&exact), figures)?;
    }
    let mut code = exit::CORROBORATED;
    if let Some((manifest, into)) = gguf {
        let measure = |figures: &mut Figures| {
            let holding = runtime::start(manifest, folder, into, common.on.device)?;
            measured.peer(runtime::ARM, holding, &exact, figures)
        };
        if let Err(why) = measure(figures) {
            code = lacks(&mut figures.missing, manifest.name().to_owned(), why);
        }
    }
    if !common.peers {
        return Ok(code);
    }
    // The truth first: a run that is cut short among the peers has shown the errors of those before.
    let truth = measured.truth(TRUTH.1);
    let mut compared = truth
        .as_ref()
        .map_or(Ok(()), |truth| show_compared(common, &mut figures.results[begin..], truth));
    for arm in PEERS {
        if let Err(why) = measured.transformers(arm, &exact, figures) {
            code = lacks(&mut figures.missing, format!("transformers, {}", arm.0), why);
        } else if let (Ok(truth), Ok(())) = (&truth, &compared) {
            compared = show_compared(common, &mut figures.results[begin..], truth);
        }
    }
    if refuted(&figures.results[begin..]) {
        code = code.max(exit::REFUTED);
    }
    if let Err(why) = truth.map(drop).and(compared) {
        code = lacks(&mut figures.missing, format!("transformers, {}", TRUTH.0), why);
    }
    Ok(code)
}

/// Compares what has not been compared, and shows what became known.
fn show_compared(common: &Common, rows: &mut [Row], truth: &[Vec<f32>]) -> Result<(), String> {
    let known = |row: &Row| (row.errors.is_some(), row.admitted.is_some());
    let before: Vec<_> = rows.iter().map(known).collect();
    compare(rows, truth, PLAIN.0)?;
    let steps = Steps::new(common.output.show);
    for (row, _) in rows.iter().zip(before).filter(|(row, before)| known(row) != *before) {
        steps.row(&format!("error against F64: {}", table::errors(row).trim()));
    }
    steps.end();
    Ok(())
}
