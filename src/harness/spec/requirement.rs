//! What must hold: a requirement, its section, and the words that both are written in.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::place::Place;

/// A text that requirements are taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Short name, as [`Source::document`] gives it.
    pub id: String,
    /// What the text is about.
    pub title: String,
    /// Which version of it was read.
    pub version: String,
}

/// A group of requirements that is scored together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// `I` to `X` on the checklist, a word elsewhere.
    pub id: String,
    /// Which larger group it belongs to.
    pub family: Family,
    /// Heading for reports.
    pub title: String,
    /// Folder of its cases under `conformance/`; two sections may share one.
    pub folder: String,
    /// Sum of the points of its requirements.
    pub points: u32,
    /// Where it is written.
    #[serde(skip)]
    pub at: Place,
}

/// The larger groups of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// The hundred points.
    Checklist,
    /// Loading a set of models ahead of use.
    Warm,
    /// What may be admitted, and what must not pass in silence.
    Gates,
    /// What the loaded model computes.
    Inference,
}

impl Family {
    /// The word used in data and reports.
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
    /// Unique name, for ever: a requirement that changes its meaning gets a new one.
    pub id: String,
    /// Who named it.
    pub id_is: Origin,
    /// Id of its section.
    pub section: String,
    /// Points of the score; 0 outside the checklist.
    pub points: u32,
    /// What a breach means.
    pub severity: Severity,
    /// What must hold, in one sentence.
    pub sentence: String,
    /// Where it was taken from.
    pub source: Source,
    /// What must be there for it to be tried at all.
    pub needs: BTreeSet<Need>,
    /// What counts for or against it.
    pub evidence: Evidence,
    /// Limits that cases compare with, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thresholds: BTreeMap<String, Threshold>,
    /// What it leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemptions: Vec<String>,
    /// Ids of the resolutions that shaped it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolutions: Vec<String>,
    /// Anything a reader should know besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where it is written.
    #[serde(skip)]
    pub at: Place,
}

impl Requirement {
    /// Whether it can be tried only where a GPU is present.
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
    /// This project, where the document has none.
    Ours,
}

/// What a breach means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The loader is refuted.
    Fail,
    /// The report warns; the point is lost, the certificate is not.
    Warning,
}

impl Severity {
    /// The word used in data and reports.
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

/// What must be there for a requirement to be tried.
///
/// A requirement without needs can be tried on any machine, with any loader that speaks the
/// contract: those make up the `host` profile.
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
    /// A program with commands for people, besides the adapter.
    Cli,
}

impl Need {
    /// The word used in data and reports.
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

/// What counts for or against a requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Whose word the verdict rests on.
    pub basis: Basis,
    /// What is looked at, from outside the loader.
    pub what: String,
}

/// Whose word a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The harness saw it.
    Observed,
    /// The loader said it.
    Declared,
    /// The loader said it and what the harness saw agrees, without proving it.
    Both,
}

impl Basis {
    /// The word used in data and reports.
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
    /// On which side of the value a measurement must lie.
    pub bound: Bound,
    /// The limit.
    pub value: f64,
    /// Unit of the value and of the measurement; empty for a pure number.
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

/// A side of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Strictly more.
    Above,
    /// As much or more.
    AtLeast,
    /// Just this.
    Exactly,
    /// As much or less.
    AtMost,
    /// Strictly less.
    Below,
}

impl Bound {
    /// The words used in texts for people.
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
