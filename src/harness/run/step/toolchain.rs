//! Steps that run the loader's own toolchain: build, lint, documentation, and a scan of its
//! sources.

use crate::harness::case::step::{Command, Named};
use crate::harness::evidence::sources::scan;
use crate::harness::evidence::toolchain::{self, Ran};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::words::plain;
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// Runs one of the manifest's commands.
pub fn command(case_run: &mut CaseRun<'_>, command: Command) -> Result<(), CaseEnd> {
    let manifest = case_run.context.setting.manifest.clone();
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
        .ok_or_else(|| {
            CaseEnd::Untested(format!("the manifest names no {} command", plain(command)))
        })?;
    case_run.begin(format!("run {}", line.join(" ")));
    let ran = case_run.gathering(|_| toolchain::run(line, &manifest.folder));
    finish(case_run, ran)
}

/// Compiles a probe that names what must exist.
pub fn name(case_run: &mut CaseRun<'_>, kind: Named) -> Result<(), CaseEnd> {
    let manifest = case_run.context.setting.manifest.clone();
    let requirement = case_run.case.requirement.clone();
    let toolchain = manifest.written.toolchain.as_ref();
    let Some(probed) = toolchain.and_then(|toolchain| toolchain.rust_crate.as_ref()) else {
        return Err(CaseEnd::Untested("the manifest names no Rust crate to probe".to_owned()));
    };
    let Some(path) = probed.names.get(&requirement) else {
        return Err(CaseEnd::Untested(format!("the manifest names nothing for {requirement}")));
    };
    case_run.begin(format!("compile a crate that names {path}"));
    let folder = manifest.folder.join(&probed.path);
    let ran =
        case_run.gathering(|this| toolchain::probe(&folder, probed, kind, path, this.folder()));
    finish(case_run, ran)
}

/// Scans the sources for bare `unsafe`.
pub fn sources(case_run: &mut CaseRun<'_>) -> Result<(), CaseEnd> {
    let manifest = case_run.context.setting.manifest.clone();
    let Some(folder) = manifest.source() else {
        return Err(CaseEnd::Untested("the manifest names no source folder".to_owned()));
    };
    case_run.begin("scan the sources for unsafe without an argument");
    let scan = case_run
        .gathering(|_| scan(&folder))
        .map_err(|error| CaseEnd::Untested(format!("{}: {error}", folder.display())))?;
    case_run.check(Check::within("Rust files read", "at least 1", scan.files, Basis::Observed))?;
    let bare: Vec<String> =
        scan.bare.iter().map(|(file, line)| format!("{}:{line}", file.display())).collect();
    let found = (!bare.is_empty()).then(|| bare.join(", "));
    let what = format!("bare unsafe among {} uses", scan.uses);
    case_run.check(Check::absent(what, "none", found, Basis::Observed))
}

fn finish(case_run: &mut CaseRun<'_>, ran: std::io::Result<Ran>) -> Result<(), CaseEnd> {
    let ran = ran.map_err(|error| CaseEnd::Untested(format!("no toolchain here: {error}")))?;
    // The output of a tool matters only if it failed. Otherwise it only describes one machine.
    let tail = if ran.succeeded { None } else { Some(&ran.tail) };
    case_run.claim(serde_json::json!({ "tail": tail }));
    let found = (!ran.succeeded).then(|| ran.status.to_string());
    case_run.check(Check::absent("exit", "exit status: 0", found, Basis::Observed))
}
