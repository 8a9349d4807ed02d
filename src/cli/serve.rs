//! `weighbridge loader`: the bundled reference as a program, weighed like any other. And the
//! mutants, each the same program telling one lie.

use std::io;
use std::process::ExitCode;

use clap::Args;

use super::{Stop, exit};
use crate::contract::serve::converse;
use crate::contract::{Loader, serve};
use crate::loader::ReferenceLoader;
use crate::mutants;

/// Answer the contract on stdin and stdout as the bundled reference loader.
#[derive(Debug, Args)]
pub struct Reference {}

/// Answer as a loader that tells one lie.
#[derive(Debug, Args)]
pub struct Mutant {
    /// The lie's name; `weighbridge audit --list` shows them.
    name: String,
}

/// The commands for people that cases start, each with a model behind it.
const COMMANDS: [&str; 4] = ["run", "chat", "validate", "inspect"];

/// Serves as a child where the arguments say so: a test binary that weighs the bundled loaders is
/// also the program that they run as, and the one whose commands they have.
///
/// `None` where this process is to weigh.
pub fn as_child() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let served = match (arguments.next().as_deref(), arguments.next()) {
        (Some("loader"), None) => reference(),
        (Some("mutant"), Some(name)) => mutant(&Mutant { name }),
        (Some(command), Some(_)) if COMMANDS.contains(&command) => return Some(super::main()),
        _ => return None,
    };
    Some(ExitCode::from(served.unwrap_or_else(Stop::tell)))
}

/// Serves the reference loader.
///
/// # Errors
/// Where stdin or stdout fails.
pub fn reference() -> Result<u8, Stop> {
    answer(&mut ReferenceLoader::new())
}

/// Serves a mutant.
///
/// # Errors
/// Where there is no such mutant, or stdin or stdout fails.
pub fn mutant(arguments: &Mutant) -> Result<u8, Stop> {
    let mutant = mutants::by_name(&arguments.name).ok_or_else(|| {
        let all = mutants::all().map(|mutant| mutant.name).collect::<Vec<_>>();
        Stop::usage(format!("no such mutant: {} (there are: {})", arguments.name, all.join(", ")))
    })?;
    let mut requests = mutants::input(mutant, io::stdin().lock());
    told(converse((mutant.make)().as_mut(), &mut requests, &mut io::stdout().lock()))
}

/// Answers as this loader, on stdin and stdout.
///
/// # Errors
/// Where either fails.
pub(super) fn answer(loader: &mut dyn Loader) -> Result<u8, Stop> {
    told(serve(loader))
}

fn told(served: io::Result<()>) -> Result<u8, Stop> {
    served.map_err(|error| Stop::harness(format!("stdin or stdout failed: {error}")))?;
    Ok(exit::CORROBORATED)
}
