//! Steps that look back on a whole run. Their cases are tried when all others are decided.

use serde::Deserialize;

/// Compares the files of the loader's program with what they were when the run began.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SameProgram {}

/// Compares the time that the run has waited for the loader with its budget.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithinBudget {}
