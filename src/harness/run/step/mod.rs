//! What each kind of step does: asks, looks for itself, and checks. One file a family.

mod bytes;
mod claims;
mod cli;
mod decoder;
mod device;
mod encoder;
mod flips;
mod gone;
mod imported;
mod load;
mod memory;
mod multiply;
mod plan;
mod refusal;
mod tamper;
mod toolchain;

use std::time::Instant;

use super::attempt::{Attempt, Stop};
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
        Step::Flips(step) => flips::flips(attempt, step),
        Step::MarkPeak(_) => memory::mark_peak(attempt),
        Step::Peak(step) => memory::peak(attempt, step),
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
        Step::Multiply(step) => multiply::multiply(attempt, step),
        Step::Mark(step) => memory::mark(attempt, step),
        Step::Grown(step) => memory::grown(attempt, step),
        Step::Ballast(step) => memory::ballast(attempt, step),
        Step::Release(_) => {
            attempt.begin("let the ballast go");
            attempt.ballast = None;
            Ok(())
        }
        Step::Command(command) => toolchain::command(attempt, *command),
        Step::Name(kind) => toolchain::name(attempt, *kind),
        Step::Sources(_) => toolchain::sources(attempt),
        Step::Embed(step) => encoder::embed(attempt, step),
        Step::Misfit(step) => encoder::misfit(attempt, step),
        Step::Relate(step) => encoder::relate(attempt, step),
        Step::Validate(step) => encoder::validate(attempt, step),
        Step::Real(_) => encoder::real(attempt),
        Step::WholeSet(step) => encoder::whole_set(attempt, step),
        Step::Generate(step) => decoder::generate(attempt, step),
        Step::Alike(step) => decoder::alike(attempt, step),
        Step::Agree(step) => decoder::agree(attempt, step),
        Step::Drift(step) => decoder::drift(attempt, step),
        Step::Pace(step) => decoder::pace(attempt, step),
        Step::Cli(step) => cli::cli(attempt, step),
        Step::Repeat(_) => Err(Stop::Fault("a repetition is unrolled before".to_owned())),
    }
}
