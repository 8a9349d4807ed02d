//! `weighbridge audit`: proves the suite on loaders that lie.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::fault::print;
use super::stamp::Stamp;
use super::weighing::{Embedded, Weighing, with_ending};
use super::{Stop, exit};
use crate::harness::audit::Matrix;
use crate::harness::case::Case;
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

/// Format of the JSON.
const FORMAT: &str = "weighbridge.audit/1";

/// What is written.
#[derive(Serialize)]
struct File<'m> {
    /// [`FORMAT`].
    format: &'static str,
    #[serde(flatten)]
    stamp: Stamp,
    /// Whether a mutant met only cases that claim to kill it.
    claimed: bool,
    #[serde(flatten)]
    matrix: &'m Matrix,
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
    for name in &arguments.mutant {
        if mutants::by_name(name).is_none() {
            return Err(Stop::usage(format!("no such mutant: {name} (`--list` shows them)")));
        }
    }
    let stamp = Stamp::now();
    let claims = if arguments.claimed { arguments.mutant.as_slice() } else { &[] };
    let auditor = Auditor::over(&arguments.weighing, claims)?;
    let mut matrix = auditor.baseline();
    eprintln!("the honest loader passes {} cases", matrix.baseline.len());
    for mutant in mutants::all() {
        if arguments.mutant.is_empty() || arguments.mutant.iter().any(|name| name == mutant.name) {
            auditor.try_mutant(mutant, arguments.claimed, &mut matrix)?;
            // A long audit shows how far it is, and what it saw if it is cut short.
            if let Some(row) = matrix.rows.last() {
                eprintln!("{}: {}", row.mutant, row.fate());
            }
        }
    }
    let cases = auditor.embedded.cases.cases();
    let file = File { format: FORMAT, stamp, claimed: arguments.claimed, matrix: &matrix };
    let json = serde_json::to_string_pretty(&file).map_err(Stop::harness)?;
    let mut text = format!(
        "audit    {}\nmachine  {}\ncases    {}\n\n",
        file.stamp.origin(),
        file.stamp.place(),
        if arguments.claimed { "those that claim to kill a mutant" } else { "all" },
    );
    text += &matrix.text();
    if matrix.rows.len() == mutants::all().count() {
        for case in matrix.idle_cases(cases) {
            text.push_str(&format!("killed nothing here: {case}\n"));
        }
    }
    text.push_str(&format!("{}\n", matrix.summary()));
    if let Some(out) = &arguments.out {
        for (ending, content) in [("txt", &text), ("json", &json)] {
            write_whole(&with_ending(out, ending), content.as_bytes()).map_err(Stop::harness)?;
        }
    }
    print(&mut std::io::stdout(), if arguments.json { &json } else { &text })?;
    Ok(if matrix.holds() { exit::CORROBORATED } else { exit::REFUTED })
}

/// The suite, ready to be tried on loaders that lie.
pub struct Auditor {
    /// Requirements and cases.
    pub embedded: Embedded,
    setting: Setting,
    selection: Selection,
    honest: Record,
    _scratch: tempfile::TempDir,
}

impl Auditor {
    /// Weighs the honest reference: what it does not pass, no mutant can be killed by.
    ///
    /// # Errors
    /// Where the suite cannot be run at all.
    pub fn begin(weighing: &Weighing) -> Result<Self, Stop> {
        Auditor::over(weighing, &[])
    }

    /// The same over no more than the cases that claim to kill one of these mutants, if any is named and
    /// no case was asked for.
    fn over(weighing: &Weighing, claims: &[String]) -> Result<Self, Stop> {
        let embedded = Embedded::read()?;
        let on_gpu = weighing.device.is_some_and(crate::contract::Device::is_gpu);
        let profile = embedded.profile(if on_gpu { "full" } else { "host" })?;
        let (setting, scratch) = weighing.setting(profile)?;
        let mut selection = weighing.selection(&embedded)?;
        if selection.cases.is_empty() {
            let claiming = |case: &&Case| claims.iter().any(|name| case.kills.contains(name));
            selection.cases =
                embedded.cases.cases().iter().filter(claiming).map(Case::id).collect();
        }
        let honest = weigh(setting.clone(), &embedded, &selection)?;
        Ok(Auditor { embedded, setting, selection, honest, _scratch: scratch })
    }

    /// A matrix without mutants yet.
    pub fn baseline(&self) -> Matrix {
        Matrix::new(&self.honest)
    }

    /// Weighs a mutant and adds what came of it.
    ///
    /// # Errors
    /// Where the mutant cannot be weighed at all.
    pub fn try_mutant(
        &self,
        mutant: &Mutant,
        claimed: bool,
        matrix: &mut Matrix,
    ) -> Result<(), Stop> {
        if let Some(why) = self.beyond_reach(mutant) {
            matrix.leave_out(mutant.name, mutant.lie, why);
            return Ok(());
        }
        let cases = self.embedded.cases.cases();
        let exe = std::env::current_exe().map_err(Stop::harness)?;
        let longest = Duration::from_secs(if self.setting.device.is_gpu() { 10 } else { 2 });
        let setting = Setting {
            manifest: Manifest::builtin_mutant(&exe, mutant.name).map_err(Stop::harness)?,
            // A mutant that hangs costs this much three times.
            patience: self.setting.patience.min(longest),
            ..self.setting.clone()
        };
        let selection = if claimed {
            let claims = cases.iter().filter(|case| case.kills.contains(mutant.name));
            Selection { cases: claims.map(|case| case.id()).collect(), ..self.selection.clone() }
        } else {
            self.selection.clone()
        };
        let record = weigh(setting, &self.embedded, &selection)?;
        matrix.add(mutant.name, mutant.lie, cases, &record);
        Ok(())
    }

    /// Why a mutant tells no lie here, if so.
    pub fn beyond_reach(&self, mutant: &Mutant) -> Option<&'static str> {
        (mutant.needs_gpu && !self.setting.device.is_gpu()).then_some("its lie is about GPU memory")
    }
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
