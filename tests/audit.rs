//! The suite's own proof, as far as it goes without a GPU: one trial a mutant, each of which must
//! be killed by every case that claims to; and no case without a kill or a stated reason. Each mutant
//! meets the cases that claim it; `weighbridge audit` shows it all others too.
//!
//! `weighbridge audit --device cuda` is the same on a GPU, with the mutants that lie about its
//! memory as well.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use weighbridge::cli::CommandError;
use weighbridge::cli::audit::{Auditor, try_mutants};
use weighbridge::cli::child;
use weighbridge::cli::weighing::Weighing;
use weighbridge::harness::audit::Matrix;
use weighbridge::mutants::all;

fn main() -> ExitCode {
    if let Some(code) = child::as_child() {
        return code;
    }
    println!(
        "note: `cargo test` does not include the strict GPU runner; on a machine with a GPU, run \
         `cargo test --test conformance`"
    );
    let arguments = Arguments::from_args();
    let matrix = match arguments.list {
        true => None,
        false => match tried(&arguments) {
            Ok(tried) => Some(Arc::new(tried)),
            Err(stop) => return ExitCode::from(stop.tell()),
        },
    };
    libtest_mimic::run(&arguments, trials(matrix.as_ref())).exit_code()
}

/// The suite, and what it found of the mutants that the arguments select.
type Tried = (Auditor, Matrix);

/// Tries them all before the first trial: an audit tries several at a time, and some cases alone.
fn tried(arguments: &Arguments) -> Result<Tried, CommandError> {
    // A mutant that hangs waits for its limit, and meanwhile others are tried.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let auditor = Auditor::begin(&Weighing { jobs: Some(2 * cores), ..Weighing::strict() })?;
    let mut matrix = auditor.baseline();
    let wanted = all().filter(|mutant| selected(arguments, mutant.name));
    let reached = auditor.within_reach(wanted, &mut matrix);
    println!("{} mutants are tried before the first result", reached.len());
    try_mutants(&auditor, &reached, true, &mut |mutant, record| {
        auditor.add(mutant, record, &mut matrix);
        Ok(())
    })?;
    Ok((auditor, matrix))
}

/// Whether the arguments run the trial of this mutant: the same rule as libtest's. The trial that
/// looks back on all others needs them all.
fn selected(arguments: &Arguments, name: &str) -> bool {
    let wanted = |trial: &str| {
        let is = |text: &String| if arguments.exact { trial == text } else { trial.contains(text) };
        arguments.filter.as_ref().is_none_or(is) && !arguments.skip.iter().any(is)
    };
    wanted(name) || wanted(LAST)
}

const LAST: &str = "every_case_kills_or_says_why";

fn trials(tried: Option<&Arc<Tried>>) -> Vec<Trial> {
    let trial = |name: &str, look: fn(&Tried, &str) -> Result<Completion, Failed>| {
        let (tried, name) = (tried.cloned(), name.to_owned());
        Trial::ignorable_test(name.clone(), move || {
            look(tried.as_deref().ok_or_else(|| Failed::from("listing tries nothing"))?, &name)
        })
    };
    let mut trials = vec![trial("the_honest_loader_passes", |(_, matrix), _| {
        match (matrix.baseline.is_empty(), matrix.baseline_broken.is_empty()) {
            (false, true) => Ok(Completion::Completed),
            _ => Err(Failed::from(format!("not passed: {:?}", matrix.baseline_broken))),
        }
    })];
    trials.extend(all().map(|mutant| trial(mutant.name, is_killed)));
    trials.push(trial(LAST, |(auditor, matrix), _| {
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

fn is_killed((_, matrix): &Tried, name: &str) -> Result<Completion, Failed> {
    let row = matrix.rows.iter().find(|row| row.mutant == name);
    let row = row.ok_or_else(|| Failed::from("no row"))?;
    match &row.not_run {
        Some(why) => Ok(Completion::ignored_with(why)),
        None if row.killed_by.is_empty() => Err(Failed::from("survived")),
        None if !row.missed_by.is_empty() => {
            Err(Failed::from(format!("claimed and not killed by: {:?}", row.missed_by)))
        }
        None => Ok(Completion::Completed),
    }
}
