//! What an audit leaves when a signal ends it: the matrix so far, and the command that goes on.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::file::File;
use crate::cli::show::say;
use crate::cli::{exit, keeper};
use crate::harness::run::case_run::setting::quoted;

/// Ends the audit's processes, and tells what is missing.
pub(super) fn tell(signal: &str, file: Option<&File>, out: Option<&Path>) {
    keeper::end_processes();
    keeper::remove_scratch();
    let Some(file) = file else {
        say(&format!("interrupted by {signal} before the first mutant: nothing is decided"));
        return;
    };
    let left: Vec<&str> = file.left.iter().map(String::as_str).collect();
    let rest = out.map(rest_of);
    let words = words_again(std::env::args_os().skip(1), &left, rest.as_deref());
    say(&format!(
        "interrupted by {signal}: {} mutants are tried, {} are not: {}\nto go on: weighbridge {}",
        file.matrix.rows.len(),
        left.len(),
        left.join(", "),
        words.join(" ")
    ));
    if let (Some(out), Some(rest)) = (out, rest) {
        let json = |prefix: &Path| {
            let mut path = prefix.as_os_str().to_owned();
            path.push(".json");
            quoted(Path::new(&path))
        };
        say(&format!("then join both: weighbridge audit --join {} {}", json(out), json(&rest)));
    }
}

/// The exit code of an audit that a signal ended.
pub(super) fn code(file: Option<&File>) -> u8 {
    match file {
        Some(file) if !file.matrix.rows.is_empty() && !file.matrix.holds() => exit::REFUTED,
        _ => exit::INCOMPLETE,
    }
}

/// Where the rest of an audit goes: the first part stays as it is.
fn rest_of(out: &Path) -> PathBuf {
    let mut path = out.as_os_str().to_owned();
    path.push("-rest");
    PathBuf::from(path)
}

/// The words of a command line, with other mutants and another place for the matrix.
fn words_again(
    words: impl Iterator<Item = OsString>,
    mutants: &[&str],
    out: Option<&Path>,
) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words;
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        if text == "--mutant" || text == "--out" {
            // Its value goes with it.
            let _ = words.next();
        } else if !text.starts_with("--mutant=") && !text.starts_with("--out=") {
            kept.push(quoted(Path::new(&word)));
        }
    }
    kept.extend(mutants.iter().map(|mutant| format!("--mutant {mutant}")));
    kept.extend(out.map(|out| format!("--out {}", quoted(out))));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_goes_on_has_the_mutants_that_are_left() {
        let typed =
            ["audit", "--claimed", "--mutant", "a", "--mutant=b", "--out", "x y", "--jobs", "2"];
        let rest = rest_of(Path::new("x y"));
        let words = words_again(typed.into_iter().map(OsString::from), &["b", "c"], Some(&rest));
        assert_eq!(
            words.join(" "),
            "audit --claimed --jobs 2 --mutant b --mutant c --out 'x y-rest'"
        );
    }
}
