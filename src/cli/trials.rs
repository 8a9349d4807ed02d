//! Cases as libtest trials: the strict runner of this project's own reference, and the one that another
//! crate gets for its loader.
//!
//! libtest is the front end only: verdicts come from the same engine as `weighbridge certify`, and so does
//! the exit code where libtest's would mislead: a filter that matches nothing exits with 4. A requirement
//! that has no case yet is listed as ignored, with that reason.
//!
//! The trials share one loader process, so they run one after the other; a case that breaks it costs that
//! case only.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use super::weighing::{Embedded, Isolation, Weighing};
use super::{CommandError, child, exit, serve};
use crate::contract::Loader;
use crate::harness::case::{Case, Want};
use crate::harness::manifest::Manifest;
use crate::harness::record::{CaseRecord, Verdict};
use crate::harness::report::first_failure;
use crate::harness::run::RunContext;
use crate::harness::run::case_run::setting::Setting;
use crate::harness::run::suite_run::worker::{Tally, Worker};

/// Tries every case of the full profile on the bundled reference, on a GPU: without one nothing is tried,
/// and nothing passes.
pub fn strict() -> ExitCode {
    if let Some(code) = child::as_child() {
        return code;
    }
    run("full", Ok, decided_elsewhere, |stop| {
        let strict = "this suite is strict: without a GPU no case runs, and none passes";
        format!("{}\n  note: {strict}", stop.message)
    })
}

/// Tries every case of a profile on a loader of one's own, each a libtest trial. All that a test target
/// with `harness = false` needs:
///
/// ```no_run
/// # use weighbridge::loader::ReferenceLoader as MyLoader;
/// fn main() -> std::process::ExitCode {
///     weighbridge::conformance("my-loader", "host", MyLoader::new)
/// }
/// ```
///
/// The same program, started again, is the process that the loader runs in. What the loader says it cannot
/// do is shown as ignored, with its reason: that is no certificate, `weighbridge certify` gives one.
pub fn conformance<L: Loader>(name: &str, profile: &str, make: impl FnOnce() -> L) -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if let (Some("loader"), None) = (arguments.next().as_deref(), arguments.next()) {
        return ExitCode::from(serve::answer(&mut make()).unwrap_or_else(CommandError::tell));
    }
    if let Some(code) = child::as_child() {
        return code;
    }
    let own = |setting: Setting| {
        let exe = std::env::current_exe().map_err(CommandError::harness)?;
        let manifest = Manifest::own(&exe, name).map_err(CommandError::usage)?;
        Ok(Setting { manifest, ..setting })
    };
    run(profile, own, undecided, |stop| stop.message)
}

/// Why a case that did not pass is no failure, if so.
type Excuse = fn(&Case, &CaseRecord) -> Option<String>;

/// A case about host memory has nothing to say of a GPU run, and a GPU runner may have no toolchain:
/// `weighbridge merge` adds that part from a machine that has. A case without an object says nothing of the loader.
fn decided_elsewhere(case: &Case, record: &CaseRecord) -> Option<String> {
    let elsewhere = case.needs.contains(&Want::Cpu) || case.needs.contains(&Want::Toolchain);
    let reason = record.reason.clone().unwrap_or_default();
    let untested = record.verdict == Verdict::Untested;
    (untested && elsewhere || record.has_no_object()).then_some(reason)
}

/// What could not be tried, or is declared unsupported.
fn undecided(_case: &Case, record: &CaseRecord) -> Option<String> {
    let reason = record.reason.clone().unwrap_or_default();
    matches!(record.verdict, Verdict::Untested | Verdict::Unsupported).then_some(reason)
}

fn run(
    profile: &str,
    change: impl FnOnce(Setting) -> Result<Setting, CommandError>,
    excuse: Excuse,
    explain: fn(CommandError) -> String,
) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One loader process, one GPU: a second thread would only wait.
    arguments.test_threads = Some(1);
    let embedded = match Embedded::read() {
        Ok(embedded) => embedded,
        Err(stop) => return ExitCode::from(stop.tell()),
    };
    if arguments.list {
        let unlisted: TrialRun =
            Arc::new(|_| Err(Failed::from("no case runs while they are listed")));
        return libtest_mimic::run(&arguments, trials(&embedded, profile, &unlisted)).exit_code();
    }
    let setting = embedded
        .profile(profile)
        .and_then(|profile| {
            // This program is known to supervise: see `as_child` and `conformance`.
            Weighing { isolation: Isolation::Auto, ..Weighing::strict() }.setting(profile)
        })
        .and_then(|(setting, scratch)| Ok((change(setting)?, scratch)));
    let (setting, _scratch) = match setting {
        Ok(setting) => setting,
        Err(stop) => return fail(stop.code, explain(stop)),
    };
    // Shared by every trial and alive to the end of the process.
    let context: &'static RunContext = Box::leak(Box::new(RunContext::new(setting)));
    if let Some(why) = context.card.closed() {
        return fail(exit::QUARANTINED, format!("the card is quarantined: {why}"));
    }
    let tally: &'static Tally = Box::leak(Box::new(Tally::default()));
    let worker = Arc::new(Mutex::new(Worker::new(context, tally)));
    let cases = Arc::new(embedded.cases.clone());
    let attempt: TrialRun = Arc::new(move |id: &str| {
        let case = cases.cases().iter().find(|case| case.id() == id);
        let case = case.ok_or_else(|| Failed::from(format!("no such case: {id}")))?;
        let record = worker.lock().unwrap_or_else(PoisonError::into_inner).try_case(case);
        match (record.verdict, excuse(case, &record)) {
            (Verdict::Pass, _) => Ok(Completion::Completed),
            (_, Some(why)) => Ok(Completion::ignored_with(why)),
            _ => Err(Failed::from(first_failure(&record))),
        }
    });
    let conclusion = libtest_mimic::run(&arguments, trials(&embedded, profile, &attempt));
    if conclusion.num_passed + conclusion.num_failed == 0 {
        let why = "nothing selected: no case ran".to_owned();
        return fail(exit::NOTHING_SELECTED, why);
    }
    conclusion.exit_code()
}

type TrialRun = Arc<dyn Fn(&str) -> Result<Completion, Failed> + Send + Sync>;

/// One trial a case, and one a requirement that no case tries yet.
fn trials(embedded: &Embedded, profile: &str, attempt: &TrialRun) -> Vec<Trial> {
    let covered = embedded.covered();
    let mut trials = Vec::new();
    for requirement in embedded.profile(profile).map(|one| &one.requirements).into_iter().flatten()
    {
        match covered.get(requirement) {
            Some(ids) => trials.extend(ids.iter().map(|id| {
                let (id, attempt) = (id.clone(), Arc::clone(attempt));
                Trial::ignorable_test(id.clone(), move || attempt(&id))
            })),
            None => trials
                .push(Trial::ignorable_test(format!("{requirement}::no_case_yet"), || {
                    Ok(Completion::ignored_with("no case tests this requirement yet"))
                })),
        }
    }
    trials
}

fn fail(code: u8, message: String) -> ExitCode {
    ExitCode::from(CommandError::new(code, message).tell())
}
