//! Decisions about the requirements: resolutions of conflicts, error codes, profiles, hardware
//! profiles, limits and exclusions.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::place::Place;
use super::requirement::{Need, Origin, Requirement, Source};
use crate::contract::{Code, request};

/// How a conflict between the documents is resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    /// `R1`, `R2` and so on.
    pub id: String,
    /// The statements that contradict each other.
    pub conflict: String,
    /// The rule that this project follows.
    pub choice: String,
    /// Why this rule was chosen.
    pub reason: String,
    /// The places of the contradicting statements.
    pub sources: Vec<Source>,
    /// Its place in the spec's files.
    #[serde(skip)]
    pub at: Place,
}

/// One code of the EMB-E table. Each code has exactly one meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorCode {
    /// `EMB-E` and three digits.
    pub code: String,
    /// Whether a document or this project defined the code.
    pub code_is: Origin,
    /// Name in capitals, as a program prints it after the code.
    pub name: String,
    /// Other names for the same code in the documents.
    pub aliases: Vec<String>,
    /// What happened.
    pub meaning: String,
    /// What a user can do about it.
    pub remedy: String,
    /// Failures of the loader contract that have this code.
    pub failures: Vec<Code>,
    /// Further information for a reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Its place in the spec's files.
    #[serde(skip)]
    pub at: Place,
}

/// Failures that have no EMB-E code by decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uncoded {
    /// The failures.
    pub failures: Vec<Code>,
    /// Why they have none.
    pub reason: String,
    /// Its place in the spec's files.
    #[serde(skip)]
    pub at: Place,
}

/// A named set of requirements that are certified together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name on the command line.
    pub name: String,
    /// What a certificate of this profile covers.
    pub summary: String,
    /// Whether a certificate of this profile covers loading to a GPU.
    pub gpu_certificate: bool,
    /// The rule that selects the requirements.
    pub rule: Rule,
    /// Ids of the requirements, in the order of the spec. The list repeats the rule's result, so
    /// that a change of the profile shows in a diff.
    pub requirements: Vec<String>,
    /// Its place in the spec's files.
    #[serde(skip)]
    pub at: Place,
}

/// The rule that selects a profile's requirements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Every requirement.
    Everything,
    /// Requirements whose needs are a subset of these.
    NeedsAtMost(BTreeSet<Need>),
    /// Requirements whose needs are exactly these.
    NeedsExactly(BTreeSet<Need>),
}

impl Rule {
    /// Whether the rule selects this requirement.
    pub fn takes(&self, requirement: &Requirement) -> bool {
        match self {
            Rule::Everything => true,
            Rule::NeedsAtMost(needs) => requirement.needs.is_subset(needs),
            Rule::NeedsExactly(needs) => requirement.needs == *needs,
        }
    }
}

/// A hardware profile: the minimum that a GPU must offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// Name on the command line.
    pub name: String,
    /// Why these figures were chosen.
    pub summary: String,
    /// Minimum compute capability, as (major, minor).
    pub compute_capability: (u32, u32),
    /// Minimum total device memory.
    pub vram: Vram,
    /// Its place in the spec's files.
    #[serde(skip)]
    pub at: Place,
}

/// How much device memory a hardware profile requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vram {
    /// As much as the models to be loaded need.
    ModelSet,
    /// This many bytes.
    Bytes(u64),
}

impl Hardware {
    /// The profile as a request to a loader has it.
    ///
    /// `model_set_bytes` is the memory that the models to be loaded need, in bytes. It is used only
    /// if the profile's memory is [`Vram::ModelSet`].
    pub fn request(&self, model_set_bytes: u64) -> request::HardwareProfile {
        request::HardwareProfile {
            name: self.name.clone(),
            compute_capability: self.compute_capability,
            vram_bytes: match self.vram {
                Vram::ModelSet => model_set_bytes,
                Vram::Bytes(bytes) => bytes,
            },
        }
    }
}

/// Something that a certificate does not promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// `L1`, `L2` and so on.
    pub id: String,
    /// What is not promised.
    pub statement: String,
    /// Why it is not promised.
    pub reason: String,
    /// Ids of the requirements that it weakens; empty if it concerns all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<String>,
    /// Its place in the spec's files.
    #[serde(skip)]
    pub at: Place,
}

/// A rule of the documents that is not a requirement here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excluded {
    /// `X1`, `X2` and so on.
    pub id: String,
    /// What the document requires.
    pub rule: String,
    /// Where the document requires it.
    pub source: Source,
    /// Why it is left out.
    pub reason: String,
    /// Its place in the spec's files.
    #[serde(skip)]
    pub at: Place,
}

#[cfg(test)]
mod tests {
    use crate::harness::spec::Spec;

    #[test]
    fn hardware_profiles_become_requests() {
        let spec = Spec::embedded().unwrap();
        let default = spec.hardware("default").unwrap().request(7);
        assert_eq!((default.compute_capability, default.vram_bytes), ((8, 0), 7));
        let rtx5090 = spec.hardware("rtx5090").unwrap().request(7);
        assert_eq!(rtx5090.compute_capability, (12, 0));
        // The driver of an RTX 5090 reports 32,607 MiB.
        assert!((32_000_000_000..=32_607 << 20).contains(&rtx5090.vram_bytes));
    }
}
