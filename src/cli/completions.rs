//! `weighbridge completions SHELL`: prints a completion script.

use clap::{Args, CommandFactory};

use super::fault::print;
use super::{Stop, exit};

/// Print a completion script for a shell.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Prints the script for the program `P`.
///
/// # Errors
/// Where stdout cannot be written.
pub fn run<P: CommandFactory>(arguments: &Arguments) -> Result<u8, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut P::command(), "weighbridge", &mut script);
    print(&mut std::io::stdout(), &String::from_utf8_lossy(&script))?;
    Ok(exit::CORROBORATED)
}
