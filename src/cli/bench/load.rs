//! `weighbridge bench load`: its arguments, and the whole measurement from the file to the table.

use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::arms::{self, Field, Setting};
use super::cards::{Others, Subject};
use super::figures::{self, Bench, FORMAT, Missing, Model};
use super::frame::Output;
use super::ours::{Ours, Pin};
use super::peer::Python;
use super::peers::{self, Wanted};
use super::place::{self, Place};
use super::synthetic::{Elements, Shape};
use super::truth::Truth;
use super::{cards, cold, limits, table};
use crate::cli::card::SickCard;
use crate::cli::device::OnDevice;
use crate::cli::stamp::Stamp;
use crate::cli::steps::Steps;
use crate::cli::{CommandError, exit};
use crate::contract::Device;
use crate::loader::progress::Progress;
use crate::loader::seal::{DEFAULT_CHUNK, make};

/// Load a model in the modes strict, sealed and unverified, and with `--peers` with other loaders.
/// Compare the rates with the limits of the machine.
///
/// Limits and loads are measured in one run, and the loaders take turns. Exit codes: 0 done, 1 the
/// bundled loader failed or loaded other data, 2 usage, 3 a peer that was asked for failed, 5 it
/// could not be measured, 7 the GPU is quarantined.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Model to load, a safetensors file. The default is a synthetic model.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dtype", "layers", "scale", "seed"])]
    model: Option<PathBuf>,
    /// Folder that the model is written or copied to and loaded from. This copy is deleted at the
    /// end. Without this option, a synthetic model is written to memory, and the file of `--model`
    /// is loaded from its place. Repeatable, to compare file systems.
    #[arg(long, value_name = "DIR")]
    folder: Vec<PathBuf>,
    #[command(flatten)]
    on: OnDevice,
    /// Load over these devices instead, divided and replicated, with 1, 2, 4 and so on of them: a list such as
    /// `cuda:0,cuda:1`. With `cpu` several times, the ranks are in host memory.
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with_all = ["model", "cold", "peers", "peer", "skip_contract"])]
    devices: Vec<Device>,
    /// Also load over the devices with the loader of this manifest, which must serve `parallel`. Repeatable.
    #[arg(long, value_name = "MANIFEST", requires = "devices")]
    beside: Vec<PathBuf>,
    #[command(flatten)]
    card: SickCard,
    /// Timed loads of each arm.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Begin no further round of loads that would end later than this after the start. Each arm is timed at least
    /// once. So a run with a time limit of its own has shown its table before.
    #[arg(long, value_name = "SECONDS", conflicts_with = "devices", value_parser = clap::value_parser!(u64).range(1..=86400))]
    within: Option<u64>,
    /// Also load with the file dropped from the page cache before each load.
    #[arg(long)]
    cold: bool,
    /// Leave out the data-quality gates.
    #[arg(long, alias = "no-gates")]
    skip_contract: bool,
    /// Also measure every peer that Python can import.
    #[arg(long)]
    peers: bool,
    /// Also measure this peer: safetensors, safetensors-prefetch, fastsafetensors, runai or
    /// instanttensor. Python looks for it in DIR first. Repeatable.
    #[arg(long, value_name = "NAME[@DIR]")]
    peer: Vec<Wanted>,
    /// Python that runs the peers.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: PathBuf,
    /// Longest wait for a peer's answer, in seconds. After that, the peer is killed.
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=86400))]
    patience: u64,
    #[command(flatten)]
    output: Output,
    /// Element type of the synthetic model.
    #[arg(long, value_enum, default_value_t)]
    dtype: Elements,
    /// Layers of the synthetic model.
    #[arg(long, value_name = "N", default_value_t = 28, value_parser = clap::value_parser!(u64).range(0..=1000))]
    layers: u64,
    /// Divide all dimensions of the synthetic model by this, except the number of layers.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=65536))]
    scale: u64,
    /// Seed of its values: decimal, or hex with `0x`. The default is a new one for each run.
    #[arg(long, value_name = "SEED", value_parser = crate::cli::seed::parse)]
    seed: Option<u64>,
}

impl Arguments {
    fn shape(&self, seed: u64) -> Shape {
        Shape { elements: self.dtype, layers: self.layers, scale: self.scale, seed }
    }
}

/// Measures, prints the table and writes the JSON.
///
/// # Errors
/// Where there is no such device, no such model, or no room for it.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    cards::check_devices(&arguments.devices)?;
    let first = arguments.devices.first().copied().unwrap_or(arguments.on.device);
    let (start, mut stamp) = (Instant::now(), Stamp::now(first));
    stamp.health = arguments.card.look(first)?;
    arguments.output.check()?;
    let steps = Steps::new(arguments.output.show);
    let tell = |what: &str| steps.step(what);
    tell("preparing the model");
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let (places, what) = places(arguments, seed)?;
    let (pin, truth) = pin(&places)?;
    if !arguments.devices.is_empty() {
        let [place] = places.as_slice() else {
            return Err(CommandError::usage("--devices takes one --folder"));
        };
        let subject = Subject { place, pin: &pin, truth: &truth, shape: arguments.shape(seed) };
        steps.end();
        let patience = Duration::from_secs(arguments.patience);
        let others = Others { manifests: &arguments.beside, patience };
        let loads = (arguments.devices.as_slice(), arguments.rounds);
        let held = cards::run(loads, &subject, &others, (&arguments.output, out))?;
        return Ok(if held { exit::CORROBORATED } else { exit::REFUTED });
    }
    let mut missing = Vec::new();
    tell("starting peers");
    let peers = start_peers(arguments, &mut missing);
    let gates = !arguments.skip_contract;
    let mut limits = limits::measure(arguments.on.device, &places, truth.bytes, &tell)
        .map_err(|error| CommandError::harness(format!("the machine's limits: {error}")))?;
    let setting = Setting {
        truth: &truth,
        pin: &pin,
        device: arguments.on.device,
        rounds: arguments.rounds,
        gates,
        steps: &steps,
    };
    let mut field = Field { ours: Ours::new(arguments.on.device, gates), peers, together: None };
    let mut all = Vec::new();
    let end = arguments.within.map(|seconds| start + Duration::from_secs(seconds));
    let stages = places.len() as u32 * (1 + u32::from(arguments.cold));
    let mut ends = (1..=stages).rev().map(|left| end.map(|end| share_of(end, left)));
    for place in &places {
        let end = ends.next().flatten();
        all.extend(arms::warm(&setting, &mut field, (place, end), &limits));
    }
    for place in places.iter().filter(|_| arguments.cold) {
        tell(&format!("direct reads, {}", place.label));
        limits.direct.push(cold::direct_limits(place));
        let end = ends.next().flatten();
        all.extend(arms::cold(&setting, &mut field, (place, end), &limits));
    }
    drop(field);
    all.iter_mut().for_each(|arm| arm.sum_up(truth.bytes, &limits));
    figures::compare(&mut all);
    steps.end();
    let bench = Bench {
        format: FORMAT,
        stamp,
        seconds: start.elapsed().as_secs_f64(),
        device: arguments.on.device.to_string(),
        rounds: arguments.rounds,
        gates,
        synthetic: if arguments.model.is_some() { Vec::new() } else { vec![what.clone()] },
        model: Model {
            what: if arguments.model.is_some() { what } else { "synthetic".to_owned() },
            bytes: truth.bytes,
            data_bytes: truth.data_bytes,
            tensors: truth.tensors,
            sha256: pin.file,
            chunk_bytes: DEFAULT_CHUNK,
        },
        limits,
        arms: all,
        missing,
    };
    arguments.output.tell(&bench, &table::render(&bench), out)?;
    Ok(code(&bench))
}

/// When the next of so many stages that are left should end, so that the time until `end` is divided evenly.
fn share_of(end: Instant, left: u32) -> Instant {
    let now = Instant::now();
    now + end.saturating_duration_since(now) / left
}

/// What the program exits with.
fn code(bench: &Bench) -> u8 {
    let failed = |own: bool| bench.arms.iter().any(|arm| arm.own == own && arm.error.is_some());
    // With `--peers`, a peer that is not installed is not a failure.
    let broken = |missing: &Missing| missing.asked || !missing.why.starts_with("not installed");
    if failed(true) {
        exit::REFUTED
    } else if failed(false) || bench.missing.iter().any(broken) {
        exit::INCOMPLETE
    } else {
        exit::CORROBORATED
    }
}

/// Puts the file on every requested file system. Returns the places, and what the file is.
fn places(arguments: &Arguments, seed: u64) -> Result<(Vec<Place>, String), CommandError> {
    let folders = &arguments.folder;
    let mut places = Vec::new();
    let what = match &arguments.model {
        Some(model) => {
            let usage = |error: &dyn std::fmt::Display| {
                CommandError::usage(format!("--model: {}: {error}", model.display()))
            };
            if model.extension().is_none_or(|ending| ending != "safetensors") || !model.is_file() {
                return Err(usage(&"not a file that ends in .safetensors"));
            }
            if folders.is_empty() {
                places.push(Place::of(model)?);
            }
            for folder in folders {
                let place = Place::new(folder)?;
                std::fs::copy(model, &place.file).map_err(|error| usage(&error))?;
                places.push(place);
            }
            model.file_name().unwrap_or_default().to_string_lossy().into_owned()
        }
        None => {
            let shape = arguments.shape(seed);
            let usual = [place::usual_folder()];
            for folder in if folders.is_empty() { &usual[..] } else { folders } {
                let place = Place::new(folder)?;
                shape.write(&place.file)?;
                places.push(place);
            }
            shape.describe()
        }
    };
    place::number(&mut places);
    Ok((places, what))
}

/// Seals the file and reads its contents, which are the same in all places.
fn pin(places: &[Place]) -> Result<(Pin, Truth), CommandError> {
    let first = places.first().ok_or_else(|| CommandError::usage("no folder to load from"))?;
    // Both read the whole file with one stream of SHA-256.
    let (made, truth) = thread::scope(|scope| {
        let truth = scope.spawn(|| Truth::of(&first.file));
        let made = make(&first.file, DEFAULT_CHUNK, &first.seal, &Progress::default());
        (made, truth.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let made = made.map_err(CommandError::usage)?;
    for place in places {
        std::fs::write(&place.seal, &made.text).map_err(CommandError::harness)?;
    }
    let resource = made.statement.predicate.resources.first();
    let file = resource.map(|resource| resource.digest.clone()).unwrap_or_default();
    Ok((Pin { file, seal: made.sha256 }, truth?))
}

fn start_peers(arguments: &Arguments, missing: &mut Vec<Missing>) -> Vec<peers::Other> {
    let mut wanted = arguments.peer.clone();
    if arguments.peers {
        for other in Wanted::all() {
            if !wanted.iter().any(|peer| peer.is_same(&other)) {
                wanted.push(other);
            }
        }
    }
    let patience = Duration::from_secs(arguments.patience);
    let python = Python { program: &arguments.python, folder: None, patience };
    wanted
        .iter()
        .flat_map(|peer| peers::start(peer, arguments.on.device, python, missing))
        .collect()
}
