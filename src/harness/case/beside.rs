//! Steps about a second process of the loader, which loads while the first one answers.

use serde::Deserialize;

/// Asks a second process of the loader for a load and stops it in the middle. The process is started by the first such
/// step of a case; a later one unloads what it holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadBeside {
    /// Which file.
    #[serde(default = "super::default_names::main_file")]
    pub file: String,
    /// Whether it is to the next card instead of the run's. For cases that need several.
    #[serde(default)]
    pub next_card: bool,
}

/// Lets the load of the second process go on to its end, and compares every byte that it holds. Where no load is under
/// way, it compares again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareBeside {}
