//! Loaders that misbehave on `load`.

use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use weighbridge::contract::failure::{Code, Failure, Phase};
use weighbridge::contract::reply::Reply;
use weighbridge::contract::request::{Multiply, Request, Stat};
use weighbridge::contract::wire::MAX_LINE;
use weighbridge::harness::client::{Bounds, Broken, Client, Clock, Outcome};

use super::{Fake, LONG, SHORT, lives, load, same, trial};

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("load/answers_and_dies", answers_and_dies),
        trial("load/duplicate", duplicate),
        trial("load/eats_memory", eats_memory),
        trial("load/eats_memory_within_bounds", eats_memory_within_bounds),
        trial("load/flood", flood),
        trial("load/forks_and_exits", forks_and_exits),
        trial("load/heartbeat_and_deadline", heartbeat_and_deadline),
        trial("load/heartbeat_and_idle", heartbeat_and_idle),
        trial("load/ignores_sigterm", ignores_sigterm),
        trial("load/late", late),
        trial("load/lies_about_capability", lies_about_capability),
        trial("load/line_of_the_limit", line_of_the_limit),
        trial("load/nibbles_memory", nibbles_memory),
        trial("load/never_reads_stdin", never_reads_stdin),
        trial("load/noisy_stderr", noisy_stderr),
        trial("load/silent_and_idle", silent_and_idle),
        trial("load/split_line", split_line),
    ];
    let malformed =
        |line: &str, why: &str| Broken::Malformed { line: line.to_owned(), why: why.to_owned() };
    for (mode, bounds, expected) in [
        ("wrong_id", LONG, Broken::WrongId { expected: 2, found: 77 }),
        (
            "wrong_verb",
            LONG,
            Broken::WrongVerb { asked: "load".to_owned(), answered: "unload".to_owned() },
        ),
        ("huge_line", LONG, Broken::LineTooLong { limit: MAX_LINE as u64 }),
        ("line_one_too_long", LONG, Broken::LineTooLong { limit: MAX_LINE as u64 }),
        (
            "non_json",
            LONG,
            malformed("Segmentation fault (core dumped)", "expected value at line 1 column 1"),
        ),
        ("empty_line", LONG, malformed("", "EOF while parsing a value at line 2 column 0")),
        (
            "progress_beyond",
            LONG,
            malformed(
                r#"{"id":2,"progress":{"done":3,"total":2}}"#,
                "progress is more than its total",
            ),
        ),
        (
            "no_answer_in_one",
            LONG,
            malformed(r#"{"id":2}"#, "not exactly one of reply, failure and progress"),
        ),
        ("silent", SHORT, Broken::TimedOut { after_ms: 300, clock: Clock::Deadline }),
        ("dies_at_load", LONG, Broken::Exited { code: 3 }),
        ("dies_midway", LONG, Broken::Exited { code: 0 }),
        ("abort", LONG, Broken::Signalled { signal: 6, name: "SIGABRT".to_owned() }),
        ("closes_stdout_but_lives", LONG, Broken::ClosedOutput),
    ] {
        trials.push(Trial::test(format!("load/{mode}"), move || breaks(mode, bounds, &expected)));
    }
    for (mode, why) in [
        ("two_answers_in_one", "not exactly one of reply, failure and progress"),
        ("unknown_field", "unknown field `speed`"),
    ] {
        trials.push(Trial::test(format!("load/{mode}"), move || {
            let outcome = Fake::greeted(mode)?.load(&Bounds::within(LONG));
            match outcome {
                Outcome::Broken(Broken::Malformed { line, why: found })
                    if line.starts_with(r#"{"id":2,"#) && found.starts_with(why) =>
                {
                    Ok(())
                }
                other => Err(format!("found {other:?}").into()),
            }
        }));
    }
    trials
}

/// The load breaks in this way, again and again, and the process is gone.
fn breaks(mode: &str, deadline: Duration, expected: &Broken) -> Result<(), Failed> {
    let mut fake = Fake::greeted(mode)?;
    let pid = fake.client.pid().ok_or("no pid")?;
    let bounds = Bounds::within(deadline);
    same(fake.load(&bounds), Outcome::Broken(expected.clone()))?;
    same(lives(pid), false)?;
    same(std::path::Path::new(&format!("/proc/{pid}")).exists(), false)?;
    same(
        fake.client.ask(Request::Stat(Stat {}), &bounds).outcome,
        Outcome::Broken(expected.clone()),
    )?;
    if mode == "dies_at_load" {
        same(fake.client.stderr_tail().as_str(), "about to go\n")?;
    }
    same(fake.client.end(LONG).complaint, Some(expected.clone()))
}

fn split_line() -> Result<(), Failed> {
    let mut fake = Fake::greeted("split_line")?;
    let exchange = fake.client.ask(load("model"), &Bounds::within(LONG));
    same(matches!(exchange.outcome, Outcome::Reply(Reply::Load(_))), true)?;
    same(exchange.elapsed_us >= 120_000, true)?;
    same(fake.client.end(LONG).complaint, None)
}

/// A line may have just as many bytes as the contract says.
fn line_of_the_limit() -> Result<(), Failed> {
    let mut fake = Fake::greeted("line_of_the_limit")?;
    same(matches!(fake.load(&Bounds::within(LONG)), Outcome::Reply(Reply::Load(_))), true)?;
    same(fake.client.end(LONG).complaint, None)
}

fn noisy_stderr() -> Result<(), Failed> {
    let mut fake = Fake::greeted("noisy_stderr")?;
    same(matches!(fake.load(&Bounds::within(LONG)), Outcome::Reply(Reply::Load(_))), true)?;
    let log = fake.client.stderr_log().ok_or("no log")?.to_path_buf();
    let ending = fake.client.end(LONG);
    same(ending.complaint, None)?;
    same(ending.stderr_bytes, (10 << 20) + 8)?;
    same(ending.stderr_tail.len(), 64 << 10)?;
    same(ending.stderr_tail.ends_with("n\nthe end\n"), true)?;
    same(log.metadata()?.len(), ending.stderr_bytes)
}

fn duplicate() -> Result<(), Failed> {
    let mut fake = Fake::greeted("duplicate")?;
    let bounds = Bounds::within(LONG);
    same(matches!(fake.load(&bounds), Outcome::Reply(Reply::Load(_))), true)?;
    match fake.client.ask(Request::Stat(Stat {}), &bounds).outcome {
        Outcome::Broken(Broken::Unsolicited { line }) => {
            same(line.starts_with(r#"{"id":2,"reply":{"load""#), true)
        }
        other => Err(format!("found {other:?}").into()),
    }
}

fn late() -> Result<(), Failed> {
    breaks("late", SHORT, &Broken::TimedOut { after_ms: 300, clock: Clock::Deadline })
}

fn flood() -> Result<(), Failed> {
    let mut bounds = Bounds::within(LONG);
    bounds.output_bytes = 4 << 20;
    let outcome = Fake::greeted("flood")?.load(&bounds);
    same(outcome, Outcome::Broken(Broken::Flooded { limit: 4 << 20 }))
}

fn heartbeat_and_idle() -> Result<(), Failed> {
    // 1.5 s in all, without 1 s of silence.
    let bounds = Bounds::within(LONG).idle(Duration::from_secs(1));
    let outcome = Fake::greeted("heartbeat")?.load(&bounds);
    same(matches!(outcome, Outcome::Reply(Reply::Load(_))), true)
}

fn heartbeat_and_deadline() -> Result<(), Failed> {
    let outcome = Fake::greeted("heartbeat")?.load(&Bounds::within(SHORT));
    let expected = Broken::TimedOut { after_ms: 300, clock: Clock::Deadline };
    same(outcome, Outcome::Broken(expected))
}

fn silent_and_idle() -> Result<(), Failed> {
    let outcome = Fake::greeted("silent")?.load(&Bounds::within(LONG).idle(SHORT));
    same(outcome, Outcome::Broken(Broken::TimedOut { after_ms: 300, clock: Clock::Idle }))
}

fn ignores_sigterm() -> Result<(), Failed> {
    let mut fake = Fake::greeted("ignores_sigterm")?;
    let pid = fake.client.pid().ok_or("no pid")?;
    let expected = Broken::TimedOut { after_ms: 300, clock: Clock::Deadline };
    same(fake.load(&Bounds::within(SHORT)), Outcome::Broken(expected))?;
    same(lives(pid), false)?;
    let ending = fake.client.end(LONG);
    let killed = weighbridge::harness::client::Exit::Signal(9, "SIGKILL".to_owned());
    same(ending.exit, Some(killed))
}

fn forks_and_exits() -> Result<(), Failed> {
    let mut fake = Fake::greeted("forks_and_exits")?;
    same(fake.load(&Bounds::within(LONG)), Outcome::Broken(Broken::Exited { code: 0 }))?;
    let tail = fake.client.stderr_tail();
    let child: u32 = tail.trim().strip_prefix("child ").ok_or(tail.clone())?.parse()?;
    gone(child)
}

/// A killed process that is not ours takes a moment to go.
pub fn gone(pid: u32) -> Result<(), Failed> {
    for _ in 0..1000 {
        if !lives(pid) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(format!("process lives on: {pid}").into())
}

fn never_reads_stdin() -> Result<(), Failed> {
    // Far more than a pipe holds.
    let mut fake = Fake::start("deaf")?;
    let request = load(&"x".repeat(1 << 20));
    let outcome = fake.client.ask(request, &Bounds::within(SHORT)).outcome;
    let expected = Broken::TimedOut { after_ms: 300, clock: Clock::Deadline };
    same(outcome, Outcome::Broken(expected))
}

fn answers_and_dies() -> Result<(), Failed> {
    let mut fake = Fake::greeted("answers_and_dies")?;
    let bounds = Bounds::within(LONG);
    same(matches!(fake.load(&bounds), Outcome::Reply(Reply::Load(_))), true)?;
    let outcome = fake.client.ask(Request::Stat(Stat {}), &bounds).outcome;
    same(outcome, Outcome::Broken(Broken::Exited { code: 5 }))
}

fn eats_memory() -> Result<(), Failed> {
    let limit = 128 << 20;
    let outcome = Fake::greeted("eats_memory")?.load(&Bounds::within(LONG).memory(limit));
    match outcome {
        Outcome::Broken(Broken::TooMuchMemory { bytes, limit: found }) => {
            same((bytes > limit, found), (true, limit))
        }
        other => Err(format!("found {other:?}").into()),
    }
}

/// Taken and given back faster than the judge looks: the kernel's high-water mark tells.
fn nibbles_memory() -> Result<(), Failed> {
    let mut fake = Fake::greeted("nibbles_memory")?;
    let bounds = Bounds::within(LONG);
    let before = fake.client.ask(Request::Stat(Stat {}), &bounds).peak_bytes.ok_or("no peak")?;
    let outcome = fake.load(&bounds.memory(before + (4 << 20)));
    same(matches!(outcome, Outcome::Broken(Broken::TooMuchMemory { .. })), true)
}

fn eats_memory_within_bounds() -> Result<(), Failed> {
    let mut fake = Fake::greeted("eats_memory")?;
    let bounds = Bounds::within(LONG).memory(1 << 30);
    let exchange = fake.client.ask(load("model"), &bounds);
    same(matches!(exchange.outcome, Outcome::Reply(Reply::Load(_))), true)?;
    let peak = exchange.peak_bytes.ok_or("no peak")?;
    same((256 << 20..512 << 20).contains(&peak), true)?;
    // A peak belongs to its request.
    let after = fake.client.ask(Request::Stat(Stat {}), &bounds).peak_bytes.ok_or("no peak")?;
    same(after < 256 << 20, true)
}

fn lies_about_capability() -> Result<(), Failed> {
    let mut fake = Fake::greeted("lies_about_capability")?;
    let scratch = fake.scratch.path().join("c");
    let (a, b) = ("a".to_owned(), "b".to_owned());
    let request = Request::Multiply(Multiply { handle: 1, a, b, into: scratch });
    match fake.client.ask(request, &Bounds::within(LONG)).outcome {
        Outcome::Failure(Failure { code, phase, .. }) => {
            same((code, phase), (Code::UnsupportedCapability, Phase::Infer))
        }
        other => Err(format!("found {other:?}").into()),
    }
}
