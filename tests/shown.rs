//! What commands show while they work: each result as soon as it is known, nothing where nothing is
//! wanted, and JSON alone on stdout where JSON is asked for.

mod program;

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use program::{Ran, command, ran, weighbridge};
use tempfile::TempDir;
use weighbridge::harness::record::Report;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A run of a loader that fails several cases.
fn liar(folder: &TempDir, more: &[&str]) -> Ran {
    let exe = env!("CARGO_BIN_EXE_weighbridge");
    let manifest = folder.path().join("liar.yaml");
    fs::write(&manifest, format!("name: liar\ncommand: [{exe:?}, mutant, half-zeros]\n"))
        .expect("a manifest");
    let mut command = command(&["certify", "--profile", "host", "--section", "V", "--seed", "7"]);
    command.arg("--loader").arg(manifest).arg("--out").arg(folder.path().join("r")).args(more);
    ran(&mut command)
}

#[test]
fn every_failure_is_shown_and_stdout_is_json_alone() {
    let folder = folder();
    let told = liar(&folder, &["--json"]);
    assert_eq!(told.code, Some(1), "{}", told.err);
    let report: Report = serde_json::from_str(&told.out).expect("a report and no more");
    let failed: Vec<_> = report.record.cases.iter().filter(|case| case.verdict.refutes()).collect();
    assert!(failed.len() > 1, "one failure shows nothing here");
    for case in failed {
        let line = format!("{}: {}", case.id, case.verdict.name());
        assert!(told.err.contains(&line), "no {line:?} in {}", told.err);
    }
    assert!(!told.err.contains('\x1b') && !told.out.contains('\x1b'), "no terminal, no colours");
}

#[test]
fn quiet_is_quiet_and_no_progress_still_shows_failures() {
    let folder = folder();
    let quiet = liar(&folder, &["--quiet"]);
    assert_eq!((quiet.code, quiet.out.as_str(), quiet.err.as_str()), (Some(1), "", ""));
    let less = liar(&folder, &["--no-progress"]);
    assert!(less.err.contains(": fail") && !less.err.contains(" left"), "{}", less.err);
    assert!(less.out.contains("refuted"), "{}", less.out);
    let into = folder.path().join("models").display().to_string();
    let models = ["models", &into, "--only", "E1,E2"];
    let told = weighbridge(&models);
    assert_eq!(told.code, Some(0), "{}", told.err);
    assert!(told.err.contains("E1: ") && told.err.contains("E2: "), "{}", told.err);
    let quiet = weighbridge(&[&models[..], &["-q"]].concat());
    assert_eq!((quiet.code, quiet.out.as_str(), quiet.err.as_str()), (Some(0), "", ""));
    let registry = folder.path().join("models/registry.yaml").display().to_string();
    let warm = ["warm", "--registry", &registry, "--device", "cpu"];
    let told = weighbridge(&warm);
    assert!(told.err.contains("E1: warm, ") && told.err.contains("E2: warm, "), "{}", told.err);
    let quiet = weighbridge(&[&warm[..], &["--quiet"]].concat());
    assert_eq!((quiet.code, quiet.out.as_str(), quiet.err.as_str()), (Some(0), "", ""));
}

#[test]
fn an_audit_that_is_ended_says_what_is_missing_and_leaves_nothing() {
    let folder = folder();
    let out = folder.path().join("audit");
    let mutants =
        ["half-zeros", "widened", "nan-kept", "truncated-valid", "hang", "crash", "garbage"];
    let mut audit = command(&["audit", "--claimed", "--out"]);
    audit.arg(&out).args(mutants.iter().flat_map(|mutant| ["--mutant", *mutant]));
    audit.env("TMPDIR", folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = audit.spawn().expect("the program was built for this test");
    let matrix = out.with_extension("json");
    while !matrix.exists() {
        thread::sleep(Duration::from_millis(5));
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).expect("it is a child");
    let ended = child.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{told}");
    let written = fs::read_to_string(&matrix).expect("a matrix");
    let written: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    let left = written["left"].as_array().expect("a list");
    let left: Vec<&str> = left.iter().filter_map(serde_json::Value::as_str).collect();
    assert!(!left.is_empty() && left.len() < mutants.len(), "{left:?}");
    let rest = out.display();
    let again: String = left.iter().map(|mutant| format!(" --mutant {mutant}")).collect();
    let command = format!("to go on: weighbridge audit --claimed{again} --out {rest}-rest\n");
    assert!(told.contains(&command), "no {command:?} in {told}");
    assert!(told.contains(&format!("--join {rest}.json {rest}-rest.json")), "{told}");
    let printed = String::from_utf8_lossy(&ended.stdout);
    for mutant in mutants {
        let row = told.contains(&format!("\n{mutant}: "));
        let missing = printed.contains(&format!("not reached: {mutant}\n"));
        assert!(row != missing && missing == left.contains(&mutant), "{mutant}: {told}{printed}");
    }
    let entries = fs::read_dir(folder.path()).expect("a folder").flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names, ["audit.json", "audit.txt"]);
}

#[test]
fn two_audits_never_write_the_same_file() {
    let folder = folder();
    let out = folder.path().join("audit");
    let lock = fs::File::create(out.with_extension("lock")).expect("a file");
    lock.lock().expect("a lock");
    let mut audit = command(&["audit", "--claimed", "--mutant", "half-zeros", "--out"]);
    let refused = ran(audit.arg(&out));
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("another run is writing there"), "{}", refused.err);
}
