//! `weighbridge adapter`: a first test of a new loader, and a transcript of its messages.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::fault::print;
use super::weighing::{Embedded, Isolation, Weighing};
use super::{CommandError, exit, lookup};
use crate::contract::capability::{self, Capability};
use crate::contract::request::{DtypePolicy, Format, Load, Request};
use crate::contract::{Class, Device};
use crate::harness::case::Case;
use crate::harness::client::{Bounds, Client, GOODBYE, HELLO, Outcome, Pipe, greet};
use crate::harness::record::Verdict;
use crate::harness::report::first_failure;
use crate::harness::run::RunContext;
use crate::harness::run::case_run::setting::Setting;
use crate::harness::run::suite_run::worker::{Tally, Worker};
use crate::harness::scratch::Scratch;

/// A case with a file that every loader must load, and one with a file that every loader must
/// refuse.
const GOOD: &str = "F-PARSE-036::readme_smallest";
const BAD: &str = "F-PARSE-043::one_byte_short";

/// Try a loader quickly, before `certify`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try a good file, a bad file and something unsupported, and say what is missing.
    ///
    /// Exit codes: 0 the loader behaved as it should, 1 it did not, 2 usage, 5 it cannot be tested.
    Check {
        /// The loader's manifest.
        manifest: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Run one case and show the messages: `>` before requests, `<` before answers.
    ///
    /// Exit codes: 0 the case passes, 1 it does not, 2 usage.
    Trace {
        /// The loader's manifest.
        manifest: PathBuf,
        /// The id of the case. The default is a file that every loader accepts.
        #[arg(long, value_name = "ID", default_value = GOOD)]
        case: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the subcommand.
///
/// # Errors
/// If the manifest is wrong, the case unknown, or the loader cannot be started.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    match &arguments.command {
        Command::Check { manifest, json } => check(manifest, *json, out),
        Command::Trace { manifest, case, json } => trace(manifest, case, *json, out),
    }
}

/// The setting of the host profile for this loader, because this test needs no GPU.
fn setting(manifest: &Path, embedded: &Embedded) -> Result<(Setting, Scratch), CommandError> {
    let weighing = Weighing {
        loader: Some(manifest.to_path_buf()),
        isolation: Isolation::Auto,
        ..Weighing::strict()
    };
    weighing.setting(embedded.profile("host")?)
}

fn named<'e>(embedded: &'e Embedded, id: &str) -> Result<&'e Case, CommandError> {
    Ok(lookup::case(id, embedded.cases.cases())?)
}

fn check(manifest: &Path, as_json: bool, out: &mut dyn Write) -> Result<u8, CommandError> {
    let embedded = Embedded::read()?;
    let (setting, _scratch) = setting(manifest, &embedded)?;
    let broken = |why| CommandError::harness(format!("the loader cannot be tested: {why}"));
    let mut client =
        Box::new(Pipe::start(&setting.manifest.spawn(&setting.scratch)).map_err(broken)?);
    let own = greet(client.as_mut(), &setting.scratch, &setting.greeting()).map_err(|why| {
        CommandError::harness(format!(
            "the loader cannot be tested: {why}\n  its stderr: {}\n  remedy: answer `hello` as the \
             skeletons of `weighbridge init` do",
            client.stderr_tail().trim()
        ))
    })?;
    let mut tell = |line: &str| if as_json { Ok(()) } else { print(out, line) };
    tell(&format!("hello        {} {}\n", own.name, own.version))?;
    let undeclared = undeclared(&setting, &own.capabilities);
    let (line, mut sound) = match &undeclared {
        None => (
            "nothing to try: the loader declares every capability that could be asked for"
                .to_owned(),
            true,
        ),
        Some((what, request)) => {
            let asked = client.ask(Request::Load(request.clone()), &Bounds::within(HELLO));
            match asked.outcome {
                Outcome::Failure(failure) if failure.class == Class::Unsupported => {
                    (format!("refused, as it should be: {what}"), true)
                }
                other => {
                    let found = found(&other);
                    let line =
                        format!("{what}: expected a failure of class unsupported, found {found}");
                    (line, false)
                }
            }
        }
    };
    let _ending = client.end(GOODBYE);
    let sound_refusal = sound;
    let context = RunContext::new(setting);
    let tally = Tally::default();
    let mut worker = Worker::new(&context, &tally);
    let mut tried = Vec::new();
    for (label, id) in [("good file", GOOD), ("bad file", BAD)] {
        let record = worker.try_case(named(&embedded, id)?);
        let failure = (record.verdict != Verdict::Pass).then(|| first_failure(&record));
        tell(&match &failure {
            None => format!("{label:12} {id}: passed\n"),
            Some(failure) => format!("{label:12} {failure}"),
        })?;
        sound &= failure.is_none();
        tried.push(json!({"case": id, "verdict": record.verdict, "failure": failure}));
    }
    tell(&format!("unsupported  {line}\n\nnot supported, as the loader says itself:\n"))?;
    let mut lacking = Map::new();
    for (capability, support) in own.capabilities.iter().filter(|(_, support)| !support.supported) {
        let reason = support.reason.as_deref().unwrap_or_default();
        tell(&format!("  {:22} {reason}\n", capability::name(*capability)))?;
        lacking.insert(capability::name(*capability), json!(reason));
    }
    if as_json {
        let value = json!({
            "sound": sound,
            "hello": {"name": own.name, "version": own.version},
            "cases": tried,
            "unsupported": {"sound": sound_refusal, "what": line},
            "not_supported": lacking,
        });
        print(out, &format!("{value}\n"))?;
    }
    Ok(if sound { exit::CORROBORATED } else { exit::REFUTED })
}

/// Describes the answer that came instead of a refusal.
fn found(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Reply(_) => "an answer, as if it were supported".to_owned(),
        Outcome::Broken(broken) => format!("no valid answer: {broken}"),
        Outcome::Failure(failure) => {
            let word = |value: Value| value.as_str().unwrap_or_default().to_owned();
            let (class, phase) = (word(json!(failure.class)), word(json!(failure.phase)));
            format!("{class} in phase {phase} with code {}: {failure}", failure.code.name())
        }
    }
}

/// A capability that the loader declares as unsupported, and a load that needs it.
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
    .find(|(one, _)| capabilities.get(one).is_none_or(|support| !support.supported))
    .map(|(one, load)| (format!("a load that needs {}", capability::name(one)), load))
}

fn trace(
    manifest: &Path,
    case: &str,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<u8, CommandError> {
    let embedded = Embedded::read()?;
    let case = named(&embedded, case)?;
    let (setting, scratch) = setting(manifest, &embedded)?;
    let file = scratch.path().join("transcript");
    let context = RunContext::new(Setting { transcript: Some(file.clone()), ..setting });
    let tally = Tally::default();
    let mut worker = Worker::new(&context, &tally);
    let record = worker.try_case(case);
    // The end of the process is part of the transcript.
    let ending = worker.end();
    let said = std::fs::read(&file).unwrap_or_default();
    let code = if record.verdict == Verdict::Pass { exit::CORROBORATED } else { exit::REFUTED };
    if as_json {
        let value = json!({
            "case": record.id,
            "verdict": record.verdict,
            "failure": (record.verdict != Verdict::Pass).then(|| first_failure(&record)),
            "messages": String::from_utf8_lossy(&said).lines().collect::<Vec<_>>(),
            "at_bye": ending.err().map(|broken| broken.to_string()),
        });
        print(out, &format!("{value}\n"))?;
        return Ok(code);
    }
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
    Ok(code)
}
