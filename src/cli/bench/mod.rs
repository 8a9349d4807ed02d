//! `weighbridge bench`: measures how fast models load and run, and compares this with the limits of
//! the machine and with other programs.

mod arms;
mod cards;
mod cold;
mod decode;
mod encode;
mod figures;
mod frame;
mod limits;
mod load;
mod ours;
mod peer;
mod peers;
mod place;
mod reachable;
mod suite;
mod synthetic;
mod table;
mod together;
mod truth;
mod turns;

use std::io::Write;

use clap::{Args, Subcommand};

use super::{CommandError, cut_short};

/// Measure how fast models load and run.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Load(load::Arguments),
    Encode(encode::Arguments),
    Decode(decode::Arguments),
    Suite(suite::Arguments),
}

/// Runs the subcommand.
///
/// # Errors
/// Where nothing can be measured.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let _watch =
        cut_short::watch("the rows that were shown are measured; nothing else was written")?;
    match &arguments.what {
        What::Load(arguments) => load::run(arguments, out),
        What::Encode(arguments) => encode::run(arguments, out),
        What::Decode(arguments) => decode::run(arguments, out),
        What::Suite(arguments) => suite::run(arguments, out),
    }
}
