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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::contract::Capability;
    use crate::harness::manifest::{RustCrate, Toolchain};
    use crate::harness::run::trial::{self, Tried};

    fn words(line: &[&str]) -> Option<Vec<String>> {
        Some(line.iter().map(|word| (*word).to_owned()).collect())
    }

    fn empty() -> Toolchain {
        Toolchain { build: None, test_build: None, lint: None, docs: None, rust_crate: None }
    }

    /// Carries out one step with a manifest in a folder.
    fn tried(step: &str, folder: &Path, toolchain: Option<Toolchain>) -> Tried {
        let case = trial::case("{}", "{}", &format!("[{step}]"));
        let change = |setting: &mut crate::harness::run::Setting| {
            setting.manifest.folder = folder.to_owned();
            setting.manifest.written.toolchain = toolchain;
            setting.manifest.written.source = Some("src".into());
        };
        trial::tried(&case, &Capability::ALL, change, |_| None)
    }

    #[test]
    fn a_command_passes_only_if_it_exits_with_0() {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = || {
            Some(Toolchain {
                build: words(&["true"]),
                lint: words(&["sh", "-c", "echo two warnings >&2; exit 3"]),
                test_build: words(&["/no/such/program"]),
                ..empty()
            })
        };
        let built = tried("{command: build}", folder.path(), toolchain());
        assert!(built.end.is_ok() && built.steps[0].checks.len() == 1, "{:?}", built.end);
        assert_eq!(built.steps[0].claim, Some(serde_json::json!({ "tail": null })));
        let linted = tried("{command: lint}", folder.path(), toolchain());
        assert!(matches!(linted.end, Err(CaseEnd::Failed)));
        assert_eq!(linted.broken(), Some(("exit", "exit status: 3")));
        let told = linted.steps[0].claim.clone().unwrap();
        assert_eq!(told, serde_json::json!({ "tail": "two warnings\n" }));
        // What cannot be tried neither passes nor fails.
        let absent = tried("{command: test_build}", folder.path(), toolchain());
        assert!(absent.why().starts_with("no toolchain here: "), "{:?}", absent.end);
        let unnamed = tried("{command: docs}", folder.path(), toolchain());
        assert_eq!(unnamed.why(), "the manifest names no docs command");
        let none = tried("{command: build}", folder.path(), None);
        assert_eq!(none.why(), "the manifest names no build command");
    }

    #[test]
    fn a_name_must_be_in_the_crate() {
        let folder = tempfile::tempdir().unwrap();
        let tiny = folder.path().join("tiny");
        fs::create_dir_all(tiny.join("src")).unwrap();
        let package =
            "[package]\nname = \"tiny\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
        fs::write(tiny.join("Cargo.toml"), package).unwrap();
        fs::write(
            tiny.join("src/lib.rs"),
            "// Absent\npub struct Loader;\nimpl Loader { pub fn load() {} }\n",
        )
        .unwrap();
        let named = |kind: &str, requirement: &str, path: &str| {
            let rust_crate = RustCrate {
                path: "tiny".into(),
                name: "tiny".to_owned(),
                features: Vec::new(),
                names: BTreeMap::from([(requirement.to_owned(), path.to_owned())]),
            };
            let toolchain = Toolchain { rust_crate: Some(rust_crate), ..empty() };
            tried(&format!("{{name: {kind}}}"), folder.path(), Some(toolchain))
        };
        for (kind, path, exists) in [
            ("type", "tiny::Loader", true),
            ("method", "tiny::Loader::load", true),
            ("type", "tiny::Absent", false),
            ("method", "tiny::Loader::absent", false),
        ] {
            let tried = named(kind, "OWN-1", path);
            assert_eq!(tried.end.is_ok(), exists, "{path}: {:?}", tried.steps);
            assert_eq!(tried.broken().map(|(what, _)| what), (!exists).then_some("exit"));
        }
        let other = named("type", "F-BUILD-002", "tiny::Loader");
        assert_eq!(other.why(), "the manifest names nothing for OWN-1");
        let none = tried("{name: type}", folder.path(), Some(empty()));
        assert_eq!(none.why(), "the manifest names no Rust crate to probe");
    }

    #[test]
    fn bare_unsafe_is_found_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let scanned = || tried("{sources: {}}", folder.path(), None);
        assert!(scanned().why().contains("src"), "no folder: {:?}", scanned().end);
        let src = folder.path().join("src");
        fs::create_dir(&src).unwrap();
        assert_eq!(scanned().broken(), Some(("Rust files read", "0")));
        let argued = "// SAFETY: it reads nothing.\nfn f() { unsafe { g() } }\n";
        fs::write(src.join("a.rs"), argued).unwrap();
        assert!(scanned().end.is_ok(), "{:?}", scanned().steps);
        fs::write(src.join("b.rs"), "\nfn f() { unsafe { g() } }\n").unwrap();
        let found = scanned();
        let (what, place) = found.broken().unwrap();
        assert_eq!(what, "bare unsafe among 2 uses");
        assert!(place.ends_with("b.rs:2"), "{place}");
    }
}
