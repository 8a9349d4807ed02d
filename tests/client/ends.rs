//! Loaders that do not know how to leave.

use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use weighbridge::contract::failure::{Failure, Phase};
use weighbridge::harness::client::{Broken, Client, Exit};

use super::{Fake, LONG, lives, same, trial};

/// Enough to answer `bye`, even on a loaded machine.
const SECOND: Duration = Duration::from_secs(1);

pub fn trials() -> Vec<Trial> {
    let mut trials =
        vec![trial("bye/leaves_a_child", leaves_a_child), trial("bye/dropped", dropped)];
    let refused = Broken::Refused {
        verb: "bye".to_owned(),
        failure: Box::new(Failure::unsupported(Phase::Request, "I stay")),
    };
    let terminated = Exit::Signal(15, "SIGTERM".to_owned());
    let talks = Broken::Unsolicited { line: "and another thing".to_owned() };
    for (mode, patience, complaint, exit) in [
        ("honest", LONG, None, Exit::Code(0)),
        ("stays", SECOND, Some(Broken::StillRunning { after_ms: 1000 }), terminated),
        ("exits_with_2", LONG, Some(Broken::Exited { code: 2 }), Exit::Code(2)),
        ("talks_after_bye", LONG, Some(talks), Exit::Code(0)),
        ("refuses_bye", LONG, Some(refused), Exit::Code(0)),
        ("leaves_without_a_word", LONG, Some(Broken::Exited { code: 0 }), Exit::Code(0)),
    ] {
        trials.push(Trial::test(format!("bye/{mode}"), move || {
            ends(mode, patience, complaint.as_ref(), &exit)
        }));
    }
    trials
}

fn ends(
    mode: &str,
    patience: Duration,
    complaint: Option<&Broken>,
    exit: &Exit,
) -> Result<(), Failed> {
    let fake = Fake::greeted(mode)?;
    let pid = fake.client.pid().ok_or("no pid")?;
    let ending = fake.client.end(patience);
    same(ending.complaint.as_ref(), complaint)?;
    same(ending.exit.as_ref(), Some(exit))?;
    same(lives(pid), false)
}

fn leaves_a_child() -> Result<(), Failed> {
    let fake = Fake::greeted("leaves_a_child")?;
    // Long enough for the process to end, which it does at once; then its stdout stays open.
    let ending = fake.client.end(Duration::from_secs(2));
    same(ending.complaint, Some(Broken::LeftBehind))?;
    same(ending.exit, Some(Exit::Code(0)))?;
    let tail = ending.stderr_tail;
    let child = tail.trim().strip_prefix("child ").ok_or(tail.clone())?.parse()?;
    super::loads::gone(child)
}

fn dropped() -> Result<(), Failed> {
    let fake = Fake::greeted("ignores_sigterm")?;
    let pid = fake.client.pid().ok_or("no pid")?;
    same(lives(pid), true)?;
    drop(fake);
    same(std::path::Path::new(&format!("/proc/{pid}")).exists(), false)
}
