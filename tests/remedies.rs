//! The table of remedies, held to the command line: what a remedy names exists where it is shown.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use weighbridge::harness::spec::Spec;
use weighbridge::loader::remedies::{self, Remedy, Shown};

/// Commands that read a model, each as its names from the program's on.
const READ_MODELS: [&[&str]; 13] = [
    &["run"],
    &["chat"],
    &["embed"],
    &["trace"],
    &["warm"],
    &["validate"],
    &["inspect"],
    &["seal"],
    &["certify"],
    &["audit"],
    &["bench", "load"],
    &["bench", "encode"],
    &["bench", "decode"],
];

/// Those of them that compute nothing on a GPU.
const WITHOUT_DEVICE: [&str; 3] = ["validate", "inspect", "seal"];

/// Words of requests, which nobody types at a command line.
const REQUEST_FIELDS: [&str; 9] = [
    "admit",
    "expect_sha256",
    "inference",
    "head",
    "pooling",
    "tokens",
    "tokenizer",
    "template",
    "format",
];

/// The command with these names.
fn find<'c>(tree: &'c Command, names: &[&str]) -> Option<&'c Command> {
    names.iter().try_fold(tree, |command, name| command.find_subcommand(name))
}

fn has_option(command: &Command, option: &str) -> bool {
    command.get_arguments().any(|argument| argument.get_long() == Some(option))
}

/// Every command that may show a remedy.
fn shown_by(tree: &Command, shown: Shown) -> Vec<&Command> {
    let reads: Vec<&[&str]> = READ_MODELS.to_vec();
    let names: Vec<&[&str]> = match shown {
        Shown::Everywhere => reads,
        Shown::Devices => {
            reads.into_iter().filter(|names| !WITHOUT_DEVICE.contains(&names[0])).collect()
        }
        Shown::Warm => vec![&["warm"]],
        Shown::Protocol => Vec::new(),
    };
    names.iter().map(|names| find(tree, names).unwrap_or_else(|| panic!("{names:?}"))).collect()
}

/// The long options in a text.
fn options(text: &str) -> impl Iterator<Item = &str> {
    text.split("--").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        &rest[..end.unwrap_or(rest.len())]
    })
}

/// What a remedy names that is not there.
fn faults(tree: &Command, row: &Remedy) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, part) in row.text.split('`').enumerate() {
        let quoted = at % 2 == 1;
        let Some(line) = part.strip_prefix("weighbridge ").filter(|_| quoted) else {
            let another_program = quoted && !part.starts_with("--") && part.contains(' ');
            for option in options(part).filter(|_| !another_program) {
                if row.shown == Shown::Protocol {
                    faults.push(format!("an option in a request: --{option}"));
                }
                let lacks = |command: &&&Command| !has_option(command, option);
                for command in shown_by(tree, row.shown).iter().filter(lacks) {
                    faults.push(format!("{} has no --{option}", command.get_name()));
                }
            }
            if quoted && row.shown != Shown::Protocol && REQUEST_FIELDS.contains(&part) {
                faults.push(format!("a request's field: {part}"));
            }
            continue;
        };
        let mut command = tree;
        for word in line.split(' ').take_while(|word| !word.starts_with('-')) {
            match command.find_subcommand(word) {
                Some(found) => command = found,
                // Behind a command's own name stand its arguments.
                None if command.get_subcommands().next().is_none() => break,
                None => {
                    faults.push(format!("no command {line}"));
                    break;
                }
            }
        }
        faults.extend(
            options(line)
                .filter(|option| !has_option(command, option))
                .map(|option| format!("{line}: no --{option}")),
        );
    }
    faults
}

#[test]
fn what_a_remedy_names_exists_where_it_is_shown() {
    let tree = weighbridge::cli::command();
    let mut all = Vec::new();
    for row in remedies::all() {
        all.extend(faults(&tree, row).into_iter().map(|fault| format!("{}: {fault}", row.cause)));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn a_remedy_that_names_what_is_not_there_is_caught() {
    let tree = weighbridge::cli::command();
    let row = *remedies::all().next().expect("a row");
    for (text, shown) in [
        ("Use `--no-such-option`.", Shown::Everywhere),
        ("Use `--device cpu`.", Shown::Everywhere),
        ("Use --no-such-option.", Shown::Devices),
        ("Run `weighbridge nothing`.", Shown::Everywhere),
        ("Run `weighbridge bench nothing`.", Shown::Everywhere),
        ("Run `weighbridge validate --gates`.", Shown::Everywhere),
        ("Load with `expect_sha256`.", Shown::Everywhere),
        ("Add `--registry`.", Shown::Protocol),
    ] {
        assert!(!faults(&tree, &Remedy { text, shown, ..row }).is_empty(), "{text}");
    }
    let right = "Run `weighbridge validate MODEL --json`, or `llama-gguf-split --merge`.";
    let none = faults(&tree, &Remedy { text: right, shown: Shown::Everywhere, ..row });
    assert_eq!(none, Vec::<String>::new());
}

#[test]
fn every_failure_of_the_error_table_has_a_cause() {
    let spec = Spec::embedded().expect("the built-in spec");
    // A broader code for loaders that do not tell its members apart.
    let broader = ["gate_failed"];
    for code in spec.error_codes().iter().flat_map(|row| &row.failures) {
        let known = remedies::of(*code).next().is_some() || broader.contains(&&*code.name());
        assert!(known, "{} has no cause", code.name());
    }
}

/// Sources of the loader, tests left out.
fn sources(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        let tests = path.file_stem().is_some_and(|name| name == "tests");
        if path.is_dir() && !tests {
            sources(&path, into);
        } else if !path.is_dir() && !tests {
            let text = fs::read_to_string(&path).expect("UTF-8");
            let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
            into.push((path, text[..end].to_owned()));
        }
    }
}

#[test]
fn remedies_stand_in_the_table_alone_and_each_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/loader");
    let mut all = Vec::new();
    sources(&root, &mut all);
    let table = root.join("remedies");
    let (table, code): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(path, _)| path.starts_with(&table));
    for (path, text) in &code {
        let own = path.ends_with("error.rs");
        assert!(own || !text.contains(".remedy("), "{}", path.display());
    }
    // Commands use rows too: the name of a hardware profile is theirs alone.
    let mut users = code;
    sources(&root.with_file_name("cli"), &mut users);
    let mut rows = 0;
    for line in table.iter().flat_map(|(_, text)| text.lines()) {
        let Some((name, _)) = line.trim_start().split_once(": ") else { continue };
        if name.is_empty()
            || !name.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit())
        {
            continue;
        }
        rows += 1;
        assert!(users.iter().any(|(_, text)| text.contains(name)), "{name} is never used");
    }
    assert_eq!(rows, remedies::all().count());
}

#[test]
fn no_debug_output_of_rust_stands_in_messages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/loader");
    let mut all = Vec::new();
    sources(&root, &mut all);
    // The quoting of names, and a shape as JSON.
    let wanted = ["error.rs", "read_back.rs"];
    for (path, text) in all.iter().filter(|(path, _)| !wanted.iter().any(|w| path.ends_with(w))) {
        for (number, line) in text.lines().enumerate() {
            let shown = line.contains(":?}") && !line.contains("assert");
            assert!(!shown, "{}:{}: {line}", path.display(), number + 1);
        }
    }
}
