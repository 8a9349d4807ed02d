//! `weighbridge chat`: holds a conversation. Each line of stdin is a turn.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;

use super::speaker::{Speaker, Speaking};
use super::{CommandError, exit};

/// Hold a conversation with a decoder: each line of stdin is a turn, and the end of stdin ends it.
///
/// Exit codes: 0 done, 2 usage, 5 refused by the contract gate, 6 failed for another reason.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    speaking: Speaking,
}

/// Answers line by line.
///
/// # Errors
/// 5 if the contract gate refuses the model, 6 for other reasons.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
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
            Some(Err(error)) => {
                return Err(CommandError::usage(format!(
                    "cannot read stdin: {error}\n  remedy: give UTF-8 text, one line a turn"
                )));
            }
            Some(Ok(line)) if line.trim().is_empty() => {}
            Some(Ok(line)) => speaker.answer(&line, out)?,
        }
    }
}
