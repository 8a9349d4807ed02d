//! What of a suite the classes follow from, as a record carries it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The classes of a suite, and what each of its cases relies on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Every class, in the suite's order.
    pub classes: Vec<ClassRow>,
    /// The ids of all cases, by what they rely on: names of capabilities, separated by spaces; `device` and
    /// `bytes` stand for those that the device of a run decides, `on.gpu` and `on.host` for the runs that a
    /// case is limited to, `toolchain` and `program` for what a manifest names.
    pub relies: BTreeMap<String, Vec<String>>,
    /// The ids of the cases that are policy.
    pub policy: Vec<String>,
}

/// A class, as the suite of the run has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassRow {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Capabilities that must be declared, on any device.
    pub core: Vec<String>,
    /// Further ones in host memory; without them the class is not weighed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Vec<String>>,
    /// Further ones on a GPU; without them the class is not weighed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Vec<String>>,
    /// At least one of these must be declared, and each declared one counts as core.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// A case belongs to the class only if it relies on one of these; empty: any case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<String>,
    /// Capabilities that may be declared, and must hold whole then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Whether the class has all cases of its requirements, policy included.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Ids of its core requirements.
    pub requirements: Vec<String>,
}

impl Table {
    /// The class of this name.
    pub fn class(&self, name: &str) -> Option<&ClassRow> {
        self.classes.iter().find(|class| class.name == name)
    }

    /// Every case, with what it relies on.
    pub fn cases(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.relies.iter().flat_map(|(words, ids)| {
            let words: Vec<&str> = words.split_whitespace().collect();
            ids.iter().map(move |id| (id.as_str(), words.clone()))
        })
    }

    /// Whether a case is policy.
    pub fn is_policy(&self, case: &str) -> bool {
        self.policy.iter().any(|one| one == case)
    }
}
