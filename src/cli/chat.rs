//! `weighbridge chat`: a conversation, one line of standard input a turn.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;

use super::speaker::{Speaker, Speaking};
use super::{Stop, exit};

/// Hold a conversation with a decoder: a line is a turn, the end of the input ends it.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    speaking: Speaking,
}

/// Answers line by line.
///
/// # Errors
/// 5 where the contract gate refuses the model, 6 for what else goes wrong.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, Stop> {
    let mut speaker = Speaker::open(&arguments.speaking)?;
    let input = io::stdin();
    let asks = input.is_terminal();
    let mut lines = input.lock().lines();
    loop {
        if asks {
            let _ = write!(io::stderr(), "> ");
        }
        match lines.next() {
            None => return Ok(exit::CORROBORATED),
            Some(Err(error)) => return Err(Stop::usage(format!("cannot read the input: {error}"))),
            Some(Ok(line)) if line.trim().is_empty() => {}
            Some(Ok(line)) => speaker.answer(&line, out)?,
        }
    }
}
