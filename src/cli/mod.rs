//! The command line: one file a subcommand, one exit code an outcome.

pub mod adapter;
pub mod audit;
pub mod bench;
pub mod certify;
pub mod chat;
pub mod compare;
pub mod completions;
pub mod doctor;
pub mod exit;
pub mod explain;
pub mod fault;
pub mod gate;
pub mod init;
pub mod inspect;
pub mod list;
pub mod lookup;
pub mod merge;
pub mod models;
pub mod progress;
pub mod report;
pub mod run;
pub mod seal;
pub mod serve;
pub mod speaker;
pub mod stamp;
pub mod trace;
pub mod trials;
pub mod validate;
pub mod verify;
pub mod warm;
pub mod weighing;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::fault::Fault;
use self::lookup::LookupError;
use self::weighing::Embedded;

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
    List(list::ListArgs),
    Explain(explain::ExplainArgs),
    Audit(audit::Arguments),
    Merge(merge::Args),
    Compare(compare::Args),
    Verify(verify::Args),
    Report(report::Args),
    Bench(bench::Arguments),
    Init(init::Arguments),
    Adapter(adapter::Arguments),
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
    Seal(seal::Arguments),
    Models(models::Arguments),
    Warm(warm::Arguments),
    Run(run::Arguments),
    Chat(chat::Arguments),
    Validate(validate::Arguments),
    Inspect(inspect::Arguments),
    Trace(trace::Arguments),
    Loader(serve::Reference),
    #[command(hide = true)]
    Mutant(serve::Mutant),
}

/// Runs the program on this process's arguments.
pub fn main() -> ExitCode {
    ExitCode::from(Arguments::parse().command.run().unwrap_or_else(|stop| stop.tell()))
}

impl Command {
    fn run(&self) -> Result<u8, Stop> {
        let out = &mut io::stdout().lock();
        Ok(match self {
            Command::Certify(arguments) => certify::run(arguments)?,
            Command::List(arguments) => {
                let embedded = Embedded::read()?;
                list::run(arguments, &embedded.spec, &embedded.covered(), out)?;
                exit::CORROBORATED
            }
            Command::Explain(arguments) => {
                let embedded = Embedded::read()?;
                explain::run(arguments, &embedded.spec, &embedded.covered(), out)?;
                exit::CORROBORATED
            }
            Command::Audit(arguments) => audit::run(arguments)?,
            Command::Merge(arguments) => merge::run(arguments, &Embedded::read()?.titles(), out)?,
            Command::Compare(arguments) => {
                compare::run(arguments, &Embedded::read()?.titles(), out)?
            }
            Command::Verify(arguments) => verify::run(arguments, out)?,
            Command::Report(arguments) => report::run(arguments, &Embedded::read()?.titles(), out)?,
            Command::Bench(arguments) => bench::run(arguments, out)?,
            Command::Init(arguments) => init::run(arguments, out)?,
            Command::Adapter(arguments) => adapter::run(arguments, out)?,
            Command::Doctor(arguments) => doctor::run(arguments)?,
            Command::Completions(arguments) => completions::run::<Arguments>(arguments)?,
            Command::Seal(arguments) => seal::run(arguments, out)?,
            Command::Models(arguments) => models::run(arguments, out)?,
            Command::Warm(arguments) => warm::run(arguments, out)?,
            Command::Run(arguments) => run::run(arguments, out)?,
            Command::Chat(arguments) => chat::run(arguments, out)?,
            Command::Validate(arguments) => validate::run(arguments, out)?,
            Command::Inspect(arguments) => inspect::run(arguments, out)?,
            Command::Trace(arguments) => trace::run(arguments, out)?,
            Command::Loader(_) => serve::reference()?,
            Command::Mutant(arguments) => serve::mutant(arguments)?,
        })
    }
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
        Stop { code: exit::HARNESS_ERROR, message: message.to_string() }
    }

    /// Prints the message and gives the code.
    pub fn tell(self) -> u8 {
        if !self.message.is_empty() {
            // Where stderr is closed or full, the exit code has to say it alone.
            let _ = writeln!(io::stderr(), "error: {}", self.message);
        }
        self.code
    }
}

impl From<LookupError> for Stop {
    fn from(error: LookupError) -> Self {
        match error {
            // Whoever reads the output may stop when he has seen enough, as `head` does.
            LookupError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                Stop { code: exit::CORROBORATED, message: String::new() }
            }
            LookupError::Output(_) => Stop::harness(error),
            LookupError::Unknown { .. } => Stop::usage(error),
        }
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop { code: fault.exit_code(), message: fault.to_string() }
    }
}
