//! Steps that run the loader's command-line programs.

use serde::{Deserialize, Serialize};

/// Runs a program on a model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cli {
    /// Which program of the manifest.
    pub command: Program,
    /// On which model.
    #[serde(default = "super::default_names::main_file")]
    pub model: String,
    /// What is said to it: the prompt, or a line of input a turn.
    #[serde(default)]
    pub say: Vec<String>,
    /// Whether the GPU is asked for; as the run's device has it unless told.
    #[serde(default)]
    pub gpu: Option<bool>,
    /// Whether it is asked to be verbose.
    #[serde(default)]
    pub verbose: bool,
    /// Whether the contract gate is lifted.
    #[serde(default)]
    pub skip_contract: bool,
    /// Exit codes that are right.
    #[serde(default = "zero")]
    pub exits: Vec<i32>,
    /// Whether nothing may stand on its standard output.
    #[serde(default)]
    pub silent: bool,
    /// What must stand on its standard output.
    #[serde(default)]
    pub contains: Vec<String>,
    /// What must stand on its output or its standard error, in capitals or not.
    #[serde(default)]
    pub says: Vec<String>,
    /// Whether NVML must list the process on the card, or must not.
    #[serde(default)]
    pub on_gpu: Option<bool>,
}

fn zero() -> Vec<i32> {
    vec![0]
}

/// A program that a manifest may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// Answers one prompt.
    Run,
    /// Answers line by line.
    Chat,
    /// Runs the gates and tells of each.
    Validate,
    /// Shows what a model's files hold.
    Inspect,
}
