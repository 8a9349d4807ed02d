//! The contract gate of every command that acts on a model. The load itself checks names, shapes,
//! element types, data quality and the configuration against the weights, before anything is
//! computed. This module has the option that skips the gate, and the exit code of a refusal.

use clap::Args;

use super::{CommandError, exit};
use crate::contract::{Code, Failure};
use crate::loader::error::{LoadError, emb};

/// How a command treats the contract gate.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Gate {
    /// Load weights also if they break the data-quality gates. The output says so.
    #[arg(long)]
    pub skip_contract: bool,
}

impl Gate {
    /// Whether the load must refuse weights that break a data-quality gate.
    pub fn admits(self) -> bool {
        !self.skip_contract
    }

    /// What outputs and reports say of the gate.
    pub fn word(self) -> &'static str {
        if self.skip_contract { "skipped" } else { "checked" }
    }

    /// A warning for people, if the gate is skipped.
    pub fn warning(self) -> Option<&'static str> {
        self.skip_contract.then_some("warning: the contract gate is skipped (--skip-contract)")
    }
}

/// Whether a refusal is the contract gate's: the model is there and readable, and breaks its
/// contract.
pub fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::GateFailed
            | Code::IncompleteModel
            | Code::ShapeMismatch
            | Code::InvalidConfig
            | Code::UnknownArchitecture
    ) || code.family() == Some(Code::GateFailed)
}

/// The error of a command that acts on a model, from the error of the load.
pub fn stop(error: &LoadError) -> CommandError {
    CommandError::new(exit_code(error.code()), error).of(error.failure().clone())
}

/// The same for a failure that the command itself found.
pub fn refusal(failure: Failure) -> CommandError {
    let (number, name) = emb(failure.code);
    let message = format!("[EMB-E{number:03}] {name}: {failure}");
    CommandError::new(exit_code(failure.code), message).of(failure)
}

fn exit_code(code: Code) -> u8 {
    match code {
        code if is_refusal(code) => exit::GATE_REFUSED,
        Code::InvalidRegistry | Code::InvalidRequest => exit::USAGE,
        _ => exit::NOT_WARM,
    }
}
