//! `weighbridge certify`: tests a loader and writes the report.

mod again;
mod plan;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::Args;

use self::plan::Parting;
use super::fault::{Fault, print};
use super::weighing::{Display, Embedded, Weighing, with_ending};
use super::{CommandError, exit};
use crate::harness::record::journal::{Header, Journal, Scheduled};
use crate::harness::record::{CaseRecord, Record, Report};
use crate::harness::report::{Format, render, write_all};
use crate::harness::run::{Progress, Run, Suite};

/// Test a loader against the suite and write a scored report.
///
/// Exit codes: 0 corroborated, or a part of a plan holds, 1 refuted, 2 usage, 3 incomplete, 4 nothing
/// selected, 5 the harness could not do its work, 7 the GPU is quarantined.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    weighing: Weighing,
    #[command(flatten)]
    parting: Parting,
    /// Where the reports go: this path with .json, .md, .junit.xml and .journal.ndjson added.
    #[arg(long, value_name = "PREFIX")]
    out: Option<PathBuf>,
    /// Print the report as JSON instead of the summary.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// If nothing can be tested, or the report cannot be written.
pub fn run(arguments: &Arguments) -> Result<u8, CommandError> {
    let embedded = Embedded::read()?;
    let profile = embedded.profile(&arguments.weighing.profile)?;
    let wanted = arguments.parting.wanted(&arguments.weighing, &embedded)?;
    let (mut setting, _scratch) = arguments.weighing.setting(profile)?;
    setting.seed = wanted.seed.unwrap_or(setting.seed);
    let selection = &wanted.selection;
    let suite = Suite { spec: &embedded.spec, cases: &embedded.cases, profile, selection };
    let out = arguments.out.clone().unwrap_or_else(|| {
        PathBuf::from(format!(
            "target/weighbridge/{}-{}",
            profile.name,
            setting.device.to_string().replace(':', "")
        ))
    });
    let mut run = Run::begin(setting, suite).map_err(|broken| {
        CommandError::harness(format!("the loader cannot be tested: {broken}"))
    })?;
    if run.plan.scheduled.is_empty() {
        return Err(CommandError::new(
            exit::NOTHING_SELECTED,
            "nothing selected: no case of this profile fits the selection\n  remedy: name another \
             --section or --case, or another --profile",
        ));
    }
    let prefix = arguments.out.as_deref();
    if let Some(code) = arguments.parting.apply(&wanted, &mut run, prefix, arguments.json)? {
        return Ok(code);
    }
    let journal = Journal::begin(&with_ending(&out, "journal.ndjson"), &header(&run))
        .map_err(CommandError::harness)?;
    let listener = Listener {
        display: Display::new(run.plan.scheduled.len()),
        journal: Mutex::new(Some(journal)),
        broken: Mutex::new(None),
    };
    let record = run.carry_out(&listener);
    listener.end(&record)?;
    finish(record, &embedded, &out, arguments.json)
}

/// What the journal says before the first case.
fn header(run: &Run<'_>) -> Header {
    let scheduled = run.plan.scheduled.iter().map(|case| Scheduled {
        id: case.id(),
        requirement: case.requirement.clone(),
        tries: case.tries.clone(),
        repeat: run.context.setting.repeat_command(&case.id()),
    });
    Header::new(
        run.record.subject.clone(),
        run.record.parts[0].clone(),
        run.record.requirements.clone(),
        scheduled.collect(),
    )
}

/// Writes the reports, prints the summary, and turns the certificate into an exit code.
fn finish(record: Record, embedded: &Embedded, out: &Path, json: bool) -> Result<u8, CommandError> {
    let titles = embedded.titles();
    let report = Report::of(record);
    let written = write_all(&report, &titles, out).map_err(Fault::from)?;
    let format = if json { Format::Json } else { Format::Terminal };
    let mut text = render(&report, &titles, format).map_err(Fault::from)?;
    if !json {
        for path in written {
            text.push_str(&format!("wrote {}\n", path.display()));
        }
    }
    print(&mut std::io::stdout(), &text)?;
    Ok(exit::of(report.judgement.certificate))
}

struct Listener {
    display: Display,
    journal: Mutex<Option<Journal>>,
    broken: Mutex<Option<String>>,
}

impl Progress for Listener {
    fn decided(&self, case: &CaseRecord) {
        self.display.decided(case);
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(journal) = journal.as_mut()
            && let Err(error) = journal.case(case)
        {
            *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
    }
}

impl Listener {
    fn end(self, record: &Record) -> Result<(), CommandError> {
        self.display.end();
        if let Some(error) = self.broken.into_inner().unwrap_or_default() {
            return Err(CommandError::harness(error));
        }
        match self.journal.into_inner().unwrap_or_default() {
            Some(journal) => journal.finish(&record.parts[0]).map_err(CommandError::harness),
            None => Ok(()),
        }
    }
}
