//! `weighbridge completions SHELL`: prints a completion script. The script knows the names that the
//! options take: profiles, sections, cases, mutants, devices, and all that `explain` knows. With
//! the ids of all cases it has about 400 KB. Bash reads it in 5 ms, and takes as long for an
//! answer.

use std::io::Write;

use clap::builder::PossibleValuesParser;
use clap::{Args, Command};
use clap_complete::Shell;

use super::fault::print;
use super::weighing::Embedded;
use super::{CommandError, exit, explain, sections};
use crate::harness::case::Case;
use crate::harness::spec::Section;
use crate::mutants;

/// Device names that are offered. `cuda:N` for more GPUs is accepted too.
const DEVICES: [&str; 4] = ["cpu", "cuda", "cuda:0", "cuda:1"];

/// Bash takes a colon for the end of a word, and ids of cases have two.
const COLONS: &str = "COMP_WORDBREAKS=${COMP_WORDBREAKS//:/}\n";

/// The generator for fish offers the values of options, and none of positional arguments.
const FISH: &str =
    "complete -c weighbridge -n \"__fish_weighbridge_using_subcommand explain\" -f -a";

/// Print a completion script for a shell.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell.
    shell: Shell,
}

/// Prints the script for this command line.
///
/// # Errors
/// If stdout cannot be written.
pub fn run(
    arguments: &Arguments,
    command: Command,
    out: &mut dyn Write,
) -> Result<u8, CommandError> {
    let mut script = Vec::new();
    if arguments.shell == Shell::Bash {
        script.extend(COLONS.as_bytes());
    }
    let names = Names::of(&Embedded::read()?);
    let mut command = named(&visible(&command), &names);
    clap_complete::generate(arguments.shell, &mut command, "weighbridge", &mut script);
    if arguments.shell == Shell::Fish {
        script.extend(format!("{FISH} \"{}\"\n", names.explained.join(" ")).as_bytes());
    }
    print(out, &String::from_utf8_lossy(&script))?;
    Ok(exit::CORROBORATED)
}

/// The command line without internal commands, which scripts of all shells would offer.
fn visible(command: &Command) -> Command {
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set()).cloned();
    Command::new("weighbridge")
        .version(env!("CARGO_PKG_VERSION"))
        .about(command.get_about().cloned().unwrap_or_default())
        .subcommands(shown)
}

/// Names by the option that takes them.
struct Names {
    profiles: Vec<String>,
    classes: Vec<String>,
    sections: Vec<String>,
    cases: Vec<String>,
    mutants: Vec<String>,
    explained: Vec<String>,
    hardware: Vec<String>,
}

impl Names {
    fn of(embedded: &Embedded) -> Self {
        let (spec, cases) = (&embedded.spec, embedded.cases.cases());
        // Titles have spaces, which not every script can quote.
        let short = |section: &Section| -> Vec<String> {
            sections::words(section).filter(|word| !word.contains(' ')).map(str::to_owned).collect()
        };
        let mut sections: Vec<String> = spec.sections().iter().flat_map(short).collect();
        sections.sort_unstable();
        sections.dedup();
        let explained = explain::names(spec, cases).into_iter().filter(|name| !name.contains(' '));
        Names {
            profiles: spec.profiles().iter().map(|one| one.name.clone()).collect(),
            classes: spec.classes().iter().map(|one| one.name.clone()).collect(),
            sections,
            cases: cases.iter().map(Case::id).collect(),
            mutants: mutants::names().into_iter().map(str::to_owned).collect(),
            explained: explained.collect(),
            hardware: spec.hardware_profiles().iter().map(|one| one.name.clone()).collect(),
        }
    }

    /// What an argument of a subcommand may be.
    fn about(&self, command: &str, argument: &str) -> Option<Vec<String>> {
        Some(match (command, argument) {
            (_, "profile") => self.profiles.clone(),
            (_, "class") => self.classes.clone(),
            (_, "section") => self.sections.clone(),
            (_, "case") => self.cases.clone(),
            (_, "mutant") => self.mutants.clone(),
            (_, "hardware") => self.hardware.clone(),
            (_, "device") => DEVICES.map(str::to_owned).to_vec(),
            ("explain", "id") => self.explained.clone(),
            _ => return None,
        })
    }
}

/// The same command line, with names as the possible values of its arguments. Only the script uses
/// it: the program itself also accepts other spellings.
fn named(command: &Command, names: &Names) -> Command {
    let this = command.get_name().to_owned();
    let inner: Vec<String> =
        command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    let mut command = command.clone().mut_args(|argument| {
        match names.about(&this, argument.get_id().as_str()) {
            Some(values) => {
                // Clap takes static texts only; the process ends after this script.
                let values: Vec<&'static str> =
                    values.into_iter().map(|value| &*value.leak()).collect();
                // A default need not be among the names.
                argument.value_parser(PossibleValuesParser::new(values)).default_values(NONE)
            }
            None => argument,
        }
    });
    for one in inner {
        command = command.mut_subcommand(one, |one| named(&one, names));
    }
    command
}

/// No default.
const NONE: [&str; 0] = [];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::program;

    fn script(shell: Shell) -> String {
        let mut out = Vec::new();
        run(&Arguments { shell }, program::command(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn scripts_know_names_and_no_internal_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = script(shell);
            for name in [
                "host",
                "IV",
                "parse",
                "F-PARSE-036::readme_smallest",
                "half-zeros",
                "cuda:0",
                "format.gguf",
                "checksum_mismatch",
                "rtx5090",
            ] {
                let escaped = name.replace(':', "\\:");
                assert!(text.contains(name) || text.contains(&escaped), "{shell}: no {name}");
            }
            assert!(!text.contains("Answer as a loader that tells one lie"), "{shell}");
            assert!(!text.contains("weighbridge__mutant") && !text.contains("__subcmd__mutant"));
        }
        for shell in [Shell::Elvish, Shell::PowerShell] {
            assert!(!script(shell).contains("tells one lie"), "{shell}");
        }
    }
}
