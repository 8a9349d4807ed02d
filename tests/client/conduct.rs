//! Loaders that leave badly, each the bundled reference in all else: in the strongest cell that this machine
//! allows, in the one without namespaces, and in none.

use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use weighbridge::cli::weighing::{Isolation, Weighing};
use weighbridge::harness::record::{CaseRecord, Verdict};

use super::same;
use super::weighed::{weigh_by, weigh_in, weigh_with};

const EXIT: &str = "CONDUCT-001::with_a_model";
const PROCESSES: &str = "CONDUCT-002::with_a_model";
const OUTPUT: &str = "CONDUCT-003::with_a_model";
const FILES: &str = "CONDUCT-004::with_a_model";

const SAME: &str = "CONDUCT-005::another_process";
const PROGRAM: &str = "CONDUCT-006::at_the_end";
const WAITING: &str = "CONDUCT-007::at_the_end";

/// Those about its end.
const CASES: [&str; 4] = [EXIT, PROCESSES, OUTPUT, FILES];

/// What a loader does at bye, the cases that it fails, and what they say.
const CONDUCT: [(&str, &[(&str, &str)]); 11] = [
    ("true", &[]),
    ("leaves_a_helper", &[]),
    ("exits_with_2", &[(EXIT, "status 2")]),
    ("aborts_at_bye", &[(EXIT, "SIGABRT")]),
    ("leaves_without_a_word", &[(EXIT, "without an answer")]),
    ("refuses_bye", &[(EXIT, "refused bye")]),
    ("stays", &[(EXIT, "did not exit"), (PROCESSES, "the loader itself")]),
    ("talks_after_bye", &[(OUTPUT, "and another thing")]),
    ("leaves_a_child", &[(PROCESSES, "1 (sleep)")]),
    ("leaves_a_daemon", &[(PROCESSES, "1 (sleep)")]),
    ("leaves_a_file", &[(FILES, "unpacked in its folder")]),
];

/// The cells, and whether the loader has a /dev/shm of its own there.
const CELLS: [(&str, Isolation); 3] =
    [("cell", Isolation::Auto), ("process", Isolation::Process), ("none", Isolation::None)];

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (cell, isolation) in CELLS {
        for (mode, fails) in CONDUCT {
            trials.push(Trial::test(format!("conduct/{cell}/{mode}"), move || {
                conduct(isolation, mode, fails)
            }));
        }
    }
    for (cell, isolation) in CELLS {
        trials.push(Trial::test(format!("conduct/{cell}/child_eats_memory"), move || {
            eats(isolation)
        }));
    }
    for mode in ["another_name", "another_version", "withdraws"] {
        trials.push(Trial::test(format!("conduct/{mode}"), move || another(mode)));
    }
    trials.push(Trial::test("conduct/cell/leaves_shared_memory", shared_memory));
    trials.push(Trial::test("conduct/rewrites_its_script", rewrites));
    trials.push(Trial::test("conduct/dawdles", dawdles));
    trials
}

/// Holds so many MiB until its input ends.
pub fn hog(mib: usize) {
    let held = std::hint::black_box(vec![1_u8; mib << 20]);
    println!("ready");
    let _end = std::io::stdin().read_line(&mut String::new());
    drop(held);
}

/// The limit is for the loader and all that it has started.
fn eats(isolation: Isolation) -> Result<(), Failed> {
    let weighing = Weighing { isolation, ..Weighing::strict() };
    let weigh = |limit: u32, mode| {
        let more = format!("memory_limit_mb: {limit}\n");
        weigh_with(&weighing, &more, mode, 0, &[SAME])
    };
    // The program itself needs some tens of MiB.
    let found = weigh(150, "child_eats_memory")?;
    let reason = found[0].reason.as_deref().unwrap_or_default();
    let named = reason.contains("more host memory than allowed");
    same((found[0].verdict, named), (Verdict::Crash, true))?;
    same(weigh(150, "child_eats_little")?[0].verdict, Verdict::Pass)
}

/// A loader whose second process is another one crashes the case that it was started for. A case that it could
/// do no longer is no unsupported one.
fn another(mode: &str) -> Result<(), Failed> {
    let widens = "F-DTYPE-052::f16_random_widened";
    let found = weigh_in(Isolation::Auto, mode, 0, &[SAME, SAME, widens], 5.0)?;
    same(found[0].verdict, Verdict::Pass)?;
    for record in &found[1..] {
        let reason = record.reason.as_deref().unwrap_or_default();
        let named = reason.contains("another than at the run's first hello");
        same((record.verdict, named), (Verdict::Crash, true))?;
    }
    Ok(())
}

/// Where the loader can write to its own folder, that is seen at the end. In namespaces it cannot.
fn rewrites() -> Result<(), Failed> {
    let cases = [SAME, PROGRAM];
    let found = weigh_in(Isolation::None, "rewrites_its_script", 0, &cases, 5.0)?;
    same(found[0].verdict, Verdict::Pass)?;
    refuted(&found[1], "script")?;
    let found = weigh_in(Isolation::None, "true", 0, &cases, 5.0)?;
    same(found[1].verdict, Verdict::Pass)
}

/// Each answer takes nine tenths of the patience. The budget ends that, whatever is still to be tried.
fn dawdles() -> Result<(), Failed> {
    let weighing = Weighing { patience: 1.0, waiting: Some(4.0), ..Weighing::strict() };
    let cases = [SAME, SAME, SAME, SAME, SAME, SAME, WAITING];
    let began = Instant::now();
    let found = weigh_by(&weighing, "dawdles", 0, &cases)?;
    same(began.elapsed() < Duration::from_secs(30), true)?;
    same(found[0].verdict, Verdict::Pass)?;
    let untried = &found[5];
    let reason = untried.reason.as_deref().unwrap_or_default();
    same((untried.verdict, reason.contains("waiting budget")), (Verdict::Untested, true))?;
    refuted(&found[6], "expected at most 4")?;
    let weighing = Weighing { waiting: Some(600.0), ..weighing };
    same(weigh_by(&weighing, "true", 0, &[SAME, WAITING])?[1].verdict, Verdict::Pass)
}

fn conduct(isolation: Isolation, mode: &str, fails: &[(&str, &str)]) -> Result<(), Failed> {
    for record in weigh_in(isolation, mode, 0, &CASES, 5.0)? {
        match fails.iter().find(|(case, _)| *case == record.id) {
            None if said_by_another(mode, &record) => {}
            None => same((record.verdict, record.reason), (Verdict::Pass, None))?,
            Some((_, said)) => refuted(&record, said)?,
        }
    }
    Ok(())
}

/// Of a loader that does not end, only the two cases about that say something.
fn said_by_another(mode: &str, record: &CaseRecord) -> bool {
    mode == "stays" && matches!(record.id.as_str(), OUTPUT | FILES)
}

fn refuted(record: &CaseRecord, said: &str) -> Result<(), Failed> {
    let reason = record.reason.as_deref().unwrap_or_default();
    if record.verdict != Verdict::Fail || !reason.contains(said) {
        return Err(format!("expected a failure that names {said:?}, found: {record:?}").into());
    }
    Ok(())
}

/// Only in namespaces is /dev/shm the loader's own, and emptied with it.
fn shared_memory() -> Result<(), Failed> {
    let found = weigh_in(Isolation::Auto, "leaves_shared_memory", 0, &[FILES], 5.0)?;
    let left = std::path::Path::new("/dev/shm/weighbridge-fake");
    if left.exists() {
        std::fs::remove_file(left)?;
        eprintln!("no namespaces on this machine");
        return Ok(());
    }
    refuted(&found[0], "1 in shared memory, 7 bytes")
}
