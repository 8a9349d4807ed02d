//! `weighbridge certify`: tests a loader and writes the report.

mod again;
mod plan;
mod scope;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use self::plan::Parting;
use self::scope::Scope;
use super::display::Display;
use super::keeper::{Books, Keeper, Telling};
use super::run_folder::{Claim, RunFiles};
use super::secret::Secret;
use super::show::Show;
use super::weighing::{Embedded, Isolation, Weighing, begin, nothing_selected};
use super::{CommandError, interrupt, resume};
use crate::harness::known;
use crate::harness::record::WriteError;
use crate::harness::record::journal::{Header, Journal, Scheduled};
use crate::harness::run::{Run, Suite};

/// Test a loader against the suite and write a scored report.
///
/// Every decided case is in the journal at once. After SIGINT, SIGTERM or SIGHUP the report of what
/// was decided is written, and the command that goes on is printed; a second signal ends at once.
/// Exit codes: 0 corroborated, or a part of a plan holds, 1 refuted, 2 usage, 3 incomplete or
/// interrupted, 4 nothing selected, 5 the harness could not do its work, 7 the GPU is quarantined, 8 the
/// list of known failures must be mended.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Weigh one class of loaders: its core, the features that the loader declares, and the policy beside
    /// them. The exit code is decided by this class. `weighbridge list --classes` shows all. Without it and
    /// without --profile, another loader than the bundled one is weighed by what it declares: exit code 0
    /// if it earns a class and nothing that it declares is refuted.
    #[arg(long, value_name = "CLASS", conflicts_with = "profile")]
    class: Option<String>,
    #[command(flatten)]
    weighing: Weighing,
    #[command(flatten)]
    parting: Parting,
    /// Where the reports go: this path with .json, .md, .junit.xml and .journal.ndjson added. The
    /// default is a new folder in target/weighbridge/runs, to which target/weighbridge/latest points.
    #[arg(long, value_name = "PREFIX")]
    out: Option<PathBuf>,
    /// Go on with the interrupted run that wrote this journal: same loader, profile, device and selection. The
    /// seed is a new one, unless it was given. The reports go where that run would have written them.
    #[arg(long, value_name = "JOURNAL", conflicts_with_all = ["profile", "class", "device", "loader", "section", "case", "seed", "model", "gguf_runtime", "patience", "waiting", "plan_only", "plan", "shard", "costs", "failed_from", "untested_from"])]
    resume: Option<PathBuf>,
    /// How strong the loader's cell must be. `auto` takes the strongest that this machine allows, and the
    /// report says which; `require` takes namespaces or does not run; `process` takes no namespaces; `none`
    /// starts the loader as it is.
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t)]
    isolation: Isolation,
    /// A list of known failures, in YAML: match, check, reason, link, owner and until of each. The
    /// certificate counts them as failures, and the exit code says whether the run ended as listed.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    known: Option<PathBuf>,
    /// Print the report as JSON instead of the summary.
    #[arg(long)]
    json: bool,
    /// List every failed case in the summary, and the ids of all requirements that are open.
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    show: Show,
}

/// Runs the subcommand.
///
/// # Errors
/// If nothing can be tested, or the report cannot be written.
pub fn run(arguments: &Arguments) -> Result<u8, CommandError> {
    let embedded = Embedded::read()?;
    let resumed = arguments.resume.as_deref().map(resume::open).transpose()?;
    let mut weighing = match &resumed {
        Some(resumed) => resume::weighing(resumed, &arguments.weighing)?,
        None => arguments.weighing.clone(),
    };
    weighing.isolation = arguments.isolation;
    let scope = match &resumed {
        Some(resumed) => Scope::named(&resumed.header.subject.profile, &embedded)?,
        None => Scope::of(&weighing, arguments.class.as_deref(), &embedded)?,
    };
    let weighing = scope.on_device(weighing, &embedded.spec)?;
    let profile = &scope.profile(weighing.device, &embedded.spec);
    let wanted = arguments.parting.wanted(&weighing, &embedded, &scope)?;
    let known =
        arguments.known.as_deref().map(known::read).transpose().map_err(CommandError::usage)?;
    let (titles, show, json) = (embedded.titles(), arguments.show, arguments.json);
    let keeper = Keeper::new(Telling { titles, show, json, verbose: arguments.verbose })?;
    let (mut setting, _scratch) = weighing.setting(profile)?;
    if let Some(seed) = wanted.seed {
        (setting.seed, setting.salt) = (seed, None);
    }
    setting.asked = scope.option();
    let out = arguments.out.as_deref();
    // Before anything is written there: two judges at one place would mix.
    let claim = out.map(Claim::of).transpose()?;
    claim.iter().for_each(|claim| keeper.holds(claim));
    if setting.isolation.cell.as_ref().is_some_and(|cell| cell.order.watched) {
        interrupt::do_not_stop().map_err(CommandError::harness)?;
        if !setting.device.is_gpu() {
            // Its memory and its open files are not for others of its user. A driver may look at both ends of
            // shared memory, so not on a GPU.
            nix::sys::prctl::set_dumpable(false).map_err(CommandError::harness)?;
        }
    }
    let journal = resumed.as_ref().map(|resumed| resumed.path());
    let secret = Secret::prepare(out, journal)?;
    setting.secret = secret.views();
    let selection = &wanted.selection;
    let suite = Suite { spec: &embedded.spec, cases: &embedded.cases, profile, selection };
    let mut run = begin(setting, suite)?;
    scope.narrow(&mut run)?;
    run.record.parts[0].known = known;
    if let Some(resumed) = &resumed {
        resume::restrict(&mut run, resumed)?;
    } else if run.plan.scheduled.is_empty() {
        return Err(nothing_selected());
    }
    if let Some(code) = arguments.parting.apply(&wanted, &mut run, out, json)? {
        return Ok(code);
    }
    let files = match &resumed {
        Some(resumed) => resume::files(resumed, out),
        None => out.map_or_else(RunFiles::new_folder, |prefix| Ok(RunFiles::at(prefix)))?,
    };
    let part = run.record.parts[0].clone();
    let display = Arc::new(Display::new(run.plan.scheduled.len(), show));
    keeper.begin(|| {
        let (header, mut parts, earlier, journal) = match resumed {
            Some(resumed) => {
                let (header, parts) = (resumed.header.clone(), resumed.parts.clone());
                let earlier = resumed.cases.clone();
                (header, parts, earlier, resumed.go_on(&files.journal, &part).map_err(unwritten)?)
            }
            None => {
                let header = header(&run, weighing.jobs);
                let journal = Journal::begin(&files.journal, &header).map_err(unwritten)?;
                (header, Vec::new(), Vec::new(), journal)
            }
        };
        parts.push(part);
        Ok(Books { header, parts, earlier, journal, files, display })
    })?;
    let record = run.carry_out(&keeper);
    keeper.end(record)
}

/// What the journal says before the first case.
fn header(run: &Run<'_>, jobs: Option<usize>) -> Header {
    let scheduled = run.plan.scheduled.iter().map(|case| Scheduled {
        id: case.id(),
        requirement: case.requirement.clone(),
        tries: case.tries.clone(),
        repeat: run.context.setting.repeat_command(&case.id()),
    });
    Header {
        options: Some(resume::options(&run.context.setting, jobs)),
        classes: run.record.classes.clone(),
        ..Header::new(
            run.record.subject.clone(),
            run.record.parts[0].clone(),
            run.record.requirements.clone(),
            scheduled.collect(),
        )
    }
}

/// A journal that another run writes to was named by mistake.
fn unwritten(error: WriteError) -> CommandError {
    let busy = |source: &std::io::Error| source.kind() == std::io::ErrorKind::ResourceBusy;
    match &error {
        WriteError::File { source, .. } if busy(source) => CommandError::usage(error),
        _ => CommandError::harness(error),
    }
}
