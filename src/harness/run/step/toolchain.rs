//! Section I: the loader's own toolchain, run where one is.

use super::super::attempt::{Attempt, Stop};
use crate::harness::case::step::{Command, Names};
use crate::harness::evidence::sources::scan;
use crate::harness::evidence::toolchain::{self, Ran};
use crate::harness::record::{Basis, Check};

/// Runs one of the manifest's commands.
pub fn command(attempt: &mut Attempt<'_>, command: Command) -> Result<(), Stop> {
    let manifest = attempt.lab.setting.manifest.clone();
    let line = manifest.toolchain_command(command).ok_or_else(|| {
        Stop::Untested(format!("the manifest names no {command:?} command"))
    })?;
    attempt.begin(format!("run {}", line.join(" ")));
    let ran = attempt.gathering(|_| toolchain::run(line, manifest.folder()));
    finish(attempt, ran)
}

/// Compiles a probe that names what must exist.
pub fn names(attempt: &mut Attempt<'_>, names: &Names) -> Result<(), Stop> {
    let manifest = attempt.lab.setting.manifest.clone();
    let Some(probed) = manifest.rust_crate() else {
        return Err(Stop::Untested("the manifest names no Rust crate to probe".to_owned()));
    };
    let all: Vec<&str> =
        names.types.iter().chain(&names.methods).map(String::as_str).collect();
    attempt.begin(format!("compile a crate that names {}", all.join(", ")));
    let ran = attempt
        .gathering(|_| toolchain::probe(&probed.path, &probed.name, &probed.module, names));
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
    attempt.claim(serde_json::json!({ "command": ran.line, "tail": ran.tail }));
    attempt.check(Check::of("exit", "exit status: 0", ran.status, ran.succeeded, Basis::Observed))
}
