//! The run record: everything that a run observed.
//!
//! A [`Record`] is the only source of the reports (JSON, JUnit, Markdown, terminal). Requirement
//! verdicts and the score are derived from it ([`Record::judge`]) and are not part of it, so that a
//! reader can derive them again.

pub mod case;
pub mod certificate;
pub mod check;
pub mod class;
pub mod commitment;
pub mod excuse;
pub mod health;
pub mod join;
pub mod journal;
pub mod judge;
pub mod known;
pub mod merge;
pub mod parts;
pub mod plan;
pub mod plan_part;
pub mod relation;
#[cfg(test)]
pub(crate) mod sample;
pub mod seed;
pub mod store;
pub mod values;
pub mod verdict;
pub mod verify;
pub mod whole;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

pub use self::case::{CaseRecord, NO_OBJECT, OVER, StepRecord};
pub use self::check::{Basis, Check, Digits};
pub use self::class::Table;
pub use self::commitment::Commitment;
pub use self::health::Health;
pub use self::merge::{MergeError, merge};
pub use self::plan_part::PlanPart;
pub use self::relation::Relation;
pub use self::store::{ReadError, Report, Stored};
pub use self::values::Values;
pub use self::verdict::Verdict;
pub use self::verify::Mismatch;
pub use self::whole::{WriteError, write_whole};

/// Name and version of the record's format. A reader refuses any but this and [`EARLIER_FORMAT`].
pub const FORMAT: &str = "weighbridge.record/2";

/// The format before checks carried their relation. Of such a record nobody can derive whether a check held.
pub const EARLIER_FORMAT: &str = "weighbridge.record/1";

/// How the reason of a case begins that a run has given up on before it was tried.
pub const NOT_TRIED: &str = "not tried: ";

/// The record of one run, or of several merged runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`FORMAT`].
    pub format: String,
    /// What was tested, with which suite.
    pub subject: Subject,
    /// One entry for each run; more than one after a merge.
    pub parts: Vec<Part>,
    /// Every requirement of the spec, once, in the spec's order, as the spec of this run has it.
    pub requirements: Vec<RequirementRow>,
    /// Every case that was scheduled, once.
    pub cases: Vec<CaseRecord>,
    /// The suite's classes, and what its cases rely on; `None` if an earlier version wrote the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Table>,
}

/// What was tested, with which suite. Records can be merged only if all fields are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The loader's name, from its answer to `hello`.
    pub loader: String,
    /// The loader's version, from its answer to `hello`.
    pub loader_version: String,
    /// Version of this suite.
    pub suite: String,
    /// Commit that the binary was built from, with `-dirty` if the working tree had changes.
    pub commit: String,
    /// SHA-256 of the harness's binary.
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
    /// Seed of all random numbers of the run, as 16 hex digits; [`SEALED`](commitment::SEALED) if the run was
    /// killed before it told it.
    pub seed: String,
    /// What the run said of its seed before its first case; `None` where the seed was given to it, and if an
    /// earlier version wrote the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<Commitment>,
    /// Whether the seed was given to the run, so that its loader could have known it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seed_given: bool,
    /// Device that the weights were loaded to: `cpu` or `cuda:N`.
    pub device: String,
    /// The selection of cases as it was typed; `None` if the whole profile was scheduled.
    pub selection: Option<String>,
    /// The machine.
    pub machine: Machine,
    /// Which inputs were synthetic, such as generated weights, one sentence each.
    pub synthetic: Vec<String>,
    /// The loader's declaration for each capability: `yes`, or why it is not supported.
    pub capabilities: BTreeMap<String, String>,
    /// The loader's command line.
    pub command: Vec<String>,
    /// Environment variables that were set for the loader, besides those it inherits.
    pub environment: BTreeMap<String, String>,
    /// Number of loader processes that were started.
    pub processes: u64,
    /// Worker processes at a time; 0 if an earlier version wrote the record.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub jobs: u64,
    /// Time that workers waited for free memory, all workers together, in microseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_us: u64,
    /// Measurements that decide no verdict, by name with unit, such as copy rates in GB/s. Values
    /// that are not finite are left out of files.
    #[serde(serialize_with = "finite_only")]
    pub measured: BTreeMap<String, f64>,
    /// The plan that the run is a part of, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanPart>,
    /// Readings of the run's card; `None` on the CPU, and where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// The list of known failures that the run was given, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<known::List>,
    /// How the loader was kept apart from its judge; `None` if an earlier version wrote the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// The files of the loader's program, as they were at its first hello: the program, the files that its
    /// command names, and those that its manifest lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub program: Vec<ProgramFile>,
    /// Number of decided cases that the journal lacks, because it could not be written to its disk.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unjournalled: u64,
    /// How long the run waited for the loader's answers; `None` if an earlier version wrote the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The head of the journal's chain before the journal's line about this run; `None` if the run was killed
    /// before it could write that line, and if an earlier version wrote the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<journal::Chain>,
}

/// A file of a loader's program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramFile {
    /// Its name, as the command or the manifest has it.
    pub name: String,
    /// SHA-256 of its bytes, or why they cannot be read.
    pub sha256: String,
}

/// How long a run waited for its loader, all workers together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// How long it was to wait at most, in seconds.
    #[serde(serialize_with = "finite_or_zero")]
    pub budget: f64,
    /// How long it waited, in seconds, without the time that large files may take.
    #[serde(serialize_with = "finite_or_zero")]
    pub spent: f64,
}

/// How a loader was kept apart from its judge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Isolation {
    /// `none`, `process` or `namespaces`.
    pub level: String,
    /// Why it was no stronger; empty for namespaces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub missing: String,
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
    /// Name of the GPU, from the driver.
    pub gpu: Option<String>,
    /// UUID of the GPU that the run used, from the driver: `GPU-...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_uuid: Option<String>,
    /// Version of the GPU driver.
    pub driver: Option<String>,
    /// Why no GPU could be opened: the driver's message.
    pub gpu_error: Option<String>,
}

/// A requirement as the spec of this run has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequirementRow {
    /// The requirement's id.
    pub id: String,
    /// Key of its section.
    pub section: String,
    /// Points that it scores.
    pub points: u64,
    /// Whether a failure is only a warning.
    pub warning: bool,
    /// Whether the profile includes it.
    pub in_profile: bool,
    /// What must hold, in one sentence.
    pub sentence: String,
    /// Ids of all its cases in the suite, whether they were scheduled in this run or not.
    pub cases: Vec<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// JSON has no infinity or NaN. They would be written as `null`, and no reader could read the
/// record.
fn finite_or_zero<S: Serializer>(value: &f64, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_f64(if value.is_finite() { *value } else { 0.0 })
}

fn finite_only<S: Serializer>(values: &BTreeMap<String, f64>, out: S) -> Result<S::Ok, S::Error> {
    out.collect_map(values.iter().filter(|(_, value)| value.is_finite()))
}
