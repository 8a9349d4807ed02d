//! `weighbridge loader`: the bundled reference loader as a program, which is tested like any other
//! loader. Also the mutants: the same program, with one deliberate fault each; and the supervisor that
//! starts any loader in its cell.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use clap::Args;

use super::{CommandError, exit};
use crate::contract::serve::converse;
use crate::contract::{Loader, serve};
use crate::harness::cell;
use crate::harness::model::documents;
use crate::loader::ReferenceLoader;
use crate::mutants;

/// Run the bundled reference loader: answer the protocol on stdin and stdout.
#[derive(Debug, Args)]
pub struct Reference {}

/// Answer as a loader that tells one lie.
#[derive(Debug, Args)]
pub struct Mutant {
    /// The mutant's name; `weighbridge audit --list` shows them all.
    pub name: String,
}

/// Start a loader in a cell.
#[derive(Debug, Args)]
pub struct Supervise {
    /// What the cell is like, as JSON. Without it the command does nothing, which shows that a program can
    /// be started.
    pub order: Option<String>,
    /// The loader's program.
    pub program: Option<OsString>,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

/// Answer questions about the tokenizer and the chat template of a folder, within a bound of memory.
#[derive(Debug, Args)]
pub struct Documents {
    /// Memory of this process, in bytes.
    pub memory: u64,
    /// `whole` with the chat template, `bare` without it.
    pub parts: String,
    /// The folder.
    pub folder: PathBuf,
}

/// Answers such questions.
///
/// # Errors
/// If stdin or stdout fails.
pub fn documents(arguments: &Documents) -> Result<u8, CommandError> {
    let Documents { memory, parts, folder } = arguments;
    documents::answer(*memory, parts == "whole", folder).map_err(CommandError::harness)?;
    Ok(exit::CORROBORATED)
}

/// Becomes the supervisor of a loader, and ends as the loader does.
///
/// # Errors
/// If the order cannot be read.
pub fn supervise(arguments: &Supervise) -> Result<u8, CommandError> {
    match (&arguments.order, &arguments.program) {
        (Some(order), Some(program)) => {
            let order = serde_json::from_str(order).map_err(CommandError::usage)?;
            cell::supervise(&order, program, &arguments.arguments)
        }
        _ => Ok(exit::CORROBORATED),
    }
}

/// Serves the reference loader.
///
/// # Errors
/// If stdin or stdout fails.
pub fn reference() -> Result<u8, CommandError> {
    answer(&mut ReferenceLoader::new())
}

/// Serves a mutant.
///
/// # Errors
/// If there is no such mutant, or stdin or stdout fails.
pub fn mutant(arguments: &Mutant) -> Result<u8, CommandError> {
    let mutant = super::lookup::mutant(&arguments.name)?;
    let mut requests = mutants::input(mutant, io::stdin().lock());
    told(converse((mutant.make)().as_mut(), &mut requests, &mut io::stdout().lock()))
}

/// Answers as this loader, on stdin and stdout.
///
/// # Errors
/// If either fails.
pub(super) fn answer(loader: &mut dyn Loader) -> Result<u8, CommandError> {
    told(serve(loader))
}

fn told(served: io::Result<()>) -> Result<u8, CommandError> {
    served.map_err(|error| CommandError::harness(format!("stdin or stdout failed: {error}")))?;
    Ok(exit::CORROBORATED)
}
