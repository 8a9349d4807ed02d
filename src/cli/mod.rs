//! The command line: one file a subcommand, one exit code an outcome.

pub mod audit;
pub mod certify;
pub mod compare;
pub mod completions;
pub mod doctor;
pub mod exit;
pub mod explain;
pub mod list;
pub mod merge;
pub mod report;
pub mod serve;
pub mod verify;
pub mod weighing;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Decides whether a GPU weight loader may be trusted.
#[derive(Debug, Parser)]
#[command(name = "weighbridge", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Certify(certify::Arguments),
    List(list::Arguments),
    Explain(explain::Arguments),
    Audit(audit::Arguments),
    Merge(merge::Arguments),
    Compare(compare::Arguments),
    Verify(verify::Arguments),
    Report(report::Arguments),
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
    Loader(serve::Reference),
    #[command(hide = true)]
    Mutant(serve::Mutant),
}

/// Runs the program on this process's arguments.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Certify(arguments) => certify::run(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Merge(arguments) => merge::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Completions(arguments) => completions::run::<Arguments>(&arguments),
        Command::Loader(_) => serve::reference(),
        Command::Mutant(arguments) => serve::mutant(&arguments),
    };
    ExitCode::from(result.unwrap_or_else(|stop| stop.tell()))
}

/// Why a subcommand ended early: an exit code and a message for people.
#[derive(Debug)]
pub struct Stop {
    /// One of [`exit`]'s constants.
    pub code: u8,
    /// What to print on stderr.
    pub message: String,
}

impl Stop {
    /// A mistake in what was typed, or in a file that was named.
    pub fn usage(message: impl ToString) -> Self {
        Stop { code: exit::USAGE, message: message.to_string() }
    }

    /// The harness cannot do its work.
    pub fn harness(message: impl ToString) -> Self {
        Stop { code: exit::HARNESS, message: message.to_string() }
    }

    fn tell(self) -> u8 {
        eprintln!("error: {}", self.message);
        self.code
    }
}
