//! `weighbridge run`: one prompt, one answer.

use std::io::Write;

use clap::Args;

use super::speaker::{Speaker, Speaking};
use super::{Stop, exit};

/// Ask a decoder once, through its chat template.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    speaking: Speaking,
    /// What to say.
    #[arg(long, value_name = "TEXT")]
    prompt: String,
}

/// Answers.
///
/// # Errors
/// 5 where the contract gate refuses the model, 6 for what else goes wrong.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, Stop> {
    Speaker::open(&arguments.speaking)?.answer(&arguments.prompt, out)?;
    Ok(exit::CORROBORATED)
}
