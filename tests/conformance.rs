//! The strict runner: every case of the full profile as a libtest trial, on a GPU.
//!
//! `cargo test --test conformance` takes libtest's own filters, `--list` and `--exact`. libtest is
//! the front end only: verdicts come from the same engine as `weighbridge certify`, and so does
//! the exit code where libtest's would mislead: a filter that matches nothing exits with 4. A
//! requirement that has no case yet is listed as ignored, with that reason.
//!
//! The trials share one loader process, so they run one after the other; a case that breaks it
//! costs that case only.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use weighbridge::cli::weighing::{Embedded, Weighing};
use weighbridge::cli::{exit, serve};
use weighbridge::harness::case::Want;
use weighbridge::harness::record::Verdict;
use weighbridge::harness::report::first_failure;
use weighbridge::harness::run::Lab;
use weighbridge::harness::run::worker::{Tally, Worker};

fn main() -> ExitCode {
    if let Some(code) = serve::as_child() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // One loader process, one GPU: a second thread would only wait.
    arguments.test_threads = Some(1);
    let embedded = match Embedded::read() {
        Ok(embedded) => embedded,
        Err(stop) => return fail(&stop.message, stop.code),
    };
    if arguments.list {
        let unlisted: Attempt = Arc::new(|_| Err(Failed::from("listing tries nothing")));
        return libtest_mimic::run(&arguments, trials(&embedded, &unlisted)).exit_code();
    }
    let setting = embedded.profile("full").and_then(|profile| Weighing::strict().setting(profile));
    let (setting, _scratch) = match setting {
        Ok(setting) => setting,
        Err(stop) => {
            let strict = "this suite is strict: without a GPU nothing is tried, and nothing passes";
            return fail(&format!("{}\n  note: {strict}", stop.message), stop.code);
        }
    };
    // Shared by every trial and alive to the end of the process.
    let lab: &'static Lab = Box::leak(Box::new(Lab::new(setting)));
    let tally: &'static Tally = Box::leak(Box::new(Tally::default()));
    let worker = Arc::new(Mutex::new(Worker::new(lab, tally)));
    let cases = Arc::new(embedded.cases.clone());
    let attempt: Attempt = Arc::new(move |id: &str| {
        let case = cases.cases().iter().find(|case| case.id() == id);
        let case = case.ok_or_else(|| Failed::from(format!("no such case: {id}")))?;
        let record = worker.lock().unwrap_or_else(PoisonError::into_inner).try_case(case);
        match record.verdict {
            Verdict::Pass => Ok(Completion::Completed),
            // A case about host memory has nothing to say of a GPU run, and a GPU runner may have
            // no toolchain: `weighbridge merge` adds that part from a machine that has.
            Verdict::Untested
                if case.needs.contains(&Want::Cpu) || case.needs.contains(&Want::Toolchain) =>
            {
                Ok(Completion::ignored_with(record.reason.unwrap_or_default()))
            }
            _ => Err(Failed::from(first_failure(&record))),
        }
    });
    let conclusion = libtest_mimic::run(&arguments, trials(&embedded, &attempt));
    if conclusion.num_passed + conclusion.num_failed == 0 {
        return fail("nothing selected: no case was tried", exit::NOTHING_SELECTED);
    }
    conclusion.exit_code()
}

type Attempt = Arc<dyn Fn(&str) -> Result<Completion, Failed> + Send + Sync>;

/// One trial a case, and one a requirement that no case tries yet.
fn trials(embedded: &Embedded, attempt: &Attempt) -> Vec<Trial> {
    let covered = embedded.covered();
    let mut trials = Vec::new();
    for requirement in embedded.spec.requirements() {
        match covered.get(&requirement.id) {
            Some(ids) => trials.extend(ids.iter().map(|id| {
                let (id, attempt) = (id.clone(), Arc::clone(attempt));
                Trial::ignorable_test(id.clone(), move || attempt(&id))
            })),
            None => trials
                .push(Trial::ignorable_test(format!("{}::no_case_yet", requirement.id), || {
                    Ok(Completion::ignored_with("no case tries this requirement yet"))
                })),
        }
    }
    trials
}

fn fail(message: &str, code: u8) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(code)
}
