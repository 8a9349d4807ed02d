//! What was decided about the requirements: resolutions of conflicts, error codes, profiles,
//! hardware, and what lies outside.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::place::Place;
use super::requirement::{Need, Origin, Requirement, Source};
use crate::contract::{Code, request};

/// How a conflict between the documents was settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    /// `R1`, `R2` and so on.
    pub id: String,
    /// What contradicts what.
    pub conflict: String,
    /// What holds here.
    pub choice: String,
    /// Why.
    pub reason: String,
    /// The places that contradict each other.
    pub sources: Vec<Source>,
    /// Where it is written.
    #[serde(skip)]
    pub at: Place,
}

/// One code of the EMB-E table, with its one meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorCode {
    /// `EMB-E` and three digits.
    pub code: String,
    /// Who gave the number its meaning.
    pub code_is: Origin,
    /// Name in capitals, as a program prints it behind the code.
    pub name: String,
    /// Other names that the documents give the same thing.
    pub aliases: Vec<String>,
    /// What has happened.
    pub meaning: String,
    /// What a person does about it.
    pub remedy: String,
    /// Failures of the loader contract that carry this code.
    pub failures: Vec<Code>,
    /// Anything a reader should know besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where it is written.
    #[serde(skip)]
    pub at: Place,
}

/// Failures that have no EMB-E code, on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uncoded {
    /// The failures.
    pub failures: Vec<Code>,
    /// Why they have none.
    pub reason: String,
    /// Where it is written.
    #[serde(skip)]
    pub at: Place,
}

/// Requirements that are certified together, under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name on the command line.
    pub name: String,
    /// What a certificate of this profile speaks for.
    pub summary: String,
    /// Whether a certificate of this profile speaks for a GPU.
    pub gpu_certificate: bool,
    /// The rule that the list was made by.
    pub rule: Rule,
    /// The requirements, in the order of the spec. Written out so that a change shows in a diff.
    pub requirements: Vec<String>,
    /// Where it is written.
    #[serde(skip)]
    pub at: Place,
}

/// The rule that a profile's list is made by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Every requirement.
    Everything,
    /// Those that need nothing but what is among these.
    NeedsAtMost(BTreeSet<Need>),
    /// Those that need exactly these.
    NeedsExactly(BTreeSet<Need>),
}

impl Rule {
    /// Whether the rule takes this requirement in.
    pub fn takes(&self, requirement: &Requirement) -> bool {
        match self {
            Rule::Everything => true,
            Rule::NeedsAtMost(needs) => requirement.needs.is_subset(needs),
            Rule::NeedsExactly(needs) => requirement.needs == *needs,
        }
    }
}

/// The least that a card must offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// Name on the command line.
    pub name: String,
    /// Why these figures.
    pub summary: String,
    /// Least compute capability, as (major, minor).
    pub compute_capability: (u32, u32),
    /// Least total device memory.
    pub vram: Vram,
    /// Where it is written.
    #[serde(skip)]
    pub at: Place,
}

/// How much device memory is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vram {
    /// What the models to be loaded need.
    ModelSet,
    /// This many bytes.
    Bytes(u64),
}

impl Hardware {
    /// The profile as a loader is asked about it.
    ///
    /// `model_set_bytes` is what the models to be loaded need, in bytes; it counts only where the
    /// profile asks for that.
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
    /// Why it cannot be, or is not.
    pub reason: String,
    /// Requirements that it weakens; empty where it concerns all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<String>,
    /// Where it is written.
    #[serde(skip)]
    pub at: Place,
}

/// A rule of the documents that is no requirement here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excluded {
    /// `X1`, `X2` and so on.
    pub id: String,
    /// What the document asks.
    pub rule: String,
    /// Where it asks that.
    pub source: Source,
    /// Why it is left out.
    pub reason: String,
    /// Where it is written.
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
        // What the driver of such a card reports: 32,607 MiB.
        assert!((32_000_000_000..=32_607 << 20).contains(&rtx5090.vram_bytes));
    }
}
