//! What a report says of a class: whether it is earned, and by what it is missed.

use serde::{Deserialize, Serialize};

/// What became of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassOutcome {
    /// The class's name.
    pub name: String,
    /// The class's version.
    pub version: String,
    /// Whether it is earned.
    pub outcome: Standing,
    /// Requirements that had to hold: those of the core and of the declared features.
    pub requirements: u64,
    /// How many of them hold.
    pub held: u64,
    /// Ids of those that are refuted.
    pub short: Vec<String>,
    /// Those that are undecided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Open>,
    /// The declared features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<FeatureOutcome>,
    /// Features that the loader does not claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_claimed: Vec<String>,
    /// What of the core the loader does not declare.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// Policy beside the class; absent where the class has none apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyCount>,
    /// What to do about an untested class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Whether a class is earned. The order is from nearest to farthest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Every requirement of the core and of each declared feature holds.
    Earned,
    /// At least one of them is refuted.
    Missed,
    /// None is refuted, and at least one is undecided.
    Untested,
    /// The loader does not declare the core.
    NotClaimed,
}

/// An undecided requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Its id.
    pub requirement: String,
    /// Which case is undecided, and why.
    pub because: String,
}

/// What became of a declared feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureOutcome {
    /// The capability's name.
    pub name: String,
    /// Requirements with a case that relies on it.
    pub requirements: u64,
    /// Ids of those that are refuted by such a case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub short: Vec<String>,
}

/// Policy beside a class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyCount {
    /// Requirements with a case of policy.
    pub requirements: u64,
    /// How many of them hold.
    pub held: u64,
    /// Ids of those that do not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub short: Vec<String>,
    /// Ids of the class's requirements with a refusal in other words than were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_other_words: Vec<String>,
}
