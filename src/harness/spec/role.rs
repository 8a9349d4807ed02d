//! Roles of tensors whose values look like damage and are normal.

use serde::{Deserialize, Serialize};

use super::place::Place;

/// A role, and what the data-quality gates make of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Its name.
    pub role: String,
    /// The tensors that have it, by name and shape.
    pub tensors: String,
    /// What passes the gates in such a tensor.
    pub normal: String,
    /// The damage that is still refused.
    pub refused: String,
    /// Why the values are normal, and who publishes them.
    pub reason: String,
    /// The case of PUBLISHED-GATES that must pass.
    pub case: String,
    /// The case of PUBLISHED-GATES with the damage next to it.
    pub near: String,
    /// Its place in the spec's files.
    #[serde(skip)]
    pub at: Place,
}
