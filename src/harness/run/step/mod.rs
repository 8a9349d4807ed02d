//! What each kind of step does: asks, looks for itself, and checks. One file a family.

mod bytes;
mod cli;
mod device;
pub mod forward;
pub mod generate;
mod gone;
mod load;
mod tamper;
mod toolchain;

use std::time::Instant;

use super::case_run::{Attempt, Stop};
use crate::harness::case::step::{Repeat, Step};

/// Carries out one step and times it.
///
/// # Errors
/// Why the case ends here.
pub fn carry_out(attempt: &mut Attempt<'_>, step: &Step) -> Result<(), Stop> {
    if let Step::Repeat(Repeat { times, steps }) = step {
        return (0..*times)
            .try_for_each(|_| steps.iter().try_for_each(|each| carry_out(attempt, each)));
    }
    let begin = Instant::now();
    let at = attempt.steps.len();
    let done = dispatch(attempt, step);
    if let Some(record) = attempt.steps.get_mut(at) {
        record.elapsed_us = begin.elapsed().as_micros() as u64;
    }
    done
}

fn dispatch(attempt: &mut Attempt<'_>, step: &Step) -> Result<(), Stop> {
    match step {
        Step::Load(step) => load::load(attempt, step),
        Step::Flips(step) => self::load::flips::flips(attempt, step),
        Step::MarkPeak(_) => self::device::memory::mark_peak(attempt),
        Step::Peak(step) => self::device::memory::peak(attempt, step),
        Step::Unload(step) => load::unload(attempt, step),
        Step::Stat(step) => load::stat(attempt, step),
        Step::Write(step) => load::write(attempt, step),
        Step::Remove(step) => gone::remove(attempt, step),
        Step::Gone(step) => gone::gone(attempt, step),
        Step::Tamper(step) => tamper::tamper(attempt, step),
        Step::Odd(step) => load::odd(attempt, step),
        Step::Compare(step) => bytes::compare(attempt, step),
        Step::Poke(step) => bytes::poke(attempt, step),
        Step::Device(step) => device::describe(attempt, step),
        Step::Synchronize(_) => device::synchronize(attempt),
        Step::Stream(step) => device::stream(attempt, step),
        Step::Multiply(step) => self::device::multiply::multiply(attempt, step),
        Step::Mark(step) => self::device::memory::mark(attempt, step),
        Step::Grown(step) => self::device::memory::grown(attempt, step),
        Step::Ballast(step) => self::device::memory::ballast(attempt, step),
        Step::Release(_) => {
            attempt.begin("let the ballast go");
            attempt.ballast = None;
            Ok(())
        }
        Step::Command(command) => toolchain::command(attempt, *command),
        Step::Name(kind) => toolchain::name(attempt, *kind),
        Step::Sources(_) => toolchain::sources(attempt),
        Step::Forward(step) => self::forward::forward(attempt, step),
        Step::Misfit(step) => self::forward::misfit(attempt, step),
        Step::Relate(step) => self::forward::relate(attempt, step),
        Step::Validate(step) => self::forward::validate(attempt, step),
        Step::Real(_) => self::forward::real(attempt),
        Step::WholeSet(step) => self::forward::whole_set(attempt, step),
        Step::Generate(step) => self::generate::generate(attempt, step),
        Step::Alike(step) => self::generate::alike(attempt, step),
        Step::Agree(step) => self::generate::agree(attempt, step),
        Step::Drift(step) => self::generate::drift(attempt, step),
        Step::Pace(step) => self::generate::pace(attempt, step),
        Step::Cli(step) => cli::cli(attempt, step),
        Step::Repeat(_) => Err(Stop::Fault("a repetition is unrolled before".to_owned())),
    }
}
