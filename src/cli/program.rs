//! The program: its subcommands, and how it ends.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::command_error::CommandError;
use super::weighing::Embedded;
use super::{
    adapter, attest, audit, bench, certify, chat, compare, completions, doctor, embed, exit,
    explain, init, inspect, list, list_boundaries, merge, models, plan, report, run, seal, serve,
    submit, trace, validate, verify, version, warm,
};

/// Test whether a GPU weight loader does what it claims.
#[derive(Debug, Parser)]
#[command(name = "weighbridge", version, long_version = version::long(), max_term_width = 100)]
#[command(
    after_help = "With --json, a command prints JSON on stdout instead of text. An error is then \
    printed twice: on stdout as one line of JSON, {\"error\": {\"exit_code\": ..., \"message\": ...}}, and \
    on stderr as text. Exit codes do not change."
)]
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
    Attest(attest::Args),
    Submit(submit::Submit),
    VerifySubmission(submit::VerifySubmission),
    Registry(submit::Registry),
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
    Embed(embed::Arguments),
    Validate(validate::Arguments),
    Inspect(inspect::Arguments),
    Plan(plan::Arguments),
    Trace(trace::Arguments),
    Loader(serve::Reference),
    Version(version::Arguments),
    #[command(hide = true)]
    Mutant(serve::Mutant),
    #[command(hide = true)]
    Supervise(serve::Supervise),
    #[command(hide = true)]
    Documents(serve::Documents),
}

/// Runs the program on this process's arguments.
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return ExitCode::from(not_parsed(&error)),
    };
    let parsed = match Arguments::from_arg_matches(&matches) {
        Ok(parsed) => parsed,
        Err(error) => return ExitCode::from(not_parsed(&error)),
    };
    ExitCode::from(parsed.command.run().unwrap_or_else(|stop| match wants_json(&matches) {
        true => stop.tell_as_json(),
        false => stop.tell(),
    }))
}

/// The whole command line, for completion scripts and for tests of help texts.
pub fn command() -> clap::Command {
    with_negative_numbers(Arguments::command())
}

/// Lets every option take a negative number, so that a wrong one is told as a value and not as an
/// unknown option.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| match arg.get_action().takes_values() {
        true => arg.allow_negative_numbers(true),
        false => arg,
    });
    command.mut_subcommands(with_negative_numbers)
}

/// Whether the subcommand was given its flag `--json`.
fn wants_json(matches: &ArgMatches) -> bool {
    match matches.subcommand() {
        Some((_, inner)) => wants_json(inner),
        None => matches.try_get_one("json").ok().flatten().copied().unwrap_or(false),
    }
}

/// Prints clap's error, or its help or version, which it treats as errors too.
fn not_parsed(error: &clap::Error) -> u8 {
    // Nothing was parsed, so the flag is looked for in the words themselves.
    let mut words = std::env::args_os().skip(1).take_while(|word| word != "--");
    if error.use_stderr() && words.any(|word| word == "--json") {
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
        return CommandError::usage(text).tell_as_json();
    }
    match error.print().and_then(|()| io::stdout().flush()) {
        Ok(()) => u8::try_from(error.exit_code()).unwrap_or(exit::USAGE),
        Err(_) => exit::HARNESS_ERROR,
    }
}

impl Command {
    fn run(&self) -> Result<u8, CommandError> {
        // Not locked: after a signal another thread tells what was decided.
        let out = &mut io::stdout();
        Ok(match self {
            Command::Certify(arguments) => certify::run(arguments)?,
            Command::List(arguments) => {
                let embedded = Embedded::read()?;
                match arguments.boundaries {
                    true => list_boundaries::print(embedded.cases.cases(), arguments.json, out)?,
                    false => list::run(arguments, &embedded.spec, &embedded.covered(), out)?,
                }
                exit::CORROBORATED
            }
            Command::Explain(arguments) => {
                let embedded = Embedded::read()?;
                let (spec, cases) = (&embedded.spec, embedded.cases.cases());
                match &arguments.out {
                    Some(folder) => explain::write_pages(folder, arguments.json, spec, cases, out)?,
                    None => {
                        explain::run(arguments, spec, cases, out)?;
                        exit::CORROBORATED
                    }
                }
            }
            Command::Audit(arguments) => audit::run(arguments)?,
            Command::Merge(arguments) => {
                let embedded = Embedded::read()?;
                merge::run(arguments, &embedded, &embedded.titles(), out)?
            }
            Command::Compare(arguments) => {
                compare::run(arguments, &Embedded::read()?.titles(), out)?
            }
            Command::Verify(arguments) => verify::run(arguments, &Embedded::read()?, out)?,
            Command::Attest(arguments) => attest::run(arguments, &Embedded::read()?, out)?,
            Command::Submit(arguments) => {
                submit::submit(arguments, &Embedded::read()?.titles(), out)?
            }
            Command::VerifySubmission(arguments) => {
                submit::verify(arguments, &Embedded::read()?, out)?
            }
            Command::Registry(arguments) => submit::registry(arguments, &Embedded::read()?, out)?,
            Command::Report(arguments) => report::run(arguments, &Embedded::read()?.titles(), out)?,
            Command::Bench(arguments) => bench::run(arguments, out)?,
            Command::Init(arguments) => init::run(arguments, out)?,
            Command::Adapter(arguments) => adapter::run(arguments, out)?,
            Command::Doctor(arguments) => doctor::run(arguments, out)?,
            Command::Completions(arguments) => completions::run(arguments, command(), out)?,
            Command::Seal(arguments) => seal::run(arguments, out)?,
            Command::Models(arguments) => models::run(arguments, out)?,
            Command::Warm(arguments) => warm::run(arguments, out)?,
            Command::Run(arguments) => run::run(arguments, out)?,
            Command::Chat(arguments) => chat::run(arguments, out)?,
            Command::Embed(arguments) => embed::run(arguments, out)?,
            Command::Validate(arguments) => validate::run(arguments, out)?,
            Command::Inspect(arguments) => inspect::run(arguments, out)?,
            Command::Plan(arguments) => plan::run(arguments, out)?,
            Command::Trace(arguments) => trace::run(arguments, out)?,
            Command::Loader(_) => serve::reference()?,
            Command::Version(arguments) => version::run(arguments, out)?,
            Command::Mutant(arguments) => serve::mutant(arguments)?,
            Command::Supervise(arguments) => serve::supervise(arguments)?,
            Command::Documents(arguments) => serve::documents(arguments)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_number_is_told_as_the_value_of_its_option() {
        for words in [
            ["plan", "model", "--tp", "-1"],
            ["certify", "--profile", "host", "--jobs=-2"],
            ["bench", "load", "--rounds", "-3"],
        ] {
            let told = command().try_get_matches_from([&["x"], &words[..]].concat()).unwrap_err();
            assert_eq!(told.kind(), clap::error::ErrorKind::ValueValidation, "{words:?}: {told}");
        }
    }
}
