//! A disk that its loader fills while the run goes on: what is decided is not lost, and the exit code is that of the
//! verdict where it refutes.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use libtest_mimic::{Failed, Trial};
use weighbridge::harness::record::{Report, Stored, Verdict};

use super::attacks::PREFIX;
use super::same;

/// Cases that one process of the loader's can do, with a load each. The lines of those behind the second one take
/// more than a page: what is left of the journal's last page is room that the loader cannot fill.
const CASES: [&str; 8] = [
    "F-PARSE-037::readme_tensors",
    "F-PARSE-036::small_file_of_every_held_type",
    "F-DTYPE-052::f16_random_widened",
    "UT-WARM-001::digest_of_a_small_file",
    "F-PARSE-038::unicode_name",
    "F-PARSE-038::emoji_by_surrogates",
    "F-PARSE-039::row_and_column",
    "F-PARSE-045::odd_strings",
];

/// Mounts a small disk at $1, runs the rest there, and keeps the journal at $2, because the disk goes with its mount.
const ON_A_SMALL_DISK: &str = "out=$1; kept=$2; shift 2; mount -t tmpfs -o size=8m none $out || exit 99; \"$@\"; \
                               code=$?; cp $out/run.journal.ndjson $kept; exit $code";

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("full_disk/of_a_sound_loader", || {
            // The report is not where it was asked for.
            filled("fills_the_disk", 5)
        }),
        Trial::test("full_disk/of_a_refuted_loader", || filled("fills_the_disk_and_fails", 1)),
    ]
}

fn filled(mode: &str, code: i32) -> Result<(), Failed> {
    // Where this user is not root, it is in a user namespace.
    let root = nix::unistd::getuid().is_root();
    let unshare: &[&str] = if root { &["-m"] } else { &["-U", "-r", "-m"] };
    let tried = Command::new("unshare")
        .args(unshare)
        .args(["sh", "-c", "mount -t tmpfs none /mnt"])
        .stderr(Stdio::null())
        .status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("not tried: no file system can be mounted here");
        return Ok(());
    }
    let place = tempfile::tempdir()?;
    let at = |name: &str| place.path().join(name);
    for folder in ["out", "tmp", "loader"] {
        fs::create_dir(at(folder))?;
    }
    let exe = std::env::current_exe()?.display().to_string();
    let command = serde_json::to_string(&[&exe, "fake", mode, "real"])?;
    let prefix = serde_json::to_string(&at("out/run"))?;
    let manifest = format!("name: fake\ncommand: {command}\nenvironment: {{{PREFIX}: {prefix}}}\n");
    fs::write(at("loader/manifest.yaml"), manifest)?;
    let mut judge = Command::new("unshare");
    judge.args(unshare).args(["sh", "-c", ON_A_SMALL_DISK, "sh"]).arg(at("out")).arg(at("journal"));
    judge.arg(env!("CARGO_BIN_EXE_weighbridge"));
    judge.args([
        "certify",
        "--profile",
        "host",
        "--isolation",
        "none",
        "--jobs",
        "1",
        "--no-progress",
    ]);
    judge.arg("--loader").arg(at("loader/manifest.yaml")).arg("--out").arg(at("out/run"));
    judge.args(CASES.iter().flat_map(|case| ["--case", case]));
    let ran = judge.env("TMPDIR", at("tmp")).stdin(Stdio::null()).output()?;
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    if ran.status.code() != Some(code) {
        return Err(format!("expected {code}, found {:?}: {err}", ran.status).into());
    }
    let report = copy(&err)?;
    same(report.verify(), vec![])?;
    let cases = &report.record.cases;
    same(cases.len(), CASES.len())?;
    let lacks = report.record.parts[0].unjournalled;
    let told = err.contains(&format!("it lacks {lacks} decided case"))
        && out.contains(&format!("the journal lacks: {lacks} decided case"));
    if !(1..CASES.len() as u64).contains(&lacks) || !told {
        return Err(format!("the report says that the journal lacks {lacks}: {err}{out}").into());
    }
    let worst = cases.iter().map(|case| case.verdict).max();
    same(worst, Some(if code == 1 { Verdict::Crash } else { Verdict::Pass }))?;
    // What was written before is sound.
    let Ok(Stored::Journal(journal)) = Stored::read(&at("journal")) else {
        return Err("the journal cannot be read".into());
    };
    same((journal.interrupted, journal.unfinished), (true, lacks))?;
    same(fs::read_dir(at("tmp"))?.count(), 1)
}

/// The report that is not lost.
fn copy(err: &str) -> Result<Report, Failed> {
    let line = err.lines().find_map(|line| line.split_once("a complete copy is at "));
    let (_, path) = line.ok_or_else(|| format!("no copy is named: {err}"))?;
    match Stored::read(&PathBuf::from(path)) {
        Ok(Stored::Report(report)) => Ok(*report),
        other => Err(format!("no report: {other:?}").into()),
    }
}
