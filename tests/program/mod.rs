//! The program as tests start it: the one that was built for them, with their words, and what it said.

#![allow(dead_code, reason = "each test uses its part of it")]

use std::process::Command;

/// How a run of the program ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; absent where a signal ended it.
    pub code: Option<i32>,
    /// Everything on stdout.
    pub out: String,
    /// Everything on stderr.
    pub err: String,
}

/// The program with these words, not started yet.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weighbridge"));
    command.args(words);
    command
}

/// Runs it to its end, which must be no panic.
pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().expect("the program was built for this test");
    let ran = Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert!(!ran.err.contains("panicked"), "{command:?}: {}", ran.err);
    ran
}

/// Runs the program with these words.
pub fn weighbridge(words: &[&str]) -> Ran {
    ran(&mut command(words))
}
