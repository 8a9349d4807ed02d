//! `weighbridge audit`: tests the suite with mutants, which are loaders with one deliberate fault
//! each, called a lie.

mod auditor;
mod file;
mod interrupted;
mod reach;
mod several;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use serde_json::{Value, json};

use super::fault::print;
use super::lookup::mutant;
use super::run_folder::Claim;
use super::show::{Colour, Show, Stream, say};
use super::stamp::Stamp;
use super::weighing::{Embedded, Weighing};
use super::{CommandError, exit, interrupt};
use crate::contract::Device;
use crate::harness::audit::Row;
use crate::harness::case::Case;
use crate::mutants::{self, Mutant};

pub use self::auditor::Auditor;
use self::file::File;
pub use self::several::try_mutants;

/// Test the suite with mutants, loaders with one deliberate fault each. The suite must refute all
/// of them.
///
/// On the CPU, which is the default, it runs the host profile on the mutants that need no GPU. With
/// `--device cuda` it runs the full profile on all mutants. An audit may be done in parts: `--join`
/// joins the files of several runs of one binary, also of interrupted runs. After SIGINT, SIGTERM or
/// SIGHUP the matrix so far is shown, and the command that goes on. Exit codes: 0 all mutants are
/// refuted, 1 one survives, 2 usage, 3 mutants are missing, 5 the harness could not do its work, 7
/// the GPU is quarantined.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    weighing: Weighing,
    /// Only this mutant. Repeatable.
    #[arg(long, value_name = "NAME")]
    mutant: Vec<String>,
    /// For each mutant, only the cases that claim to refute it.
    #[arg(long)]
    claimed: bool,
    /// List the mutants and their faults.
    #[arg(long)]
    list: bool,
    /// Print the matrix, or with `--list` the mutants, as JSON.
    #[arg(long)]
    json: bool,
    /// Also write the matrix to this path with .txt and .json added, again after each mutant.
    #[arg(long, value_name = "PREFIX")]
    out: Option<PathBuf>,
    /// Run nothing: join the JSON files that earlier runs wrote.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["mutant", "claimed", "list"])]
    join: Vec<PathBuf>,
    #[command(flatten)]
    show: Show,
}

/// Runs the subcommand.
///
/// # Errors
/// If the suite cannot be run at all.
pub fn run(arguments: &Arguments) -> Result<u8, CommandError> {
    if arguments.list {
        let text = if arguments.json { listed()? } else { list() };
        print(&mut std::io::stdout(), &text)?;
        return Ok(exit::CORROBORATED);
    }
    if !arguments.join.is_empty() {
        let (file, embedded) = (File::join(&arguments.join)?, Embedded::read()?);
        let cases = embedded.cases.cases();
        if let Some(out) = &arguments.out {
            file.write(out, cases)?;
        }
        return told(arguments, &file, cases);
    }
    for name in &arguments.mutant {
        mutant(name)?;
    }
    let began = Stamp::now(arguments.weighing.device.unwrap_or(Device::Cpu));
    let claims = if arguments.claimed { arguments.mutant.as_slice() } else { &[] };
    let claim = arguments.out.as_deref().map(Claim::of).transpose()?;
    let shared: Shared = Arc::default();
    let watch = watch(arguments, &shared, claim.as_ref())?;
    let auditor = Auditor::over(&arguments.weighing, claims, arguments.show, Some(watch))?;
    let cases = auditor.embedded.cases.cases();
    let named = |mutant: &&Mutant| arguments.mutant.iter().any(|name| name == mutant.name);
    let wanted: Vec<&Mutant> =
        mutants::all().filter(|mutant| arguments.mutant.is_empty() || named(mutant)).collect();
    let left = wanted.iter().map(|mutant| mutant.name.to_owned()).collect();
    let mut file = File::begin(began, arguments.claimed, left, auditor.baseline());
    let passed = file.matrix.baseline.len();
    auditor.tell(&match auditor.with_rank_processes() {
        0 => format!("the reference loader without a mutant passes {passed} cases"),
        others => format!(
            "the reference loader without a mutant passes {} cases, and the honest loader with a process for each \
             rank {others} others",
            passed.saturating_sub(others)
        ),
    });
    keep(&shared, &file);
    let reached = auditor.within_reach(wanted, &mut file.matrix);
    for row in &file.matrix.rows {
        file.left.remove(row.mutant.as_str());
    }
    try_mutants(&auditor, &reached, arguments.claimed, &mut |mutant, record| {
        auditor.add(mutant, record, &mut file.matrix);
        file.left.remove(mutant.name);
        keep(&shared, &file);
        if let Some(row) = file.matrix.rows.last() {
            auditor.tell(&format!("{}: {}", row.mutant, painted_fate(row)));
        }
        match &arguments.out {
            Some(out) => file.write(out, cases),
            None => Ok(()),
        }
    })?;
    // The rows are as the mutants ended; a matrix has them in the order of the list.
    let names = mutants::names();
    file.matrix.rows.sort_by_key(|row| names.iter().position(|name| *name == row.mutant));
    if let Some(out) = &arguments.out {
        file.write(out, cases)?;
    }
    auditor.end();
    auditor.card_is_well()?;
    told(arguments, &file, cases)
}

/// The matrix so far, for whoever ends the audit.
type Shared = Arc<Mutex<Option<File>>>;

fn keep(shared: &Shared, file: &File) {
    *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(file.clone());
}

/// Watches for signals: one of them ends the audit with what it has found.
fn watch(
    arguments: &Arguments,
    shared: &Shared,
    claim: Option<&Claim>,
) -> Result<interrupt::Watch, CommandError> {
    let (out, json, quiet) = (arguments.out.clone(), arguments.json, arguments.show.quiet);
    let (shared, lock) = (Arc::clone(shared), claim.map(|claim| claim.path().to_owned()));
    interrupt::watch(move |signal| {
        let file = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(file) = file.as_ref().filter(|_| json || !quiet) {
            let text = if json { file.json().unwrap_or_default() } else { file.text(&[]) };
            // The command that goes on is told all the same.
            let _ = print(&mut std::io::stdout(), &text);
        }
        if let (Some(file), Some(out)) = (&file, &out)
            && let Err(error) = file.write(out, &[])
        {
            say(&format!("error: {}", error.message));
        }
        interrupted::tell(signal, file.as_ref(), out.as_deref());
        if let Some(lock) = lock {
            let _ = std::fs::remove_file(lock);
        }
        interrupted::code(file.as_ref())
    })
    .map_err(CommandError::harness)
}

/// A mutant's result, in the colour of what it means for the suite.
fn painted_fate(row: &Row) -> String {
    let colour = match (&row.not_run, row.killed_by.is_empty() || !row.missed_by.is_empty()) {
        (Some(_), _) => Colour::Yellow,
        (None, true) => Colour::Red,
        (None, false) => Colour::Green,
    };
    Stream::Err.paint(&row.fate(), colour)
}

/// The mutants, one line each.
fn list() -> String {
    mutants::all().map(|one| format!("{:24} {}\n", one.name, one.lie)).collect()
}

/// The mutants as JSON.
fn listed() -> Result<String, CommandError> {
    let all: Vec<Value> = mutants::all()
        .map(|one| {
            let (name, lie, seen_in) = (one.name, one.lie, one.seen_in);
            json!({"name": name, "lie": lie, "seen_in": seen_in, "needs_gpu": one.needs_gpu})
        })
        .collect();
    Ok(serde_json::to_string_pretty(&json!({ "mutants": all })).map_err(CommandError::harness)?
        + "\n")
}

/// Prints a matrix. Returns the exit code.
fn told(arguments: &Arguments, file: &File, cases: &[Case]) -> Result<u8, CommandError> {
    let text = match (arguments.json, arguments.show.quiet) {
        (true, _) => file.json()?,
        (false, true) => String::new(),
        (false, false) => file.text(cases),
    };
    print(&mut std::io::stdout(), &text)?;
    Ok(match (file.matrix.holds(), file.left.is_empty()) {
        (false, _) => exit::REFUTED,
        (true, false) => exit::INCOMPLETE,
        (true, true) => exit::CORROBORATED,
    })
}
