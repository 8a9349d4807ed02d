//! Lets a test binary run as the loader that it tests: it starts itself again as the child process.

use std::process::ExitCode;

use super::command_error::CommandError;
use super::program;
use super::serve::{Mutant, mutant, reference};
use crate::harness::cell;
use crate::harness::model::apart;

/// The commands for people that cases start. Each takes a model.
const COMMANDS: [&str; 4] = ["run", "chat", "validate", "inspect"];

/// Runs as a child process if the arguments say so. A test binary for the bundled loaders is also
/// the program that they run in, and it has their commands.
///
/// Returns `None` if this process is the one that tests.
pub fn as_child() -> Option<ExitCode> {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == cell::COMMAND || word == apart::COMMAND)
    {
        return Some(program::main());
    }
    let mut arguments = std::env::args().skip(1);
    let served = match (arguments.next().as_deref(), arguments.next()) {
        (Some("loader"), None) => reference(),
        (Some("mutant"), Some(name)) => mutant(&Mutant { name }),
        (Some(command), Some(_)) if COMMANDS.contains(&command) => return Some(program::main()),
        _ => return None,
    };
    Some(ExitCode::from(served.unwrap_or_else(CommandError::tell)))
}
