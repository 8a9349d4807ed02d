//! The steps of a case: requests to the loader, and measurements by the harness itself.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::beside::{CompareBeside, LoadBeside};
use super::cheat::{Remove, Tamper, UseAfterUnload};
use super::cli::Cli;
use super::closing::{SameProgram, WithinBudget};
use super::divide::Divide;
use super::expect::{DeviceOutcome, LoadOutcome, Refusal};
pub use super::flips::{FlipPlace, Flips};
use super::formats::{Agree, Drift};
use super::forward::{Forward, Real, RejectInput, Relate, Validate, WholeSet};
use super::generate::{BitIdentical, Generate, Sample, Throughput};
use super::leave::Leave;
pub use super::memory::{Ballast, Grown, Left, Mark, MarkPeak, Peak, Release};
use super::seal::Sealing;
use super::stored::StoredGolden;
use super::synchronize::Synchronize;
pub use super::toolchain::{Command, Named, Sources};
use crate::contract::Device;
use crate::contract::plan::LoadStep;
use crate::contract::request::{DtypePolicy, Format, HardwareProfile};

/// One step.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Ask for a load.
    Load(Load),
    /// Load a model divided over ranks, and compare the slices of each.
    Divide(Divide),
    /// Ask a second process of the loader for a load, and stop it in the middle.
    LoadBeside(LoadBeside),
    /// Let that load go on, and compare what the second process holds.
    CompareBeside(CompareBeside),
    /// Fetch every tensor's bytes and compare them with the file's.
    Compare(Compare),
    /// Write into exported device memory from here, then see the change through the loader's
    /// own read: the handle leads to the memory that the loader uses.
    Poke(Poke),
    /// Load a file again and again, each time with another bit of it flipped.
    Flips(Flips),
    /// Ask about a device.
    Device(DeviceStep),
    /// Ask what is held.
    Stat(Stat),
    /// Free a model.
    Unload(Unload),
    /// Remember how much memory the loader's process holds: NVML on a device, resident pages on
    /// the host.
    Mark(Mark),
    /// Compare memory now with a mark.
    Grown(Grown),
    /// Look at what the loader has kept since a mark: descriptors, threads, processes, and files beside
    /// those of the case.
    Left(Left),
    /// Forget the highest host memory that the process ever held, and remember what it holds now.
    MarkPeak(MarkPeak),
    /// Compare the highest host memory held since with a bound.
    Peak(Peak),
    /// Do these steps so many times.
    Repeat(Repeat),
    /// Fill the card from here until so much is left.
    Ballast(Ballast),
    /// Let the ballast go.
    Release(Release),
    /// Write a file's recipe over another one's path.
    Write(Write),
    /// Remove a file from the disk.
    Remove(Remove),
    /// Send every request that takes a model for one that was unloaded.
    UseAfterUnload(UseAfterUnload),
    /// Write other weights into a loaded model; its output must follow.
    Tamper(Tamper),
    /// Ask for a device synchronisation.
    Synchronize(Synchronize),
    /// Send bytes to the device and back on a stream of its own.
    Stream(Stream),
    /// Multiply two loaded matrices and compare with float64.
    Multiply(Multiply),
    /// Send a request that is not part of the contract; it must be refused.
    MalformedRequest(MalformedRequest),
    /// Run one of the manifest's toolchain commands; it must exit with 0.
    Command(Command),
    /// Compile a probe that names what the manifest gives for the case's requirement.
    Name(Named),
    /// Scan the loader's sources for `unsafe` without a `SAFETY` comment.
    Sources(Sources),
    /// Run a model and compare with the oracle.
    Forward(Forward),
    /// Give a model an input that it must refuse.
    RejectInput(RejectInput),
    /// Change a model so that mathematics alone gives the new output.
    Relate(Relate),
    /// Let the loader validate a model against a golden reference.
    Validate(Validate),
    /// Embed sentences with the run's checkpoint, where it has one.
    Real(Real),
    /// Load all thirteen models and hold them at once.
    WholeSet(WholeSet),
    /// Let a decoder generate from a prompt.
    Generate(Generate),
    /// Let a decoder sample many answers, and compare how often tokens come.
    Sample(Sample),
    /// Let one model in several formats generate from one prompt: all must give the same tokens.
    Agree(Agree),
    /// Compare a quantised model with the model that it was made from.
    Drift(Drift),
    /// Compare a decoder with a stored golden of its weights.
    StoredGolden(StoredGolden),
    /// Measure how fast a decoder generates.
    Throughput(Throughput),
    /// Run two models on the same input; every bit must be the same.
    BitIdentical(BitIdentical),
    /// Run one of the manifest's programs.
    Cli(Cli),
    /// Ask the loader to leave, and look at what remains.
    Leave(Leave),
    /// Read the files of the loader's program again.
    SameProgram(SameProgram),
    /// Add up how long the run has waited for the loader.
    WithinBudget(WithinBudget),
}

/// Asks for a load.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Which file.
    #[serde(default = "super::default_names::main_file")]
    pub file: String,
    /// What later steps call the model.
    #[serde(default = "super::default_names::first_model", rename = "as")]
    pub name: String,
    /// As which format; the file's own unless named.
    #[serde(default)]
    pub format: Option<Format>,
    /// Where to; the run's device unless named.
    #[serde(default)]
    pub device: Option<Device>,
    /// Whether it is to the next card instead of the run's. For cases that need several.
    #[serde(default)]
    pub next_card: bool,
    /// Which element type to keep.
    #[serde(default)]
    pub keep: DtypePolicy,
    /// Which digest to ask for.
    #[serde(default)]
    pub sha256: Pin,
    /// Which seal to ask for.
    #[serde(default)]
    pub seal: Option<Sealing>,
    /// Whether a loader that serves seals loads the model sealed. For cases that are not about the
    /// load: a sealed load of a large model takes a fraction of the time.
    #[serde(default)]
    pub quick: bool,
    /// Longest time from the request to the answer, in milliseconds, by the harness's clock.
    #[serde(default)]
    pub within_ms: Option<u64>,
    /// Least rate of the file's bytes over that time, in GB/s (1e9 bytes a second).
    #[serde(default)]
    pub least_gbps: Option<f64>,
    /// Longest times of its steps by the loader's own word, in milliseconds.
    #[serde(default)]
    pub shares_ms: BTreeMap<LoadStep, u64>,
    /// Whether gates decide; by default they do where the loader has them.
    #[serde(default)]
    pub admit: Option<bool>,
    /// What happens to the file once the loader has opened it.
    #[serde(default)]
    pub meanwhile: Option<Meanwhile>,
    /// What must come of it.
    pub expect: LoadOutcome,
}

/// The digest that a load asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pin {
    /// None.
    #[default]
    None,
    /// The file's.
    Right,
    /// Another file's.
    Wrong,
    /// The file's but for its first bit.
    FirstBitOff,
    /// The file's but for its last bit.
    LastBitOff,
    /// Sixty-four zeros.
    Zeros,
    /// What the file's was before its recipe's damage was done: a pin noted where the file came
    /// from.
    Undamaged,
}

/// What happens to a file between being opened and being used.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meanwhile {
    /// Another file is renamed over its path.
    Replace(String),
    /// It is cut to half its length in place.
    Cut,
}

/// Fetches and compares every tensor.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// Which model.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
    /// Which way the bytes come.
    #[serde(default)]
    pub route: Route,
}

/// Which way loaded bytes reach the harness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// CUDA IPC on a device, a file on the host.
    #[default]
    Auto,
    /// CUDA IPC: the harness copies from device memory itself.
    Ipc,
    /// A file that the loader writes.
    File,
}

/// Changes a tensor from outside.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Poke {
    /// Which model.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
}

/// Asks about a device.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceStep {
    /// Which; the run's unless named.
    #[serde(default)]
    pub device: Option<Device>,
    /// Whether every card that the driver lists is asked about, one after the other; each must have a
    /// UUID of its own.
    #[serde(default)]
    pub every: bool,
    /// The least it must offer.
    #[serde(default)]
    pub profile: Option<HardwareProfile>,
    /// What must come of it.
    pub expect: DeviceOutcome,
}

/// Asks what is held.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stat {
    /// How many models there must be.
    pub models: u64,
    /// Models whose bytes the held bytes must cover, within 2 % and one 2 MiB page each.
    #[serde(default)]
    pub bytes_of: Vec<String>,
}

/// Frees a model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unload {
    /// Which model.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
}

/// Repeats steps.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// How often.
    pub times: u32,
    /// What.
    pub steps: Vec<Step>,
}

/// Writes over a path.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// The file whose bytes are written...
    pub from: String,
    /// ...over the path of this one. Later steps that name it mean the new bytes; models that were
    /// loaded before mean the old ones.
    #[serde(default = "super::default_names::main_file")]
    pub over: String,
    /// Whether its metadata stays as it was: the bytes are written in place, there must be as many, and
    /// the time of modification is set back.
    #[serde(default)]
    pub unseen: bool,
    /// Whether it is the documents of models that are written, and not the weights, which both have the
    /// same: each document in place, its time of modification set back.
    #[serde(default)]
    pub documents: bool,
}

/// Sends a file's bytes to the device and back.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Whose bytes travel.
    #[serde(default = "super::default_names::main_file")]
    pub file: String,
    /// Round trips of the long run; the short one makes a single trip. Their difference, by the
    /// harness's clock, is free of whatever happens once.
    #[serde(default)]
    pub rounds: Option<u32>,
    /// Least rate in GB/s (1e9 bytes a second), counting both directions.
    #[serde(default)]
    pub least_gbps: Option<f64>,
    /// Least rate as a multiple of the pageable copy limit measured in this run.
    #[serde(default)]
    pub least_of_pageable: Option<f64>,
}

/// Multiplies two loaded matrices.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Multiply {
    /// The model that holds both.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
    /// Name of A, shape [m, k].
    pub a: String,
    /// Name of B, shape [k, n].
    pub b: String,
    /// Largest error allowed, relative to sum |a||b| for each element.
    pub tolerance: f64,
    /// Part of a library's name that the process must have mapped.
    pub library: String,
}

/// A request that no loader should understand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MalformedRequest {
    /// JSON in the place of a request.
    pub request: String,
    /// How it must be refused.
    pub refused: Refusal,
}
