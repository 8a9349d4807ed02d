//! A shell in the place of a loader that is asked for one load.

use super::*;
use crate::contract::reply::Reply;
use crate::harness::client::{Pipe, Spawn};

const REPLY: &str = r#"{"id":1,"reply":{"load":{"handle":1,"device":"cpu","file_bytes":0,"held_bytes":0,"tensors":[]}}}"#;

/// A load by a script, in which `OPEN` opens the file and `ANSWER` answers. The folder holds both.
fn asked(script: &str, patience: Duration) -> (UnderWay, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights");
    std::fs::write(&file, "weights").unwrap();
    let script = script.replace("OPEN", &format!("exec 3< {}", file.display()));
    let script = script.replace("ANSWER", &format!("echo '{REPLY}'"));
    let mut spawn = Spawn::new("/bin/sh", folder.path());
    spawn.args = vec!["-c".into(), format!("read line; {script}; read end").into()];
    let client = Box::new(Pipe::start(&spawn).unwrap());
    let load = Load::plain(file, Device::Cpu);
    let bounds = (patience, None);
    let of = (&load, "main");
    let under_way = UnderWay::begin(client, folder.path(), of, bounds, Duration::ZERO).unwrap();
    (under_way, folder)
}

fn is_loaded((_, exchange): &Arrived) -> bool {
    matches!(exchange.outcome, Outcome::Reply(Reply::Load(_)))
}

const LONG: Duration = Duration::from_secs(30);

#[test]
fn a_load_stands_still_in_the_middle_and_goes_on() {
    let (mut under_way, _folder) = asked("OPEN; sleep 0.3; ANSWER", LONG);
    assert!(under_way.stopped_or_answered().unwrap().is_none());
    assert!(under_way.answer.recv_timeout(Duration::from_millis(800)).is_err(), "it stands still");
    assert!(under_way.moved().is_none() && under_way.go_on() >= Duration::from_millis(800));
    assert!(is_loaded(&under_way.answer().unwrap()));
}

#[test]
fn a_load_that_is_over_was_not_stopped() {
    let (mut under_way, _folder) = asked("ANSWER", LONG);
    let arrived = under_way.stopped_or_answered().unwrap().expect("it never opened the file");
    assert!(is_loaded(&arrived));
    assert_eq!(under_way.go_on(), Duration::ZERO);
}

#[test]
fn a_load_without_an_answer_is_waited_for_as_long_as_any_other() {
    let patience = Duration::from_millis(300);
    let late = Broken::TimedOut { after_ms: 300, clock: Clock::Deadline };
    for script in ["OPEN; sleep 600", "sleep 600"] {
        let begin = Instant::now();
        let (mut under_way, _folder) = asked(script, patience);
        let (_, exchange) = match under_way.stopped_or_answered().unwrap() {
            Some(arrived) => arrived,
            None => {
                under_way.go_on();
                under_way.answer().unwrap()
            }
        };
        assert_eq!(exchange.outcome, Outcome::Broken(late.clone()), "{script}");
        assert!(begin.elapsed() < LONG, "{script}");
    }
}

#[test]
fn a_later_attempt_stops_a_load_sooner() {
    let second = |loads| {
        let introduction = Introduction {
            protocol: 2,
            nonce: String::new(),
            name: String::new(),
            version: String::new(),
            capabilities: Default::default(),
        };
        // What is in its folder ends with it, so the folder is no other process's.
        let folder = tempfile::tempdir().unwrap();
        let spawn = Spawn::new("/bin/true", folder.path());
        let client = Box::new(Pipe::start(&spawn).unwrap());
        let new = Second::new(client, introduction, folder.path().to_owned());
        Second { loads, took: Duration::from_millis(80), ..new }
    };
    let waits = |loads| [0, 1, 2].map(|attempt| second(loads).runs_for(attempt).as_millis());
    assert_eq!(waits(1), [0, 0, 0]);
    assert_eq!(waits(2), [20, 10, 5]);
    assert_eq!(waits(8), [60, 30, 15]);
}
