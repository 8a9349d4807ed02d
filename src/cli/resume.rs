//! `certify --resume`: takes what an interrupted run has decided, and sets up the rest of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::CommandError;
use super::run_folder::RunFiles;
use super::weighing::Weighing;
use crate::harness::evidence::digest::sha256_file;
use crate::harness::hex::hex;
use crate::harness::manifest::Manifest;
use crate::harness::record::Part;
use crate::harness::record::journal::{Interrupted, Options, ResumeError};
use crate::harness::record::merge::differences;
use crate::harness::run::Run;
use crate::harness::run::case_run::setting::Setting;

/// Opens the journal of an interrupted run.
///
/// # Errors
/// If it is none, is complete, or another run writes to it.
pub fn open(path: &Path) -> Result<Interrupted, CommandError> {
    Interrupted::open(path).map_err(|error| match error {
        ResumeError::Unreadable { .. } => {
            CommandError::usage(format!("{error}\n  remedy: name the journal of a run"))
        }
        error => CommandError::usage(error),
    })
}

/// What a run was started with that its part does not say.
pub fn options(setting: &Setting, jobs: Option<usize>) -> Options {
    // The run may be resumed from another folder.
    let whole = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let manifest_of = |manifest: &Manifest| manifest.file.as_ref().map(whole);
    Options {
        loader: manifest_of(&setting.manifest),
        loader_sha256: loader_sha256(&setting.manifest),
        model: setting.checkpoint.clone(),
        gguf_runtime: setting.gguf_runtime.as_ref().and_then(manifest_of),
        patience: setting.patience.as_secs_f64(),
        waiting: setting.waiting.map(|waiting| waiting.as_secs_f64()),
        jobs,
    }
}

/// The arguments of the interrupted run. Where the files go, and how many workers there are, may be
/// given anew.
///
/// # Errors
/// If the journal does not say them.
pub fn weighing(of: &Interrupted, given: &Weighing) -> Result<Weighing, CommandError> {
    let unknown = |what: &str| {
        CommandError::usage(format!(
            "{}: the journal does not say {what} of its run\n  remedy: begin a new run",
            of.path().display()
        ))
    };
    let (header, part) = (&of.header, &of.header.part);
    let options = header.options.clone().ok_or_else(|| unknown("how to start the loader"))?;
    // A seed that was secret is told by now, or lost.
    let seed = match part.commitment {
        Some(_) => None,
        None => Some(u64::from_str_radix(&part.seed, 16).map_err(|_| unknown("the seed"))?),
    };
    Ok(Weighing {
        profile: Some(header.subject.profile.clone()),
        device: Some(part.device.parse().map_err(|_| unknown("the device"))?),
        loader: options.loader,
        section: Vec::new(),
        case: Vec::new(),
        jobs: given.jobs.or(options.jobs),
        seed,
        model: options.model,
        gguf_runtime: options.gguf_runtime,
        patience: Duration::try_from_secs_f64(options.patience)
            .map_err(|_| unknown("the longest wait"))?
            .as_secs_f64(),
        waiting: options.waiting,
        ..given.clone()
    })
}

/// Takes the decided cases out of the plan, after it has checked that binary, suite and loader are
/// those of the interrupted run.
///
/// # Errors
/// Everything that differs.
pub fn restrict(run: &mut Run<'_>, of: &Interrupted) -> Result<(), CommandError> {
    let header = &of.header;
    let mut differing: Vec<String> = differences(&header.subject, &run.record.subject)
        .iter()
        .map(|one| format!("{}: {} then, {} now", one.field, one.left, one.right))
        .collect();
    let own = &mut run.record.parts[0];
    differing.extend(loader_differs(&header.part, own));
    let digest = loader_sha256(&run.context.setting.manifest);
    if header.options.as_ref().is_some_and(|options| options.loader_sha256 != digest) {
        differing.push("the loader's manifest or program was changed".to_owned());
    }
    if !differing.is_empty() {
        return Err(CommandError::usage(format!(
            "{} cannot be resumed: this run would not test the same:\n  {}\n  remedy: resume with the \
             binary and the loader that began the run, or begin a new run",
            of.path().display(),
            differing.join("\n  ")
        )));
    }
    *own = Part {
        started: own.started.clone(),
        seed: own.seed.clone(),
        commitment: own.commitment.clone(),
        seed_given: own.seed_given,
        isolation: own.isolation.clone(),
        machine: own.machine.clone(),
        jobs: own.jobs,
        health: own.health.clone(),
        seconds: 0.0,
        processes: 0,
        waited_us: 0,
        measured: std::collections::BTreeMap::new(),
        waiting: own.waiting.clone(),
        unjournalled: 0,
        ..header.part.clone()
    };
    let decided: BTreeSet<&str> = of.cases.iter().map(|case| case.id.as_str()).collect();
    let wanted: BTreeSet<&str> = (header.scheduled.iter().map(|case| case.id.as_str()))
        .filter(|id| !decided.contains(id))
        .collect();
    run.plan.scheduled.retain(|case| wanted.contains(case.id().as_str()));
    Ok(())
}

/// Where the run that goes on writes: to a new prefix, or where the interrupted one wrote.
pub fn files(of: &Interrupted, out: Option<&Path>) -> RunFiles {
    match out {
        Some(prefix) => RunFiles::at(prefix),
        None => RunFiles::of_journal(of.path()),
    }
}

/// In what the loader of two runs differs.
fn loader_differs(then: &Part, now: &Part) -> Vec<String> {
    let mut found = Vec::new();
    if then.command != now.command {
        let (then, now) = (then.command.join(" "), now.command.join(" "));
        found.push(format!("the loader's command: {then} then, {now} now"));
    }
    if then.environment != now.environment {
        found.push("the environment that the manifest sets".to_owned());
    }
    // The reasons may name amounts that change, such as free memory.
    let served = |part: &Part| -> BTreeSet<String> {
        let yes = part.capabilities.iter().filter(|(_, word)| *word == "yes");
        yes.map(|(name, _)| name.clone()).collect()
    };
    for name in &served(then) ^ &served(now) {
        found.push(format!("the loader's capability {name}"));
    }
    found
}

/// SHA-256 over what a loader is started from: its manifest, its program, and the files that its
/// command names.
fn loader_sha256(manifest: &Manifest) -> String {
    let mut hash = Sha256::new();
    let words = manifest.written.command.iter().map(|word| manifest.folder.join(word));
    let own = std::env::current_exe().ok();
    let file = manifest.file.iter().filter_map(|file| std::path::absolute(file).ok());
    for path in file.chain([manifest.program.clone()]).chain(words) {
        // The binary of the suite is compared as such.
        if path.is_file()
            && Some(&path) != own.as_ref()
            && let Ok(digest) = sha256_file(&path)
        {
            hash.update(format!("{}  {digest}\n", path.display()));
        }
    }
    hex(&hash.finalize())
}
