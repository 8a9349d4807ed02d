//! `weighbridge completions SHELL`: prints a completion script.

use clap::{Args, CommandFactory};

use super::Stop;

/// Print a completion script for a shell.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Runs the subcommand for the program `P`.
///
/// # Errors
/// None; the signature is that of every subcommand.
pub fn run<P: CommandFactory>(arguments: &Arguments) -> Result<u8, Stop> {
    clap_complete::generate(
        arguments.shell,
        &mut P::command(),
        "weighbridge",
        &mut std::io::stdout(),
    );
    Ok(super::exit::OK)
}
