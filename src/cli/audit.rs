//! `weighbridge audit`: proves the suite on loaders that lie.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::weighing::{Embedded, Weighing, with_ending};
use super::{Stop, exit};
use crate::harness::audit::Matrix;
use crate::harness::manifest::Manifest;
use crate::harness::record::{CaseRecord, Record, write_whole};
use crate::harness::run::plan::Setting;
use crate::harness::run::{Progress, Run, Selection, Suite};
use crate::mutants::{self, Mutant};

/// Run the suite against loaders that tell one lie each; fail where one survives.
///
/// Without a GPU it runs the host profile on the mutants that lie on the CPU too; with
/// `--device cuda`, the full profile on all.
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
    /// Also write the matrix to this path with .txt and .json added.
    #[arg(long, value_name = "PREFIX")]
    out: Option<PathBuf>,
}

/// Runs the subcommand.
///
/// # Errors
/// Where the suite cannot be run at all.
pub fn run(arguments: &Arguments) -> Result<u8, Stop> {
    if arguments.list {
        for mutant in mutants::ALL {
            println!("{:18} {}", mutant.name, mutant.lie);
        }
        return Ok(exit::CORROBORATED);
    }
    for name in &arguments.mutant {
        if mutants::by_name(name).is_none() {
            return Err(Stop::usage(format!("no such mutant: {name} (`--list` shows them)")));
        }
    }
    let embedded = Embedded::read()?;
    let matrix = matrix(arguments, &embedded)?;
    let cases = embedded.cases.cases();
    let json = serde_json::to_string_pretty(&matrix).map_err(Stop::harness)?;
    let text = matrix.text(cases);
    if let Some(out) = &arguments.out {
        for (ending, content) in [("txt", &text), ("json", &json)] {
            let path = with_ending(out, ending);
            write_whole(&path, content.as_bytes()).map_err(Stop::harness)?;
        }
    }
    print!("{}", if arguments.json { &json } else { &text });
    let ran = matrix.rows.iter().filter(|row| row.not_run.is_none()).count();
    let survivors = matrix.survivors();
    println!(
        "{ran} of {} mutants run, {} killed, {} survived{}",
        matrix.rows.len(),
        ran - survivors.len(),
        survivors.len(),
        if survivors.is_empty() { String::new() } else { format!(": {}", survivors.join(", ")) }
    );
    Ok(if matrix.holds() { exit::CORROBORATED } else { exit::REFUTED })
}

/// Weighs the honest reference, then every mutant.
///
/// # Errors
/// Where the suite cannot be run at all.
fn matrix(arguments: &Arguments, embedded: &Embedded) -> Result<Matrix, Stop> {
    let mut weighing = arguments.weighing.clone();
    let on_gpu = weighing.device.is_some_and(crate::contract::Device::is_gpu);
    weighing.profile = if on_gpu { "full" } else { "host" }.to_owned();
    let (setting, _scratch) = weighing.setting(embedded.profile(&weighing.profile)?)?;
    let selection = weighing.selection(embedded)?;
    let honest = weigh(setting.clone(), embedded, &selection)?;
    let mut matrix = Matrix::new(&honest);
    let exe = std::env::current_exe().map_err(Stop::harness)?;
    for mutant in mutants::ALL {
        if !arguments.mutant.is_empty() && !arguments.mutant.iter().any(|name| name == mutant.name) {
            continue;
        }
        if mutant.needs_gpu && !on_gpu {
            matrix.leave_out(mutant.name, mutant.lie, "its lie is about GPU memory");
            continue;
        }
        let selection = narrowed(arguments, embedded, mutant, &selection);
        let setting = Setting {
            manifest: Manifest::builtin_mutant(&exe, mutant.name).map_err(Stop::harness)?,
            // A mutant that hangs costs this much three times.
            patience: setting.patience.min(Duration::from_secs(if on_gpu { 10 } else { 2 })),
            ..setting.clone()
        };
        let record = weigh(setting, embedded, &selection)?;
        matrix.add(mutant.name, mutant.lie, embedded.cases.cases(), &record);
    }
    Ok(matrix)
}

fn narrowed(
    arguments: &Arguments,
    embedded: &Embedded,
    mutant: &Mutant,
    selection: &Selection,
) -> Selection {
    if !arguments.claimed {
        return selection.clone();
    }
    let cases = embedded
        .cases
        .cases()
        .iter()
        .filter(|case| case.kills.contains(mutant.name))
        .map(|case| case.id())
        .collect();
    Selection { cases, ..selection.clone() }
}

fn weigh(setting: Setting, embedded: &Embedded, selection: &Selection) -> Result<Record, Stop> {
    let profile = embedded.profile(&setting.profile)?;
    let suite = Suite { spec: &embedded.spec, cases: &embedded.cases, profile, selection };
    let run = Run::begin(setting, suite)
        .map_err(|broken| Stop::harness(format!("the loader cannot be weighed: {broken}")))?;
    Ok(run.carry_out(&Silent))
}

struct Silent;

impl Progress for Silent {
    fn decided(&self, _case: &CaseRecord) {}
}
