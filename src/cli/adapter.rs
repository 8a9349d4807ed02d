//! `weighbridge adapter`: for whoever plugs a loader in. A smoke test, and a look at what is said.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::fault::print;
use super::weighing::{Embedded, Weighing};
use super::{Stop, exit};
use crate::contract::capability::{self, Capability};
use crate::contract::request::{DtypePolicy, Format, Load, Request};
use crate::contract::{Class, Device};
use crate::harness::case::Case;
use crate::harness::client::{Bounds, Client, GOODBYE, HELLO, Outcome, Pipe, greet};
use crate::harness::record::Verdict;
use crate::harness::report::first_failure;
use crate::harness::run::Lab;
use crate::harness::run::suite_run::plan::Setting;
use crate::harness::run::suite_run::worker::{Tally, Worker};

/// A file that every loader takes, and one that none may.
const GOOD: &str = "F-PARSE-036::readme_smallest";
const BAD: &str = "F-PARSE-043::one_byte_short";

/// Help for plugging a loader in.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try one good file, one bad one and one thing that is not supported, and say what is missing.
    Check {
        /// The loader's manifest.
        manifest: PathBuf,
    },
    /// Try one case and show what was said: `>` before what is asked, `<` before what comes back.
    Trace {
        /// The loader's manifest.
        manifest: PathBuf,
        /// The case's id; a file that every loader takes unless given.
        #[arg(long, default_value = GOOD)]
        case: String,
    },
}

/// Runs the subcommand.
///
/// # Errors
/// Where the manifest is wrong, the case unknown, or the loader cannot be started.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, Stop> {
    match &arguments.command {
        Command::Check { manifest } => check(manifest, out),
        Command::Trace { manifest, case } => trace(manifest, case, out),
    }
}

/// The host profile's setting for this loader: what a smoke test tries needs no GPU.
fn setting(manifest: &Path, embedded: &Embedded) -> Result<(Setting, tempfile::TempDir), Stop> {
    let weighing = Weighing { loader: Some(manifest.to_path_buf()), ..Weighing::strict() };
    weighing.setting(embedded.profile("host")?)
}

fn named<'e>(embedded: &'e Embedded, id: &str) -> Result<&'e Case, Stop> {
    embedded.cases.cases().iter().find(|case| case.id() == id).ok_or_else(|| {
        Stop::usage(format!("no case has this id: {id} (`weighbridge list` shows requirements)"))
    })
}

fn check(manifest: &Path, out: &mut dyn Write) -> Result<u8, Stop> {
    let embedded = Embedded::read()?;
    let (setting, _scratch) = setting(manifest, &embedded)?;
    let broken = |why| Stop::harness(format!("the loader cannot be weighed: {why}"));
    let mut client =
        Box::new(Pipe::start(&setting.manifest.spawn(&setting.scratch)).map_err(broken)?);
    let own = greet(client.as_mut(), &setting.scratch, &setting.greeting()).map_err(|why| {
        Stop::harness(format!(
            "the loader cannot be weighed: {why}\n  its stderr: {}\n  remedy: answer `hello` as \
             src/contract/reply.rs says, every capability named",
            client.stderr_tail().trim()
        ))
    })?;
    print(out, &format!("hello        {} {}\n", own.name, own.version))?;
    let undeclared = undeclared(&setting, &own.capabilities);
    let (line, mut sound) = match &undeclared {
        None => ("nothing to try: it declares all that could be asked for".to_owned(), true),
        Some((what, request)) => {
            let asked = client.ask(Request::Load(request.clone()), &Bounds::within(HELLO));
            match asked.outcome {
                Outcome::Failure(failure) if failure.class == Class::Unsupported => {
                    (format!("refused as it should: {what}"), true)
                }
                other => (
                    format!("{what}: expected a failure of class unsupported, found {other:?}"),
                    false,
                ),
            }
        }
    };
    let _ending = client.end(GOODBYE);
    let unsupported = format!("unsupported  {line}\n");
    let lab = Lab::new(setting);
    let tally = Tally::default();
    let mut worker = Worker::new(&lab, &tally);
    for (label, id) in [("good file", GOOD), ("bad file", BAD)] {
        let record = worker.try_case(named(&embedded, id)?);
        let line = match record.verdict {
            Verdict::Pass => format!("{label:12} {id}: passed\n"),
            _ => format!("{label:12} {}", first_failure(&record)),
        };
        sound &= record.verdict == Verdict::Pass;
        print(out, &line)?;
    }
    print(out, &unsupported)?;
    print(out, "\nnot supported, by its own word:\n")?;
    for (capability, support) in own.capabilities.iter().filter(|(_, support)| !support.supported) {
        let reason = support.reason.as_deref().unwrap_or_default();
        print(out, &format!("  {:22} {reason}\n", capability::name(*capability)))?;
    }
    Ok(if sound { exit::CORROBORATED } else { exit::REFUTED })
}

/// Something that the loader says it cannot do, and a load that asks for it.
fn undeclared(
    setting: &Setting,
    capabilities: &crate::contract::Capabilities,
) -> Option<(String, Load)> {
    let plain = Load::plain(setting.scratch.join("model"), Device::Cpu);
    let gguf = Load { format: Format::Gguf, ..plain.clone() };
    let apr = Load { format: Format::Apr, ..plain.clone() };
    let cuda = Load { device: Device::Cuda(0), ..plain.clone() };
    let widened = Load { keep: DtypePolicy::F32, ..plain.clone() };
    [
        (Capability::FormatGguf, gguf),
        (Capability::FormatApr, apr),
        (Capability::DeviceCuda, cuda),
        (Capability::Widen, widened),
    ]
    .into_iter()
    .find(|(one, _)| capabilities.get(one).is_some_and(|support| !support.supported))
    .map(|(one, load)| (format!("a load that needs {}", capability::name(one)), load))
}

fn trace(manifest: &Path, case: &str, out: &mut dyn Write) -> Result<u8, Stop> {
    let embedded = Embedded::read()?;
    let case = named(&embedded, case)?;
    let (setting, scratch) = setting(manifest, &embedded)?;
    let file = scratch.path().join("transcript");
    let lab = Lab::new(Setting { transcript: Some(file.clone()), ..setting });
    let tally = Tally::default();
    let mut worker = Worker::new(&lab, &tally);
    let record = worker.try_case(case);
    // How it takes its leave is part of what is said.
    let ending = worker.end();
    let said = std::fs::read(&file).unwrap_or_default();
    print(out, &String::from_utf8_lossy(&said))?;
    print(
        out,
        &match record.verdict {
            Verdict::Pass => format!("{}: pass\n", record.id),
            _ => first_failure(&record),
        },
    )?;
    if let Err(broken) = ending {
        print(out, &format!("at bye: {broken}\n"))?;
    }
    Ok(if record.verdict == Verdict::Pass { exit::CORROBORATED } else { exit::REFUTED })
}
