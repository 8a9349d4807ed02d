//! The rows of a table of cases: each spells the same facts in another way.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::harness::model::Architecture;
use crate::harness::model::spelling::Spelled;

/// A row: how the model `main` of the case is spelled.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// One sentence: what is tried.
    pub tries: String,
    /// The architecture of the random model, where it is not that of the table.
    #[serde(default)]
    pub random: Option<Architecture>,
    /// The spelling.
    #[serde(default)]
    pub spelled: Spelled,
    /// Words of which a refusal must name one.
    #[serde(default)]
    pub names: Vec<String>,
    /// Mutants that the row is there to kill; those of the table unless told.
    #[serde(default)]
    pub kills: BTreeSet<String>,
    /// Why the row alone is our own policy, as a case may say of itself.
    #[serde(default)]
    pub policy: Option<String>,
}
