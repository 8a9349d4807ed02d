//! `weighbridge audit`: proves the suite on loaders that lie.

mod auditor;
mod file;

use std::path::PathBuf;

use clap::Args;

use super::fault::print;
use super::stamp::Stamp;
use super::weighing::{Embedded, Weighing};
use super::{Stop, exit};
use crate::harness::case::Case;
use crate::mutants::{self, Mutant};

pub use self::auditor::Auditor;
use self::file::File;

/// Run the suite against loaders that tell one lie each; fail where one survives.
///
/// Without a GPU it runs the host profile on the mutants that lie on the CPU too; with
/// `--device cuda`, the full profile on all. An audit may be done in parts: `--join` makes one of what
/// several runs of one binary wrote, those included that were cut short.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    weighing: Weighing,
    /// Only these mutants. Repeatable.
    #[arg(long, value_name = "NAME")]
    mutant: Vec<String>,
    /// Only cases that claim to kill the mutant, instead of all.
    #[arg(long)]
    claimed: bool,
    /// List the mutants and their lies.
    #[arg(long)]
    list: bool,
    /// Print the matrix as JSON.
    #[arg(long)]
    json: bool,
    /// Also write the matrix to this path with .txt and .json added, anew behind every mutant.
    #[arg(long, value_name = "PREFIX")]
    out: Option<PathBuf>,
    /// Run nothing: join the JSON that earlier runs wrote. Exits with 3 where mutants are missing.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["mutant", "claimed", "list"])]
    join: Vec<PathBuf>,
}

/// Runs the subcommand.
///
/// # Errors
/// Where the suite cannot be run at all.
pub fn run(arguments: &Arguments) -> Result<u8, Stop> {
    if arguments.list {
        let lines = mutants::all().map(|one| format!("{:24} {}\n", one.name, one.lie));
        print(&mut std::io::stdout(), &lines.collect::<String>())?;
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
        if mutants::by_name(name).is_none() {
            return Err(Stop::usage(format!("no such mutant: {name} (`--list` shows them)")));
        }
    }
    let began = Stamp::now();
    let claims = if arguments.claimed { arguments.mutant.as_slice() } else { &[] };
    let auditor = Auditor::over(&arguments.weighing, claims)?;
    let cases = auditor.embedded.cases.cases();
    let named = |mutant: &&Mutant| arguments.mutant.iter().any(|name| name == mutant.name);
    let wanted: Vec<&Mutant> =
        mutants::all().filter(|mutant| arguments.mutant.is_empty() || named(mutant)).collect();
    let left = wanted.iter().map(|mutant| mutant.name.to_owned()).collect();
    let mut file = File::begin(began, arguments.claimed, left, auditor.baseline());
    eprintln!("the honest loader passes {} cases", file.matrix.baseline.len());
    for mutant in wanted {
        auditor.try_mutant(mutant, arguments.claimed, &mut file.matrix)?;
        file.left.remove(mutant.name);
        if let Some(row) = file.matrix.rows.last() {
            eprintln!("{}: {}", row.mutant, row.fate());
        }
        if let Some(out) = &arguments.out {
            file.write(out, cases)?;
        }
    }
    told(arguments, &file, cases)
}

/// Shows a matrix; the exit code that it ends with.
fn told(arguments: &Arguments, file: &File, cases: &[Case]) -> Result<u8, Stop> {
    let text = if arguments.json { file.json()? } else { file.text(cases) };
    print(&mut std::io::stdout(), &text)?;
    Ok(match (file.matrix.holds(), file.left.is_empty()) {
        (false, _) => exit::REFUTED,
        (true, false) => exit::INCOMPLETE,
        (true, true) => exit::CORROBORATED,
    })
}
