//! Section I: the loader's own toolchain, run where one is.

use crate::harness::case::step::{Command, Named};
use crate::harness::evidence::sources::scan;
use crate::harness::evidence::toolchain::{self, Ran};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Stop};

/// Runs one of the manifest's commands.
pub fn command(attempt: &mut Attempt<'_>, command: Command) -> Result<(), Stop> {
    let manifest = attempt.lab.setting.manifest.clone();
    let line = manifest
        .written
        .toolchain
        .as_ref()
        .and_then(|toolchain| match command {
            Command::Build => toolchain.build.as_ref(),
            Command::TestBuild => toolchain.test_build.as_ref(),
            Command::Lint => toolchain.lint.as_ref(),
            Command::Docs => toolchain.docs.as_ref(),
        })
        .ok_or_else(|| Stop::Untested(format!("the manifest names no {command:?} command")))?;
    attempt.begin(format!("run {}", line.join(" ")));
    let ran = attempt.gathering(|_| toolchain::run(line, &manifest.folder));
    finish(attempt, ran)
}

/// Compiles a probe that names what must exist.
pub fn name(attempt: &mut Attempt<'_>, kind: Named) -> Result<(), Stop> {
    let manifest = attempt.lab.setting.manifest.clone();
    let requirement = attempt.case.requirement.clone();
    let toolchain = manifest.written.toolchain.as_ref();
    let Some(probed) = toolchain.and_then(|toolchain| toolchain.rust_crate.as_ref()) else {
        return Err(Stop::Untested("the manifest names no Rust crate to probe".to_owned()));
    };
    let Some(path) = probed.names.get(&requirement) else {
        return Err(Stop::Untested(format!("the manifest names nothing for {requirement}")));
    };
    attempt.begin(format!("compile a crate that names {path}"));
    let folder = manifest.folder.join(&probed.path);
    let ran = attempt.gathering(|_| toolchain::probe(&folder, probed, kind, path));
    finish(attempt, ran)
}

/// Scans the sources for bare `unsafe`.
pub fn sources(attempt: &mut Attempt<'_>) -> Result<(), Stop> {
    let manifest = attempt.lab.setting.manifest.clone();
    let Some(folder) = manifest.source() else {
        return Err(Stop::Untested("the manifest names no source folder".to_owned()));
    };
    attempt.begin("scan the sources for unsafe without an argument");
    let scan = attempt
        .gathering(|_| scan(&folder))
        .map_err(|error| Stop::Untested(format!("{}: {error}", folder.display())))?;
    attempt.check(Check::of(
        "Rust files read",
        "at least 1",
        scan.files,
        scan.files > 0,
        Basis::Observed,
    ))?;
    let bare: Vec<String> =
        scan.bare.iter().map(|(file, line)| format!("{}:{line}", file.display())).collect();
    let found = if bare.is_empty() { "none".to_owned() } else { bare.join(", ") };
    attempt.check(Check::equal(
        format!("bare unsafe among {} uses", scan.uses),
        "none".to_owned(),
        found,
        Basis::Observed,
    ))
}

fn finish(attempt: &mut Attempt<'_>, ran: std::io::Result<Ran>) -> Result<(), Stop> {
    let ran = ran.map_err(|error| Stop::Untested(format!("no toolchain here: {error}")))?;
    // What a tool printed matters where it failed; else it only tells of one machine.
    let tail = if ran.succeeded { None } else { Some(&ran.tail) };
    attempt.claim(serde_json::json!({ "tail": tail }));
    attempt.check(Check::of("exit", "exit status: 0", ran.status, ran.succeeded, Basis::Observed))
}
