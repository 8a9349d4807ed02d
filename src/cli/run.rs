//! `weighbridge run`: gives one prompt to a decoder and prints the answer.

use std::io::Write;

use clap::Args;

use super::speaker::{Speaker, Speaking};
use super::{CommandError, exit};

/// Ask a decoder once, through its chat template.
///
/// Exit codes: 0 done, 2 usage, 5 refused by the contract gate, 6 failed for another reason.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    speaking: Speaking,
    /// Text of the user's turn.
    #[arg(long, value_name = "TEXT")]
    prompt: String,
}

/// Answers.
///
/// # Errors
/// 5 if the contract gate refuses the model, 6 for other reasons.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    Speaker::open(&arguments.speaking)?.answer(&arguments.prompt, out)?;
    Ok(exit::CORROBORATED)
}
