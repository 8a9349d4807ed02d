//! A test binary as the loader that it tests: the process that it starts is itself.

use std::process::ExitCode;

use super::command_error::CommandError;
use super::program;
use super::serve::{Mutant, mutant, reference};

/// The commands for people that cases start, each with a model behind it.
const COMMANDS: [&str; 4] = ["run", "chat", "validate", "inspect"];

/// Serves as a child if the arguments say so: a test binary that tests the bundled loaders is also the
/// program that they run as, and the one whose commands they have.
///
/// `None` if this process is to test.
pub fn as_child() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let served = match (arguments.next().as_deref(), arguments.next()) {
        (Some("loader"), None) => reference(),
        (Some("mutant"), Some(name)) => mutant(&Mutant { name }),
        (Some(command), Some(_)) if COMMANDS.contains(&command) => return Some(program::main()),
        _ => return None,
    };
    Some(ExitCode::from(served.unwrap_or_else(CommandError::tell)))
}
