//! Cases as data: what is tried, with which files, in which steps, and with which expected result.
//!
//! A case file under `conformance/` is a YAML list of [`Case`]. `conformance/readme.yaml` shows every key with
//! a comment, and it runs. The capabilities that a case asks for are *derived* from its steps
//! ([`Case::capabilities`], in `needs.rs`), so that no case can forget one.

pub mod alone;
pub mod beside;
pub mod cheat;
pub mod cli;
pub mod closing;
pub mod damage;
mod default_names;
pub mod divide;
pub mod edits;
mod expand;
pub mod expect;
pub mod exported;
pub mod flips;
pub mod formats;
pub mod forward;
pub mod full_size;
pub mod generate;
pub mod leave;
pub mod memory;
pub mod model;
mod needs;
pub mod read;
pub mod recipe;
pub mod relies;
pub mod seal;
pub mod shards;
pub mod step;
pub mod stored;
pub mod synchronize;
pub mod table;
pub mod toolchain;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use self::model::ModelSource;
use self::recipe::Recipe;
use self::step::Step;
use self::table::Row;

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
    /// Why the case is our own policy although its requirement is none: no format and no capability demands
    /// it.
    #[serde(default)]
    pub policy: Option<String>,
    /// Files that the harness writes before the first step, by the name that steps use.
    #[serde(default)]
    pub files: BTreeMap<String, Recipe>,
    /// Models that the harness makes before the first step, by the name that steps use for their
    /// weight files.
    #[serde(default)]
    pub models: BTreeMap<String, ModelSource>,
    /// Rows of a table, by name: the case stands for one case each, whose names end in the rows'.
    #[serde(default)]
    pub rows: BTreeMap<String, Row>,
    /// What is done, in order. The first step that does not hold decides.
    pub steps: Vec<Step>,
    /// Mutants that this case is there to kill.
    #[serde(default)]
    pub kills: BTreeSet<String>,
    /// What the loader's process sees.
    #[serde(default)]
    pub environment: Environment,
    /// Runs while nothing else does: its evidence is a time or a race, or memory that others would
    /// disturb.
    #[serde(default)]
    pub alone: bool,
    /// Gets a process of its own, started for it.
    #[serde(default)]
    pub fresh_process: bool,
    /// By how many MiB the host memory of the loader's process may grow during one request.
    #[serde(default)]
    pub memory_mib: Option<u64>,
    /// Its files lie under names that people give, in a folder that the loader was told nothing of.
    #[serde(default)]
    pub elsewhere: bool,
    /// Runs in every part of a divided plan: it is quick, needs no particular device, and must come out the
    /// same on every machine.
    #[serde(default)]
    pub canary: bool,
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
    /// At least two CUDA devices.
    Cards,
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
    /// Every CUDA device hidden but the first.
    OneCard,
    /// All CUDA devices in the opposite order.
    CardsReversed,
}

impl Case {
    /// `REQUIREMENT::name`, the case's id everywhere.
    pub fn id(&self) -> String {
        format!("{}::{}", self.requirement, self.name)
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

    /// The first step that other cases would disturb, or that would disturb them: it has a limit on
    /// time or rate, races with the loader for a file, looks at the load of the whole card, or fills
    /// the card. A case with such a step
    /// must be [`alone`](Self::alone). The memory of a process is measured by its id, so others do not
    /// disturb it.
    pub fn must_be_alone(&self) -> Option<&'static str> {
        self.flat_steps().into_iter().find_map(|step| match step {
            Step::Load(load) if load.within_ms.is_some() => Some("load: within_ms"),
            Step::Load(load) if load.meanwhile.is_some() => Some("load: meanwhile"),
            Step::Load(load) if load.least_gbps.is_some() => Some("load: least_gbps"),
            Step::Load(load) if !load.shares_ms.is_empty() => Some("load: shares_ms"),
            Step::Validate(validate) if validate.within_ms.is_some() => Some("validate: within_ms"),
            Step::Stream(stream)
                if stream.least_gbps.is_some() || stream.least_of_pageable.is_some() =>
            {
                Some("stream: a least rate")
            }
            Step::WholeSet(set) if set.within_s.is_some() || set.mean_within_s.is_some() => {
                Some("whole_set: a limit on time")
            }
            Step::Throughput(_) => Some("throughput"),
            Step::Ballast(_) => Some("ballast"),
            Step::LoadBeside(_) => Some("load_beside"),
            _ => None,
        })
    }

    /// Whether a step looks for the processes of ranks. A process that served other cases may have some from
    /// before.
    pub fn loses_a_rank(&self) -> bool {
        let loses = |step: &&Step| matches!(step, Step::Divide(step) if step.lose.is_some());
        self.flat_steps().iter().any(loses)
    }

    /// Whether a step changes a weight file in place. Then no file may be a link to one of the user's.
    pub fn rewrites_files(&self) -> bool {
        self.flat_steps().into_iter().any(|step| match step {
            Step::Load(load) => load.meanwhile.is_some(),
            Step::Flips(_) | Step::Write(_) => true,
            _ => false,
        })
    }
}
