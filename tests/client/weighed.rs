//! The same misbehaving loaders on the scale: none may crash or hang the judge, and none may pass. Each is the
//! bundled reference in all but its one fault, which passes: what refutes it is the fault.

use std::sync::OnceLock;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use weighbridge::cli::weighing::{Embedded, Isolation, Weighing};
use weighbridge::harness::record::{CaseRecord, Verdict};
use weighbridge::harness::run::RunContext;
use weighbridge::harness::run::suite_run::worker::{Tally, Worker};

use super::{same, trial};

/// A case that looks at every claim of a load but the digest, and one that looks at that.
const CASES: [&str; 2] = ["F-PARSE-037::readme_tensors", "UT-WARM-001::digest_of_a_small_file"];

/// How many replies of garbage.
const GARBAGE: u64 = 1000;

/// How many replies with one value replaced: more than a reply has values.
const LEAVES: u64 = 200;

/// What a fault comes to, by the fakes' names.
const FAULTS: [(&str, Verdict); 31] = [
    // Not faults: slow writing and much stderr are a loader's right.
    ("true", Verdict::Pass),
    ("split_line", Verdict::Pass),
    ("noisy_stderr", Verdict::Pass),
    ("heartbeat", Verdict::Pass),
    ("banner_on_stdout", Verdict::Crash),
    ("dies_at_once", Verdict::Crash),
    ("dies_at_hello", Verdict::Crash),
    ("wrong_nonce", Verdict::Crash),
    ("wrong_protocol", Verdict::Crash),
    ("branch_version", Verdict::Crash),
    ("no_version", Verdict::Crash),
    ("missing_capability", Verdict::Pass),
    ("unknown_capability", Verdict::Crash),
    ("unexplained_capability", Verdict::Crash),
    ("refuses_hello", Verdict::Crash),
    ("wrong_id", Verdict::Crash),
    ("wrong_verb", Verdict::Crash),
    ("duplicate", Verdict::Crash),
    ("late", Verdict::Timeout),
    ("silent", Verdict::Timeout),
    ("ignores_sigterm", Verdict::Timeout),
    ("huge_line", Verdict::Crash),
    ("flood", Verdict::Crash),
    ("progress_beyond", Verdict::Crash),
    ("non_json", Verdict::Crash),
    ("empty_line", Verdict::Crash),
    ("no_answer_in_one", Verdict::Crash),
    ("dies_at_load", Verdict::Crash),
    ("dies_midway", Verdict::Crash),
    ("abort", Verdict::Crash),
    ("answers_and_dies", Verdict::Crash),
];

pub fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = FAULTS
        .into_iter()
        .map(|(mode, verdict)| {
            Trial::test(format!("weighed/{mode}"), move || {
                let patient = if verdict == Verdict::Timeout { 0.5 } else { 60.0 };
                let found = weigh(mode, 0, CASES[0], patient)?;
                same((found.verdict, found.reason.is_none()), (verdict, verdict == Verdict::Pass))
            })
        })
        .collect();
    trials.push(trial("weighed/garbage", garbage));
    trials.push(trial("weighed/one_leaf", one_leaf));
    trials
}

fn garbage() -> Result<(), Failed> {
    for seed in 0..GARBAGE {
        let found = weigh("garbage", seed, CASES[0], 60.0)?;
        // Now and then it is a sound reply, and a wrong one.
        if !found.verdict.refutes() {
            return Err(format!("seed {seed}: {found:?}").into());
        }
    }
    Ok(())
}

/// Whatever single value of a reply is another, some case notices.
fn one_leaf() -> Result<(), Failed> {
    for seed in 0..LEAVES {
        let mut noticed = false;
        for case in CASES {
            noticed |= weigh("one_leaf", seed, case, 60.0)?.verdict.refutes();
        }
        if !noticed {
            return Err(format!("value {seed} of the reply may be anything").into());
        }
    }
    Ok(())
}

/// What a case says of a fake. The files are the same for every seed of the fake's.
pub fn weigh(mode: &str, seed: u64, case: &str, patience: f64) -> Result<CaseRecord, Failed> {
    weigh_all(mode, seed, &[case], patience)?.pop().ok_or("no record".into())
}

/// What cases say of a fake, tried by one worker in this order.
pub fn weigh_all(
    mode: &str,
    seed: u64,
    ids: &[&str],
    patience: f64,
) -> Result<Vec<CaseRecord>, Failed> {
    weigh_in(Isolation::None, mode, seed, ids, patience)
}

/// The same in a cell.
pub fn weigh_in(
    isolation: Isolation,
    mode: &str,
    seed: u64,
    ids: &[&str],
    patience: f64,
) -> Result<Vec<CaseRecord>, Failed> {
    let weighing = Weighing { patience, isolation, ..Weighing::strict() };
    weigh_by(&weighing, mode, seed, ids)
}

/// The same by these options. The loader's manifest lists a file `script` in the folder of the variable
/// SCRIPTS.
pub fn weigh_by(
    weighing: &Weighing,
    mode: &str,
    seed: u64,
    ids: &[&str],
) -> Result<Vec<CaseRecord>, Failed> {
    weigh_with(weighing, "", mode, seed, ids)
}

/// The same with more lines in the manifest.
pub fn weigh_with(
    weighing: &Weighing,
    more: &str,
    mode: &str,
    seed: u64,
    ids: &[&str],
) -> Result<Vec<CaseRecord>, Failed> {
    static EMBEDDED: OnceLock<Option<Embedded>> = OnceLock::new();
    let embedded = EMBEDDED.get_or_init(|| Embedded::read().ok()).as_ref().ok_or("no suite")?;
    let folder = tempfile::tempdir()?;
    let manifest = folder.path().join("manifest.yaml");
    let exe = std::env::current_exe()?;
    let command = serde_json::to_string(&[&exe.display().to_string(), "fake", mode, "real"])?;
    let scripts = serde_json::to_string(folder.path())?;
    let text = format!(
        "name: fake\ncommand: {command}\nfiles: [script]\n\
         environment: {{SEED: \"{seed}\", SCRIPTS: {scripts}}}\n{more}"
    );
    std::fs::write(folder.path().join("script"), "honest")?;
    std::fs::write(&manifest, text)?;
    let weighing = Weighing { loader: Some(manifest), seed: Some(7), ..weighing.clone() };
    let profile = embedded.profile("host").map_err(|stop| stop.message)?;
    let (setting, _scratch) = weighing.setting(profile).map_err(|stop| stop.message)?;
    let all = embedded.cases.cases();
    let (context, tally) = (RunContext::new(setting), Tally::default());
    context.setting.waiting.into_iter().for_each(|budget| context.waiting.allow(budget));
    let mut worker = Worker::new(&context, &tally);
    let one = |id: &&str| -> Result<CaseRecord, Failed> {
        let case = all.iter().find(|one| one.id() == **id).ok_or("no such case")?;
        let record = worker.try_case(case);
        if record.elapsed_us > Duration::from_secs(60).as_micros() as u64 {
            return Err(format!("{mode} held the judge up: {record:?}").into());
        }
        Ok(record)
    };
    ids.iter().map(one).collect()
}
