//! Classes of loaders: what a loader must declare to be weighed in one, and what must hold then.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::contract::Capability;

/// A class, as `spec/classes.yaml` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Name on the command line and in certificates.
    pub name: String,
    /// Version; a class that changes its meaning gets a new one.
    pub version: String,
    /// What a certificate of this class says.
    pub summary: String,
    /// Capabilities that a loader must declare, on any device.
    pub core: BTreeSet<Capability>,
    /// Further ones in host memory; without this key the class is not weighed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<BTreeSet<Capability>>,
    /// Further ones on a GPU; without this key the class is not weighed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<BTreeSet<Capability>>,
    /// At least one of these must be declared, and each declared one counts as core.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub one_of: BTreeSet<Capability>,
    /// A case belongs to the class only if it needs one of these; empty: any case.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub about: BTreeSet<Capability>,
    /// Capabilities that may be declared. One that is must hold whole.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub features: BTreeSet<Capability>,
    /// The rule that selects the core requirements.
    #[serde(default)]
    pub rule: ClassRule,
    /// Ids of the core requirements, in the order of the spec. The list repeats the rule's result, so
    /// that a change of the class shows in a diff.
    pub requirements: Vec<String>,
    /// Its place in the spec's files.
    #[serde(skip)]
    pub at: Place,
}

/// The rule that selects a class's core requirements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassRule {
    /// Those with a case that needs nothing beyond the core and is no policy.
    #[default]
    Claims,
    /// Those of one source document, policy included.
    Document(String),
    /// All, policy included.
    Everything,
}

impl ClassRule {
    /// Whether policy counts as core.
    pub fn is_whole(&self) -> bool {
        *self != ClassRule::Claims
    }
}

impl Class {
    /// The capabilities that must be declared for this kind of device; `None` where the class is not
    /// weighed there.
    pub fn core_on(&self, gpu: bool) -> Option<BTreeSet<Capability>> {
        let further = if gpu { &self.gpu } else { &self.host };
        further.as_ref().map(|further| self.core.union(further).copied().collect())
    }
}
