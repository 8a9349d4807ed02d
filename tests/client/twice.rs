//! The same loader in process and over a pipe.

use libtest_mimic::{Failed, Trial};
use weighbridge::contract::Device;
use weighbridge::contract::request::{DeviceQuery, Request, Stat, Unload};
use weighbridge::harness::client::{
    Bounds, Broken, Client, Clock, Ending, Exit, InProcess, Outcome, greet,
};

use super::honest::Honest;
use super::{Fake, LONG, SHORT, load, same, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("twice/equal_outcomes", equal_outcomes),
        trial("twice/equal_panics", equal_panics),
        trial("twice/hang_in_process", hang_in_process),
    ]
}

fn in_process() -> Result<Box<InProcess>, Failed> {
    Ok(Box::new(InProcess::start(Box::new(Honest::default()))?))
}

/// Everything the two forms can be told apart by, save time.
fn transcript(mut client: Box<dyn Client>) -> Result<(Vec<Outcome>, Ending), Failed> {
    let scratch = tempfile::tempdir()?;
    let bounds = Bounds::within(LONG);
    let mut introduction = greet(client.as_mut(), scratch.path(), &bounds)?;
    introduction.nonce.clear();
    let hello = weighbridge::contract::reply::Reply::Hello(introduction);
    let mut outcomes = vec![Outcome::Reply(hello)];
    for request in [
        load("model"),
        load("missing"),
        load("m\u{f6}del \u{1f980} \"quoted\"\n"),
        Request::Stat(Stat {}),
        Request::Unload(Unload { handle: 1 }),
        Request::Unload(Unload { handle: 1 }),
        Request::Device(DeviceQuery { device: Device::Cuda(3), profile: None }),
        Request::Stat(Stat {}),
    ] {
        outcomes.push(client.ask(request, &bounds).outcome);
    }
    let mut ending = client.end(LONG);
    ending.elapsed_us = 0;
    // Nobody looks for what a thread has left.
    ending.left = None;
    Ok((outcomes, ending))
}

fn equal_outcomes() -> Result<(), Failed> {
    let here = transcript(in_process()?)?;
    let there = transcript(Fake::start("honest")?.client)?;
    let answered = here.0.iter().filter(|outcome| !matches!(outcome, Outcome::Broken(_))).count();
    same(answered, 9)?;
    same((&here.1.complaint, &here.1.exit), (&None, &Some(Exit::Code(0))))?;
    same(here, there)
}

fn equal_panics() -> Result<(), Failed> {
    let (mut here, mut there) = (in_process()?, Fake::start("honest")?);
    let bounds = Bounds::within(LONG);
    let crash = Outcome::Broken(Broken::Exited { code: 101 });
    same(here.ask(load("panic"), &bounds).outcome, crash.clone())?;
    same(there.client.ask(load("panic"), &bounds).outcome, crash.clone())?;
    same(here.ask(load("model"), &bounds).outcome, crash)?;
    same(here.stderr_tail().as_str(), "panicked: as asked")?;
    same(there.client.stderr_tail().contains("as asked"), true)
}

fn hang_in_process() -> Result<(), Failed> {
    let mut here = in_process()?;
    let expected = Broken::TimedOut { after_ms: 300, clock: Clock::Deadline };
    let outcome = here.ask(load("hang"), &Bounds::within(SHORT)).outcome;
    same(outcome, Outcome::Broken(expected.clone()))?;
    let ending = here.end(LONG);
    same((ending.complaint, ending.exit), (Some(expected), None))
}
