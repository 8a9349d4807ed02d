//! Cases as data: what is tried, with which files, in which steps, and what must come of it.
//!
//! A case file under `conformance/` is a YAML list of [`Case`]. `conformance/readme.yaml` shows
//! every key with a comment, and runs. What a case asks of a loader is *derived* from its steps
//! ([`Case::capabilities`]), so that it cannot be forgotten.

pub mod cheat;
pub mod cli;
pub mod decoder;
pub mod encoder;
pub mod expect;
pub mod formats;
pub mod memory;
pub mod read;
pub mod recipe;
pub mod seal;
pub mod step;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::contract::{Capability, DType};
use decoder::PromptSource;
use encoder::{ModelSource, Wrong};
use expect::{LoadCheck, LoadOutcome};
use recipe::Recipe;
use step::{Route, Step};

/// One way of trying one requirement.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Id of the requirement that this case can refute.
    pub requirement: String,
    /// Snake-case name, unique within the requirement.
    pub name: String,
    /// One sentence: what is tried.
    pub tries: String,
    /// What the machine must have.
    #[serde(default)]
    pub needs: BTreeSet<Want>,
    /// Files that the harness writes before the first step, by the name that steps use.
    #[serde(default)]
    pub files: BTreeMap<String, Recipe>,
    /// Models that the harness makes before the first step, by the name that steps use for their
    /// weight files.
    #[serde(default)]
    pub models: BTreeMap<String, ModelSource>,
    /// What is done, in order. The first step that does not hold decides.
    pub steps: Vec<Step>,
    /// Mutants that this case is there to kill.
    #[serde(default)]
    pub kills: BTreeSet<String>,
    /// What the loader's process sees.
    #[serde(default)]
    pub environment: Environment,
    /// Runs while nothing else does: its evidence is a time, or memory that others would disturb.
    #[serde(default)]
    pub alone: bool,
    /// Gets a process of its own, started for it.
    #[serde(default)]
    pub fresh_process: bool,
    /// Its files lie under names that people give, in a folder that the loader was told nothing of.
    #[serde(default)]
    pub elsewhere: bool,
    /// Why no mutant can be killed by it, where `kills` is empty.
    #[serde(default)]
    pub kills_none_because: Option<String>,
}

/// What the machine must have for a case to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// A CUDA device, chosen for the run with `--device cuda`.
    Gpu,
    /// A run on host memory.
    Cpu,
    /// The loader's own toolchain, as its manifest names it.
    Toolchain,
}

/// What the loader's process sees of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// The machine as it is.
    #[default]
    AsIs,
    /// Every CUDA device hidden.
    GpusHidden,
}

impl Case {
    /// `REQUIREMENT::name`, the case's id everywhere.
    pub fn id(&self) -> String {
        format!("{}::{}", self.requirement, self.name)
    }

    /// The capabilities that the steps rely on, apart from the device's.
    pub fn capabilities(&self) -> BTreeSet<Capability> {
        let mut all = BTreeSet::new();
        // Those with the weights of another give what that one gives.
        let is_twin = |model: &&ModelSource| model.same_as.is_some() && model.format.is_usual();
        for model in self.models.values().filter(|model| !is_twin(model)) {
            all.insert(match model.gives_logits() {
                true => Capability::Forward,
                false => Capability::Embed,
            });
            if model.shards.is_some_and(|shards| shards > 1) {
                all.insert(Capability::Sharded);
            }
        }
        for step in self.flat_steps() {
            step.capabilities(&mut all);
            if let Step::Load(load) = step {
                let of_model = self.models.get(&load.file).map(|model| model.format);
                all.insert(load.format.or(of_model).unwrap_or_default().into());
            }
            if let Step::Load(load) = step
                && let LoadOutcome::Loaded(_) = &load.expect
                && let Some(recipe) = self.files.get(&load.file)
            {
                for tensor in &recipe.tensors {
                    match tensor.dtype {
                        DType::F16 => all.insert(Capability::DtypeF16),
                        DType::BF16 => all.insert(Capability::DtypeBf16),
                        DType::F32 => all.insert(Capability::DtypeF32),
                        DType::I64 => all.insert(Capability::DtypeI64),
                        _ => false,
                    };
                }
            }
        }
        all
    }

    /// Every step, those inside repetitions once.
    pub fn flat_steps(&self) -> Vec<&Step> {
        fn flatten<'a>(steps: &'a [Step], into: &mut Vec<&'a Step>) {
            for step in steps {
                into.push(step);
                if let Step::Repeat(repeat) = step {
                    flatten(&repeat.steps, into);
                }
            }
        }
        let mut all = Vec::new();
        flatten(&self.steps, &mut all);
        all
    }
}

impl Step {
    fn capabilities(&self, all: &mut BTreeSet<Capability>) {
        match self {
            Step::Load(load) => load.capabilities(all),
            Step::Compare(compare) => match compare.route {
                // On host memory the tensors travel by file; on a device by IPC. The engine adds
                // the one that the run's device implies.
                Route::Auto => {}
                Route::Ipc => {
                    all.insert(Capability::Export);
                }
                Route::File => {
                    all.insert(Capability::Read);
                }
            },
            Step::Poke(_) => all.extend([Capability::Export, Capability::Read]),
            Step::Tamper(step) => {
                all.insert(Capability::Export);
                all.extend(step.prompt.map(|_| Capability::Generate));
            }
            Step::Flips(flips) => {
                all.insert(Capability::FormatSafetensors);
                all.insert(match flips.sealed {
                    true => Capability::Sealed,
                    false => Capability::Digest,
                });
            }
            Step::Device(device) if device.profile.is_some() => {
                all.insert(Capability::Preflight);
            }
            Step::Device(_) => {}
            Step::Synchronize(_) => {
                all.insert(Capability::Synchronize);
            }
            Step::Stream(_) => {
                all.insert(Capability::Stream);
            }
            Step::Multiply(_) => {
                all.insert(Capability::Multiply);
            }
            Step::Stat(_) => {
                all.insert(Capability::Stat);
            }
            Step::Grown(step) => {
                all.extend(step.plan_of.as_ref().map(|_| Capability::Plan));
            }
            Step::Unload(_)
            | Step::Mark(_)
            | Step::MarkPeak(_)
            | Step::Peak(_)
            | Step::Repeat(_)
            | Step::Ballast(_)
            | Step::Release(_)
            | Step::Write(_)
            | Step::Remove(_)
            | Step::Gone(_)
            | Step::Odd(_)
            | Step::Command(_)
            | Step::Name(_)
            | Step::Sources(_) => {}
            // What the models give says whether they are embedded or run forward.
            Step::Embed(step) => {
                if step.texts {
                    all.insert(Capability::Text);
                }
                if step.trace {
                    all.insert(Capability::Trace);
                }
            }
            Step::Misfit(step) if step.input == Wrong::NoText => {
                all.insert(Capability::Text);
            }
            Step::Misfit(_) | Step::Relate(_) => {}
            Step::Validate(step) => {
                if step.timed {
                    all.insert(Capability::Times);
                }
                all.insert(Capability::Validate);
            }
            Step::Pace(_) | Step::Alike(_) => {
                all.insert(Capability::Generate);
            }
            Step::Cli(_) => {}
            Step::Agree(step) => {
                all.insert(Capability::Generate);
                if matches!(step.prompt, PromptSource::Chat(_) | PromptSource::Talk(_)) {
                    all.insert(Capability::Chat);
                }
            }
            Step::Drift(_) => {}
            Step::Generate(step) => {
                all.insert(Capability::Generate);
                if matches!(step.prompt, PromptSource::Chat(_) | PromptSource::Talk(_)) {
                    all.insert(Capability::Chat);
                }
            }
            Step::Real(_) => all.extend([
                Capability::FormatSafetensors,
                Capability::Embed,
                Capability::Text,
                Capability::Digest,
            ]),
            Step::WholeSet(_) => all.extend([
                Capability::FormatSafetensors,
                Capability::Embed,
                Capability::Digest,
                Capability::Sharded,
                Capability::DtypeF16,
                Capability::DtypeBf16,
                Capability::DtypeF32,
            ]),
        }
    }
}

impl step::Load {
    fn capabilities(&self, all: &mut BTreeSet<Capability>) {
        if self.keep == crate::contract::request::Keep::F32 {
            all.insert(Capability::Widen);
        }
        if !self.shares_ms.is_empty() {
            all.insert(Capability::Times);
        }
        if self.seal.is_some() {
            all.insert(Capability::Sealed);
        }
        if self.sha256 != step::Pin::None {
            all.insert(Capability::Digest);
        }
        match &self.expect {
            LoadOutcome::Loaded(checks) => all.extend(checks.iter().filter_map(|check| {
                Some(match check {
                    LoadCheck::Sha256 => Capability::Digest,
                    LoadCheck::Metadata => Capability::Metadata,
                    LoadCheck::Gates => Capability::Gates,
                    LoadCheck::Plan | LoadCheck::Whole => Capability::Plan,
                    LoadCheck::Streamed => Capability::Streaming,
                    LoadCheck::Unused => Capability::Unused,
                    LoadCheck::Times => Capability::Times,
                    LoadCheck::Device
                    | LoadCheck::Table
                    | LoadCheck::Held
                    | LoadCheck::Transfer => {
                        return None;
                    }
                })
            })),
            LoadOutcome::Refused(refusal) => {
                if refusal.concerns_gates() {
                    all.insert(Capability::Gates);
                }
            }
            LoadOutcome::OneOf(_) => {
                all.insert(Capability::Digest);
            }
        }
    }
}
