//! Runs the loader's command-line programs as a user would, and judges what they print and do.

mod answer;

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::contract::Device;
use crate::gpu::{self, nvml};
use crate::harness::case::cli::{Cli, Program};
use crate::harness::cell;
use crate::harness::family;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::words::plain;
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// Time between two checks of a process.
const LOOK: Duration = Duration::from_millis(5);

/// Bytes of an output that are checked, and characters of it that are shown if it is wrong.
const MOST: u64 = 1 << 20;
const SHOWN: usize = 300;

/// Bytes that a program may write to one of its outputs. One that writes more is killed.
const LONGEST: u64 = 64 << 20;

/// What was seen of a run.
struct Seen {
    status: Option<ExitStatus>,
    /// Why it was killed, if it was.
    killed: Option<&'static str>,
    out: String,
    err: String,
    /// Most device memory that NVML listed for the process on the run's card; nothing where it was never
    /// listed there.
    on_gpu: Option<u64>,
    /// The same on all other cards.
    elsewhere: Option<u64>,
}

/// Runs one of the manifest's programs and judges what it does.
pub fn cli(case_run: &mut CaseRun<'_>, step: &Cli) -> Result<(), CaseEnd> {
    case_run.begin(format!("run the loader's command: {}", plain(step.command)));
    let manifest = &case_run.context.setting.manifest;
    let programs = manifest.written.cli.clone().unwrap_or_default();
    let words = match step.command {
        Program::Run => programs.run,
        Program::Chat => programs.chat,
        Program::Validate => programs.validate,
        Program::Inspect => programs.inspect,
    };
    let Some(mut words) = words else {
        return Err(CaseEnd::Untested(format!(
            "the manifest names no command {}",
            plain(step.command)
        )));
    };
    let folder = case_run.placed_model(&step.model)?.folder.clone();
    words.push(folder.display().to_string());
    let acts = matches!(step.command, Program::Run | Program::Chat);
    let gpu = step.gpu.unwrap_or(case_run.device().is_gpu());
    if acts {
        words.extend(placed(gpu, case_run.device()));
    }
    if let (Program::Run, Some(said)) = (step.command, step.say.first()) {
        words.extend(["--prompt".to_owned(), said.clone()]);
    }
    if step.verbose {
        words.push("--verbose".to_owned());
    }
    if step.skip_contract {
        words.push("--skip-contract".to_owned());
    }
    let seen = run(case_run, &words, step)?;
    judge(case_run, step, &seen)
}

fn judge(case_run: &mut CaseRun<'_>, step: &Cli, seen: &Seen) -> Result<(), CaseEnd> {
    let code = seen.status.and_then(|status| status.code());
    let found = match (code, seen.status) {
        (Some(code), _) => code.to_string(),
        // No exit code: a signal ended the process.
        (None, Some(status)) => status.to_string(),
        (None, None) => format!("{} and was killed", seen.killed.unwrap_or("did not end")),
    };
    let last = seen.err.lines().last().unwrap_or_default();
    let wanted: Vec<String> = step.exits.iter().map(ToString::to_string).collect();
    let wanted = wanted.join(" or ");
    let found = if last.is_empty() { found } else { format!("{found}: {last}") };
    case_run.check(Check::one_of("exit code", wanted, found, Basis::Observed))?;
    if step.silent {
        let found = (!seen.out.trim().is_empty()).then(|| excerpt(&seen.out, None));
        case_run.check(Check::absent("output", "nothing", found, Basis::Observed))?;
    }
    for part in &answer::wanted(case_run, step)? {
        let found = excerpt(&seen.out, seen.out.find(part.as_str()).map(|at| at..at + part.len()));
        let wanted = format!("a text with {}", json!(part));
        case_run.check(Check::contains("output", wanted, found, Basis::Observed))?;
    }
    for part in &step.says {
        let all = format!("{}\n{}", seen.out, seen.err).to_lowercase();
        let part = part.to_lowercase();
        let found = excerpt(&all, all.find(&part).map(|at| at..at + part.len()));
        let wanted = format!("the word {}", json!(part));
        case_run.check(Check::mentions("what it says", wanted, found, Basis::Observed))?;
    }
    match step.on_gpu {
        None => Ok(()),
        Some(wanted) => {
            let found = match (seen.on_gpu, seen.elsewhere) {
                (None, None) => "never listed on a GPU".to_owned(),
                (Some(bytes), None) => format!("{bytes} bytes on the GPU"),
                (None, Some(bytes)) => format!("{bytes} bytes on another GPU"),
                (Some(bytes), Some(other)) => {
                    format!("{bytes} bytes on the GPU, {other} on another")
                }
            };
            let held = on_the_card(seen.on_gpu, seen.elsewhere) == Some(wanted);
            let found = if held { Ok(found) } else { Err(found) };
            let wanted = if wanted { "listed on the GPU" } else { "never listed on a GPU" };
            case_run.check(Check::judged("the process, by NVML", wanted, found, Basis::Observed))
        }
    }
}

/// The words that name the device. The first card has the short name that every program must know.
fn placed(gpu: bool, device: Device) -> Vec<String> {
    let words: &[&str] = match (gpu, device) {
        (false, _) => &["--no-gpu"],
        (true, Device::Cuda(1..)) => &["--device"],
        (true, Device::Cpu | Device::Cuda(0)) => &["--gpu"],
    };
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    if words == ["--device"] {
        words.push(device.to_string());
    }
    words
}

/// Whether a process computes on the run's card; nothing where it computes on another. A context alone may
/// stand on any card, so the card with most of its memory counts.
fn on_the_card(here: Option<u64>, elsewhere: Option<u64>) -> Option<bool> {
    match (here, elsewhere) {
        (None, None) => Some(false),
        (Some(here), other) if here >= other.unwrap_or(0) => Some(true),
        _ => None,
    }
}

/// The beginning of a text, quoted as JSON does, or the place where it has what was looked for.
fn excerpt(text: &str, place: Option<Range<usize>>) -> String {
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(at, _)| at);
    let shown = match place {
        Some(place) if place.end > end => {
            let before = text[..place.end].char_indices().rev().nth(SHOWN - 1);
            &text[before.map_or(0, |(at, _)| at).min(place.start)..place.end]
        }
        _ => &text[..end],
    };
    json!(shown).to_string()
}

fn run(case_run: &CaseRun<'_>, words: &[String], step: &Cli) -> Result<Seen, CaseEnd> {
    let fault = |error: std::io::Error| CaseEnd::Fault(format!("running a command: {error}"));
    let file = || tempfile::tempfile().map_err(fault);
    let (mut input, mut out, mut err) = (file()?, file()?, file()?);
    for said in &step.say {
        writeln!(input, "{said}").map_err(fault)?;
    }
    input.rewind().map_err(fault)?;
    let shared = |file: &File| file.try_clone().map_err(fault);
    let cannot = |error: std::io::Error| {
        CaseEnd::Untested(format!("{} cannot be started: {error}", words[0]))
    };
    let setting = &case_run.context.setting;
    let mut spawn = setting.spawn(&setting.manifest).map_err(fault)?;
    spawn.program = PathBuf::from(&words[0]);
    spawn.args = words[1..].iter().map(OsString::from).collect();
    let mut child = spawn
        .command()
        .map_err(cannot)?
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(shared(&out)?))
        .stderr(Stdio::from(shared(&err)?))
        // What a terminal's keys send is for the judge alone, which ends its processes itself.
        .process_group(0)
        .spawn()
        .map_err(cannot)?;
    let mut pid = None;
    let deadline = Instant::now() + case_run.context.setting.patience * 4;
    let device = case_run.device();
    let cards = if device.is_gpu() { gpu::device_count().unwrap_or(0) } else { 0 };
    let (mut on_gpu, mut elsewhere): (Option<u64>, Option<u64>) = (None, None);
    let mut killed = None;
    let status = loop {
        if pid.is_none() && cards > 0 {
            pid = cell::loader_of(child.id(), spawn.level());
        }
        for ordinal in 0..cards {
            let Some(pid) = pid else { break };
            if let Ok(Some(bytes)) = nvml::process_memory(pid, ordinal) {
                let own = Device::Cuda(ordinal) == device;
                let most = if own { &mut on_gpu } else { &mut elsewhere };
                *most = Some(most.unwrap_or(0).max(bytes));
            }
        }
        match child.try_wait().map_err(fault)? {
            Some(status) => break Some(status),
            None => {
                let length = |file: &File| file.metadata().map_or(0, |data| data.len());
                if length(&out).max(length(&err)) > LONGEST {
                    killed = Some("wrote more than 64 MiB");
                } else if Instant::now() > deadline {
                    killed = Some("did not end in time");
                }
                if killed.is_some() {
                    // Its descendants would outlive it where there are no namespaces.
                    family::end(&|| family::descendants(child.id()), Duration::ZERO);
                    let _gone = child.kill();
                    let _reaped = child.wait();
                    break None;
                }
                thread::sleep(LOOK);
            }
        }
    };
    // Without a cell, nobody else ends what it has started.
    family::end(&|| family::started_for(&spawn.scratch), Duration::ZERO);
    let read = |file: &mut File| -> Result<String, CaseEnd> {
        file.rewind().map_err(fault)?;
        let mut text = Vec::new();
        file.take(MOST).read_to_end(&mut text).map_err(fault)?;
        // A command may print anything.
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    Ok(Seen { status, killed, out: read(&mut out)?, err: read(&mut err)?, on_gpu, elsewhere })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_but_the_first_is_named_by_its_ordinal() {
        assert_eq!(placed(true, Device::Cuda(0)), ["--gpu"]);
        assert_eq!(placed(true, Device::Cuda(3)), ["--device", "cuda:3"]);
        assert_eq!(placed(false, Device::Cuda(3)), ["--no-gpu"]);
        assert_eq!(placed(false, Device::Cpu), ["--no-gpu"]);
    }

    #[test]
    fn the_first_card_in_place_of_the_runs_card_is_seen() {
        assert_eq!(on_the_card(Some(500), None), Some(true));
        assert_eq!(on_the_card(Some(500), Some(300)), Some(true), "a mere context elsewhere");
        assert_eq!(on_the_card(None, Some(500)), None, "on the wrong card");
        assert_eq!(on_the_card(Some(300), Some(500)), None, "a mere context here");
        assert_eq!(on_the_card(None, None), Some(false));
    }
}
