//! The run record: everything a run observed, from which every verdict and number is derived.
//!
//! Reports (JSON, JUnit, Markdown, terminal) are written from a [`Record`] and from nothing else.
//! A requirement's verdict and the score are *derived* ([`Record::judge`]), never stored as input,
//! so that a reader can derive them again.

pub mod case;
pub mod journal;
pub mod judge;
pub mod merge;
#[cfg(test)]
pub(crate) mod sample;
pub mod store;
pub mod verdict;
pub mod verify;
pub mod whole;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

pub use self::case::{Basis, CaseRecord, Check, StepRecord};
pub use self::merge::{MergeError, merge};
pub use self::store::{ReadError, Report, Stored};
pub use self::verdict::Verdict;
pub use self::verify::Mismatch;
pub use self::whole::{WriteError, write_whole};

/// The record's format; a reader refuses others.
pub const FORMAT: &str = "weighbridge.record/1";

/// One run, or several merged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`FORMAT`].
    pub format: String,
    /// What was weighed against what.
    pub subject: Subject,
    /// One entry a run; more than one after a merge.
    pub parts: Vec<Part>,
    /// Every requirement of the spec, once, in the spec's order, as it stood in this run.
    pub requirements: Vec<RequirementRow>,
    /// Every case that was scheduled, once.
    pub cases: Vec<CaseRecord>,
}

/// What a record is about. Records merge only where all of it is equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The loader's name, by its own hello.
    pub loader: String,
    /// Its version.
    pub loader_version: String,
    /// Version of this suite.
    pub suite: String,
    /// Commit that the binary was built from, with `-dirty` where the tree had changes.
    pub commit: String,
    /// SHA-256 of the running binary.
    pub binary: String,
    /// SHA-256 over spec/.
    pub spec: String,
    /// SHA-256 over conformance/.
    pub cases: String,
    /// SHA-256 over the embedded fixtures.
    pub fixtures: String,
    /// The profile's name.
    pub profile: String,
}

/// One run on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// How long it took, in seconds.
    #[serde(serialize_with = "finite_or_zero")]
    pub seconds: f64,
    /// Seed of everything random, as 16 hex digits.
    pub seed: String,
    /// Where the weights went: `cpu` or `cuda:N`.
    pub device: String,
    /// Why only some of the profile was scheduled, if so: the selection as it was typed.
    pub selection: Option<String>,
    /// The machine.
    pub machine: Machine,
    /// What was not real, in words.
    pub synthetic: Vec<String>,
    /// What the loader declared of each capability: `yes`, or why not.
    pub capabilities: BTreeMap<String, String>,
    /// The loader's command line.
    pub command: Vec<String>,
    /// The environment that the loader got, beyond what it inherited.
    pub environment: BTreeMap<String, String>,
    /// How often the loader had to be started.
    pub processes: u64,
    /// Measurements of the run that are no verdict: copy limits in GB/s, a load's rate. One that
    /// is no finite number is left out of files.
    #[serde(serialize_with = "finite_only")]
    pub measured: BTreeMap<String, f64>,
}

/// The machine of a part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Operating system and kernel.
    pub system: String,
    /// Processor.
    pub processor: String,
    /// Logical cores.
    pub cores: u64,
    /// Host memory, in bytes.
    pub memory_bytes: u64,
    /// GPU, as the driver names it.
    pub gpu: Option<String>,
    /// GPU driver.
    pub driver: Option<String>,
    /// Why there is no GPU, in the driver's own words.
    pub gpu_error: Option<String>,
}

/// A requirement as the spec of this run had it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequirementRow {
    /// Its id.
    pub id: String,
    /// Its section's key.
    pub section: String,
    /// Points that it scores.
    pub points: u64,
    /// Whether failing it is a warning only.
    pub warning: bool,
    /// Whether the profile asks for it.
    pub in_profile: bool,
    /// One sentence.
    pub sentence: String,
    /// Ids of all its cases in the suite, scheduled here or not.
    pub cases: Vec<String>,
}

/// JSON has no infinity: one would be written as `null`, and the whole record lost to its readers.
fn finite_or_zero<S: Serializer>(value: &f64, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_f64(if value.is_finite() { *value } else { 0.0 })
}

fn finite_only<S: Serializer>(values: &BTreeMap<String, f64>, out: S) -> Result<S::Ok, S::Error> {
    out.collect_map(values.iter().filter(|(_, value)| value.is_finite()))
}
