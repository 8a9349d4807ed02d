//! `weighbridge completions SHELL`: prints a completion script.

use clap::{Args, CommandFactory};

/// Print a completion script for a shell.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Prints the script for the program `P`.
pub fn run<P: CommandFactory>(arguments: &Arguments) -> u8 {
    clap_complete::generate(
        arguments.shell,
        &mut P::command(),
        "weighbridge",
        &mut std::io::stdout(),
    );
    super::exit::CORROBORATED
}
