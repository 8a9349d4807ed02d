//! `weighbridge bench suite`: shows where the time of a run of the suite goes: in the loader, in test
//! files and models, in evidence, in the harness, and in waiting for memory.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::fault::{Fault, print};
use crate::cli::weighing::{Embedded, Weighing, begin, nothing_selected};
use crate::cli::{CommandError, exit};
use crate::harness::record::{CaseRecord, Record, Stored};
use crate::harness::report::times::{self, Times};
use crate::harness::run::{Progress, Suite};

/// Measure where the time of a run of the suite goes.
///
/// The table has the seconds of all workers together, by section. Exit codes: 0 done, 2 usage, 4
/// nothing selected, 5 the suite could not run. Verdicts do not matter here.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    weighing: Weighing,
    /// Show the times of this report, record or journal instead of running the suite.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Print the times as JSON instead of the table.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// If the suite cannot run, or the report cannot be read.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let embedded = Embedded::read()?;
    let record = match &arguments.from {
        Some(path) => Stored::read(path).map_err(Fault::from)?.into_record(),
        None => measured(&arguments.weighing, &embedded)?,
    };
    let titles = embedded.titles();
    let text = if arguments.json { json_of(&record)? } else { text_of(&record, &titles) };
    print(out, &text)?;
    Ok(exit::CORROBORATED)
}

fn measured(weighing: &Weighing, embedded: &Embedded) -> Result<Record, CommandError> {
    let profile = embedded.profile(weighing.profile())?;
    let selection = weighing.selection(embedded)?;
    let (setting, _scratch) = weighing.setting(profile)?;
    let suite =
        Suite { spec: &embedded.spec, cases: &embedded.cases, profile, selection: &selection };
    let run = begin(setting, suite)?;
    if run.plan.scheduled.is_empty() {
        return Err(nothing_selected());
    }
    Ok(run.carry_out(&Silent))
}

fn text_of(record: &Record, titles: &crate::harness::report::Titles) -> String {
    let mut text = String::new();
    for part in &record.parts {
        let machine = &part.machine;
        let card = machine.gpu.as_deref().unwrap_or("no GPU");
        text.push_str(&format!("{}, {} cores, {card}\n", machine.processor, machine.cores));
        if let Some(workers) = times::workers(part) {
            text.push_str(&format!("{workers}\n"));
        }
    }
    text.push('\n');
    text.push_str(&times::table(record, titles).text());
    text.push_str(&format!("\n{}\n", Times::of(&record.cases).shares()));
    let mut slowest: Vec<&CaseRecord> = record.cases.iter().collect();
    slowest.sort_by_key(|case| std::cmp::Reverse(case.elapsed_us));
    text.push_str("\nthe cases that took longest\n");
    for case in slowest.iter().take(SLOWEST) {
        let times = Times::of([*case]);
        text.push_str(&format!("  {}  {}\n", case.id, times.shares()));
    }
    text
}

/// Cases that are shown one by one.
const SLOWEST: usize = 15;

fn json_of(record: &Record) -> Result<String, CommandError> {
    let one = |times: Times| {
        json!({
            "cases": times.cases,
            "elapsed_us": times.elapsed,
            "loader_us": times.loader,
            "fixture_us": times.fixtures,
            "evidence_us": times.evidence,
            "harness_us": times.harness(),
        })
    };
    let parts: Vec<_> = record
        .parts
        .iter()
        .map(|part| {
            json!({
                "machine": part.machine,
                "device": part.device,
                "seconds": part.seconds,
                "jobs": part.jobs,
                "waited_us": part.waited_us,
            })
        })
        .collect();
    let cases: Vec<_> = record
        .cases
        .iter()
        .map(|case| {
            let mut times = one(Times::of([case]));
            times["id"] = json!(case.id);
            times
        })
        .collect();
    let all = json!({"parts": parts, "total": one(Times::of(&record.cases)), "cases": cases});
    Ok(serde_json::to_string_pretty(&all).map_err(CommandError::harness)? + "\n")
}

struct Silent;

impl Progress for Silent {
    fn decided(&self, _case: &CaseRecord) {}
}
