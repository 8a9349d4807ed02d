//! Carries out a case's steps. Each step sends requests to the loader, gathers its own evidence,
//! and checks.
//!
//! Each family of steps has a file or a folder. Steps do not import each other: what several of
//! them need is in the files of the second list, which are not steps.

mod beside;
mod bytes;
mod cli;
mod closing;
mod device;
mod divide;
mod forward;
mod generate;
mod leave;
mod load;
mod tamper;
mod toolchain;
mod use_after_unload;

mod batch;
mod compare;
mod expected;
mod greedy;
mod ipc;
mod keep;
mod loaded_bytes;
mod oracle_logits;
mod prompt;
mod refusal;
mod sealing;
mod slices;
mod table;
mod times;

pub use self::generate::NO_RUNTIME;

use std::time::Instant;

use super::case_run::{CaseEnd, CaseRun};
use crate::harness::case::step::{Repeat, Step};

/// Writes a case's files, carries out its steps, and unloads what they left loaded.
///
/// # Errors
/// Why the case ends early.
pub fn carry_out(case_run: &mut CaseRun<'_>) -> Result<(), CaseEnd> {
    let case = case_run.case;
    let done = case_run
        .place_files()
        .and_then(|()| {
            let failed = |error| CaseEnd::Fault(format!("the case's folder: {error}"));
            case_run.note_files().and_then(|()| case_run.note_made()).map_err(failed)
        })
        .and_then(|()| case.steps.iter().try_for_each(|each| carry_out_step(case_run, each)));
    case_run.ballast = None;
    case_run.end_beside();
    let broken = case_run.steps.iter().flat_map(|step| &step.checks).any(|check| !check.held);
    let done = ended(done, broken, case_run.no_object.take());
    match case_run.untouched(done) {
        Err(CaseEnd::Broken(broken)) => Err(CaseEnd::Broken(broken)),
        done => {
            let cleaned = case_run.unload_rest();
            done.and(cleaned)
        }
    }
}

/// How a case ends whose steps ended so: with a check that is policy alone and did not hold, or with a step that found
/// nothing to try.
fn ended(
    done: Result<(), CaseEnd>,
    broken: bool,
    no_object: Option<String>,
) -> Result<(), CaseEnd> {
    match (done, no_object) {
        // A check that is policy alone did not end the case.
        (Ok(()) | Err(CaseEnd::Untested(_)), _) if broken => Err(CaseEnd::Failed),
        (Ok(()), Some(why)) => Err(CaseEnd::Untested(why)),
        (done, _) => done,
    }
}

/// Carries out one step and times it.
fn carry_out_step(case_run: &mut CaseRun<'_>, step: &Step) -> Result<(), CaseEnd> {
    if let Step::Repeat(Repeat { times, steps }) = step {
        return (0..*times)
            .try_for_each(|_| steps.iter().try_for_each(|each| carry_out_step(case_run, each)));
    }
    if model_of(step).is_some_and(|model| case_run.refused.contains(model)) {
        return Ok(());
    }
    let begin = Instant::now();
    let at = case_run.steps.len();
    let done = dispatch(case_run, step);
    if let Some(record) = case_run.steps.get_mut(at) {
        record.elapsed_us = begin.elapsed().as_micros() as u64;
    }
    done
}

/// The loaded model that a step is about, for the steps that follow a load which may be refused.
fn model_of(step: &Step) -> Option<&str> {
    Some(match step {
        Step::Compare(step) => &step.model,
        Step::Unload(step) => &step.model,
        Step::Forward(step) => &step.model,
        Step::Generate(step) => &step.model,
        Step::Sample(step) => &step.model,
        Step::Relate(step) => &step.model,
        Step::RejectInput(step) => &step.model,
        _ => return None,
    })
}

fn dispatch(case_run: &mut CaseRun<'_>, step: &Step) -> Result<(), CaseEnd> {
    match step {
        Step::Load(step) => load::load(case_run, step),
        Step::Divide(step) => divide::divide(case_run, step),
        Step::Flips(step) => self::load::flips::flips(case_run, step),
        Step::MarkPeak(_) => self::device::memory::mark_peak(case_run),
        Step::Peak(step) => self::device::memory::peak(case_run, step),
        Step::Unload(step) => load::unload(case_run, step),
        Step::Stat(step) => load::stat(case_run, step),
        Step::Write(step) => load::write(case_run, step),
        Step::Remove(step) => use_after_unload::remove(case_run, step),
        Step::UseAfterUnload(step) => use_after_unload::use_after_unload(case_run, step),
        Step::Tamper(step) => tamper::tamper(case_run, step),
        Step::MalformedRequest(step) => load::malformed_request(case_run, step),
        Step::LoadBeside(step) => beside::load_beside(case_run, step),
        Step::CompareBeside(_) => beside::compare_beside(case_run),
        Step::Compare(step) => bytes::compare(case_run, step),
        Step::Poke(step) => bytes::poke(case_run, step),
        Step::Device(step) => device::describe(case_run, step),
        Step::Synchronize(step) => device::synchronize(case_run, step),
        Step::Stream(step) => device::stream(case_run, step),
        Step::Multiply(step) => self::device::multiply::multiply(case_run, step),
        Step::Mark(step) => self::device::memory::mark(case_run, step),
        Step::Grown(step) => self::device::memory::grown(case_run, step),
        Step::Left(step) => self::device::residue::left(case_run, step),
        Step::Ballast(step) => self::device::memory::ballast(case_run, step),
        Step::Release(_) => {
            case_run.begin("release the ballast");
            case_run.ballast = None;
            Ok(())
        }
        Step::Command(command) => toolchain::command(case_run, *command),
        Step::Name(kind) => toolchain::name(case_run, *kind),
        Step::Sources(_) => toolchain::sources(case_run),
        Step::Forward(step) => self::forward::forward(case_run, step),
        Step::RejectInput(step) => self::forward::reject_input(case_run, step),
        Step::Relate(step) => self::forward::relate(case_run, step),
        Step::Validate(step) => self::forward::validate(case_run, step),
        Step::Real(_) => self::forward::real(case_run),
        Step::WholeSet(step) => self::forward::whole_set(case_run, step),
        Step::Generate(step) => self::generate::generate(case_run, step),
        Step::Sample(step) => self::generate::sample(case_run, step),
        Step::BitIdentical(step) => self::generate::bit_identical(case_run, step),
        Step::Agree(step) => self::generate::agree(case_run, step),
        Step::Drift(step) => self::generate::drift(case_run, step),
        Step::StoredGolden(step) => self::generate::stored(case_run, step),
        Step::Throughput(step) => self::generate::throughput(case_run, step),
        Step::Cli(step) => cli::cli(case_run, step),
        Step::Leave(step) => leave::leave(case_run, step),
        Step::SameProgram(_) => closing::same_program(case_run),
        Step::WithinBudget(_) => closing::within_budget(case_run),
        Step::Repeat(_) => Err(CaseEnd::Fault("a repetition is unrolled before".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_with_nothing_to_try_is_untested_if_nothing_refutes_it() {
        let nothing = || Some("nothing to try: it was over".to_owned());
        assert!(ended(Ok(()), false, None).is_ok());
        let untested = ended(Ok(()), false, nothing());
        assert!(
            matches!(untested, Err(CaseEnd::Untested(why)) if Some(&why) == nothing().as_ref())
        );
        assert!(matches!(ended(Ok(()), true, nothing()), Err(CaseEnd::Failed)));
        let failed = ended(Err(CaseEnd::Failed), true, nothing());
        assert!(matches!(failed, Err(CaseEnd::Failed)));
        let fault = ended(Err(CaseEnd::Fault("a fault".to_owned())), false, nothing());
        assert!(matches!(fault, Err(CaseEnd::Fault(_))));
    }
}
