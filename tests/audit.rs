//! The suite's own proof, as far as it goes without a GPU: one trial a mutant, each of which must
//! be killed by every case that claims to; and no case without a kill or a stated reason. Each mutant
//! meets the cases that claim it; `weighbridge audit` shows it all others too.
//!
//! `weighbridge audit --device cuda` is the same on a GPU, with the mutants that lie about its
//! memory as well.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use weighbridge::cli::audit::Auditor;
use weighbridge::cli::child;
use weighbridge::cli::weighing::Weighing;
use weighbridge::harness::audit::Matrix;
use weighbridge::mutants::{Mutant, all};

fn main() -> ExitCode {
    if let Some(code) = child::as_child() {
        return code;
    }
    println!(
        "note: `cargo test` does not include the strict GPU runner; on a machine with a GPU, run \
         `cargo test --test conformance`"
    );
    let mut arguments = Arguments::from_args();
    // A run has its own workers, and the last trial looks back on all others.
    arguments.test_threads = Some(1);
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(&None)).exit_code();
    }
    match Auditor::begin(&Weighing::strict()) {
        Ok(auditor) => {
            let matrix = Mutex::new(auditor.baseline());
            libtest_mimic::run(&arguments, trials(&Some(Arc::new((auditor, matrix))))).exit_code()
        }
        Err(stop) => ExitCode::from(stop.tell()),
    }
}

type Shared = Option<Arc<(Auditor, Mutex<Matrix>)>>;

fn trials(shared: &Shared) -> Vec<Trial> {
    let trial =
        |name: &str, attempt: fn(&Auditor, &mut Matrix, &str) -> Result<Completion, Failed>| {
            let (shared, name) = (shared.clone(), name.to_owned());
            Trial::ignorable_test(name.clone(), move || {
                let shared =
                    shared.as_deref().ok_or_else(|| Failed::from("listing tries nothing"))?;
                let mut matrix = shared.1.lock().unwrap_or_else(PoisonError::into_inner);
                attempt(&shared.0, &mut matrix, &name)
            })
        };
    let mut trials = vec![trial("the_honest_loader_passes", |_, matrix, _| {
        match (matrix.baseline.is_empty(), matrix.baseline_broken.is_empty()) {
            (false, true) => Ok(Completion::Completed),
            _ => Err(Failed::from(format!("not passed: {:?}", matrix.baseline_broken))),
        }
    })];
    trials.extend(all().map(|mutant| trial(mutant.name, is_killed)));
    trials.push(trial("every_case_kills_or_says_why", |auditor, matrix, _| {
        if matrix.rows.len() < all().count() {
            return Ok(Completion::ignored_with("only some mutants were run"));
        }
        match matrix.idle_cases(auditor.embedded.cases.cases()) {
            idle if idle.is_empty() => Ok(Completion::Completed),
            idle => Err(Failed::from(format!("killed nothing: {}", idle.join(", ")))),
        }
    }));
    trials
}

fn is_killed(auditor: &Auditor, matrix: &mut Matrix, name: &str) -> Result<Completion, Failed> {
    let mutant: &Mutant =
        weighbridge::mutants::by_name(name).ok_or_else(|| Failed::from("no such mutant"))?;
    auditor.try_mutant(mutant, true, matrix).map_err(|stop| Failed::from(stop.message))?;
    let row = matrix.rows.last().ok_or_else(|| Failed::from("no row"))?;
    match &row.not_run {
        Some(why) => Ok(Completion::ignored_with(why)),
        None if row.killed_by.is_empty() => Err(Failed::from("survived")),
        None if !row.missed_by.is_empty() => {
            Err(Failed::from(format!("claimed and not killed by: {:?}", row.missed_by)))
        }
        None => Ok(Completion::Completed),
    }
}
