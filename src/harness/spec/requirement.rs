//! Requirements, their sections, and the closed lists of words that both use.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::place::Place;

/// A text that requirements are taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Short name, as [`Source::document`] gives it.
    pub id: String,
    /// Title of the text.
    pub title: String,
    /// The version that was read.
    pub version: String,
}

/// A group of requirements that are scored together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// `I` to `X` on the checklist, a word elsewhere.
    pub id: String,
    /// The family that it belongs to.
    pub family: Family,
    /// Heading for reports.
    pub title: String,
    /// Folder of its cases under `conformance/`. Two sections may share a folder.
    pub folder: String,
    /// Sum of the points of its requirements.
    pub points: u32,
    /// Its place in the spec's files.
    #[serde(skip)]
    pub at: Place,
}

/// A group of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// The checklist of a hundred points.
    Checklist,
    /// Loading a set of models before they are used.
    Warm,
    /// Which models a loader may admit, and which it must refuse.
    Gates,
    /// What the loaded model computes.
    Inference,
}

impl Family {
    /// The name used in the spec's files and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Family::Checklist => "checklist",
            Family::Warm => "warm",
            Family::Gates => "gates",
            Family::Inference => "inference",
        }
    }
}

/// One requirement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Unique id. It never changes its meaning: a requirement that does gets a new id.
    pub id: String,
    /// Whether a document or this project chose the id.
    pub id_is: Origin,
    /// Id of its section.
    pub section: String,
    /// Points of the score; 0 outside the checklist.
    pub points: u32,
    /// The consequence of a failure.
    pub severity: Severity,
    /// What must hold, in one sentence.
    pub sentence: String,
    /// Where it was taken from.
    pub source: Source,
    /// What must be available to try it.
    pub needs: BTreeSet<Need>,
    /// What its verdict is based on.
    pub evidence: Evidence,
    /// Limits that cases compare with, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thresholds: BTreeMap<String, Threshold>,
    /// What is exempt from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemptions: Vec<String>,
    /// Ids of the resolutions that it follows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolutions: Vec<String>,
    /// Further information for a reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Its place in the spec's files.
    #[serde(skip)]
    pub at: Place,
}

impl Requirement {
    /// Whether it can be tried only with a GPU.
    pub fn needs_gpu(&self) -> bool {
        self.needs.contains(&Need::Gpu) || self.needs.contains(&Need::MultiGpu)
    }
}

/// Who chose an id or a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The source document.
    Document,
    /// This project, because the document has none.
    Ours,
}

/// The consequence of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The loader is refuted.
    Fail,
    /// The report warns. The loader loses the point but can still be certified.
    Warning,
}

impl Severity {
    /// The name used in the spec's files and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Fail => "fail",
            Severity::Warning => "warning",
        }
    }
}

/// Where a requirement was taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Id of the document.
    pub document: String,
    /// Heading, table or row in it.
    pub place: String,
}

/// What must be available to try a requirement.
///
/// A requirement without needs can be tried on any machine, with any loader that implements the
/// contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// A CUDA device.
    Gpu,
    /// More than one CUDA device.
    MultiGpu,
    /// A Rust toolchain and the loader's sources.
    Toolchain,
    /// A loader that reads a model folder: configuration and architecture beside the weights.
    ModelConfig,
    /// A loader that runs encoders and returns embeddings.
    Encoder,
    /// A loader that runs decoders and returns logits or tokens.
    Decoder,
    /// A loader that turns text into tokens.
    Tokenizer,
    /// A loader that reads GGUF or APR besides safetensors.
    SecondFormat,
    /// A command-line program for users, besides the adapter.
    Cli,
}

impl Need {
    /// The name used in the spec's files and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Need::Gpu => "gpu",
            Need::MultiGpu => "multi_gpu",
            Need::Toolchain => "toolchain",
            Need::ModelConfig => "model_config",
            Need::Encoder => "encoder",
            Need::Decoder => "decoder",
            Need::Tokenizer => "tokenizer",
            Need::SecondFormat => "second_format",
            Need::Cli => "cli",
        }
    }
}

/// What a requirement's verdict is based on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Whether the harness observes it or the loader declares it.
    pub basis: Basis,
    /// What is examined from outside the loader.
    pub what: String,
}

/// Who reports the facts that a verdict is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The harness observes them.
    Observed,
    /// The loader declares them.
    Declared,
    /// The loader declares them. What the harness observes agrees, but does not prove them.
    Both,
}

impl Basis {
    /// The name used in the spec's files and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Basis::Observed => "observed",
            Basis::Declared => "declared",
            Basis::Both => "both",
        }
    }
}

/// A limit that a measured value is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// How a measurement must relate to the value.
    pub bound: Bound,
    /// The limit.
    pub value: f64,
    /// Unit of the value and of the measurement; empty if there is none.
    pub unit: String,
}

impl Threshold {
    /// Whether a measurement in the threshold's unit satisfies it. NaN never does.
    pub fn admits(&self, measured: f64) -> bool {
        match self.bound {
            Bound::Above => measured > self.value,
            Bound::AtLeast => measured >= self.value,
            Bound::Exactly => measured == self.value,
            Bound::AtMost => measured <= self.value,
            Bound::Below => measured < self.value,
        }
    }
}

/// How a measurement must relate to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Greater than the limit.
    Above,
    /// Greater than or equal to the limit.
    AtLeast,
    /// Equal to the limit.
    Exactly,
    /// Less than or equal to the limit.
    AtMost,
    /// Less than the limit.
    Below,
}

impl Bound {
    /// The words used in reports.
    pub const fn words(self) -> &'static str {
        match self {
            Bound::Above => "above",
            Bound::AtLeast => "at least",
            Bound::Exactly => "exactly",
            Bound::AtMost => "at most",
            Bound::Below => "below",
        }
    }
}
