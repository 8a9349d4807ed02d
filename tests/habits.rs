//! Habits around the code as tests: the licence files are those that `Cargo.toml` names, one oldest
//! toolchain is told everywhere, every alias runs something, and the package holds what `src` embeds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Subcommands that other crates install. An alias of the same name would hide them.
const INSTALLED: &str =
    "about audit deny dist edit fuzz hack insta llvm-cov mutants nextest release vet";

#[test]
fn the_licence_files_are_those_of_the_package() {
    assert_eq!(quoted("Cargo.toml", "license = "), "MIT OR Apache-2.0");
    for (file, words) in [
        ("LICENSE-MIT", ["Permission is hereby granted", "WITHOUT WARRANTY OF ANY KIND"]),
        ("LICENSE-APACHE", ["Version 2.0, January 2004", "END OF TERMS AND CONDITIONS"]),
    ] {
        let text = read(file);
        assert!(text.contains("2026 The Weighbridge contributors"), "{file} names no holder");
        assert!(words.iter().all(|word| text.contains(word)), "{file} is not the whole text");
    }
}

#[test]
fn one_oldest_toolchain_is_told_everywhere() {
    let oldest = quoted("Cargo.toml", "rust-version = ");
    assert_eq!(quoted("clippy.toml", "msrv = "), oldest);
    assert!(read(".ci/run").contains(&format!("install Rust {oldest} or newer")), ".ci/run");
    let workflow: Value = serde_yaml::from_str(&read(".github/workflows/ci.yml")).expect("YAML");
    let job = &workflow["jobs"]["msrv"];
    assert_eq!(job["name"], format!("Build with Rust {oldest}"));
    let steps = job["steps"].as_array().expect("the job has steps");
    let commands: Vec<_> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    for line in [format!("rustup default {oldest}\n"), "cargo build --locked".to_owned()] {
        assert!(commands.iter().any(|run| run.contains(&line)), "no {line:?} in {commands:?}");
    }
    for path in files(Path::new(".github/workflows")) {
        let text = read(&path);
        for named in text.split("rustup toolchain install ").skip(1) {
            let named = named.split_whitespace().next().unwrap_or_default();
            assert!(named == "stable" || named == oldest, "{}: {named}", path.display());
        }
    }
}

#[test]
fn every_alias_runs_something_and_hides_nothing() {
    // Asked for outside of this folder, so that its own aliases are not among the answers.
    let own: BTreeSet<String> = run("/", env!("CARGO"), &["--list"])
        .lines()
        .filter(|line| line.starts_with("    ") && !line.contains("alias: "))
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect();
    let config = read(".cargo/config.toml");
    let aliases: Vec<(&str, &str)> =
        config.lines().filter_map(|line| line.strip_suffix('"')?.split_once(" = \"")).collect();
    assert!(aliases.len() > 5, "only {aliases:?}");
    for (name, words) in aliases {
        let hides = own.contains(name) || INSTALLED.split(' ').any(|other| other == name);
        assert!(!hides, "`cargo {name}` is a command of its own");
        let words: Vec<&str> = words.split_whitespace().collect();
        assert!(own.contains(words[0]), "{name}: no such cargo command: {}", words[0]);
        for pair in words.windows(2).filter(|pair| pair[0] == "--test") {
            let there = Path::new("tests").join(pair[1]).with_extension("rs").is_file();
            assert!(there, "{name}: no such test: {}", pair[1]);
        }
        if let ("run", Some(at)) = (words[0], words.iter().position(|word| *word == "--")) {
            // The program reads every word before it comes to the last one.
            let typed = [&words[at + 1..], &["--help"]].concat();
            run(".", env!("CARGO_BIN_EXE_weighbridge"), &typed);
        }
    }
}

#[test]
fn the_package_holds_what_the_sources_embed() {
    let listed = run(".", env!("CARGO"), &["package", "--list", "--allow-dirty", "--offline"]);
    let listed: BTreeSet<PathBuf> = listed.lines().map(PathBuf::from).collect();
    let mut embedded = BTreeSet::new();
    for path in files(Path::new("src")) {
        if path.extension().is_some_and(|ending| ending == "rs") {
            embedded.extend(named_files(&path, &read(&path)));
        }
    }
    assert!(embedded.len() > 40, "the scan sees too little: {embedded:?}");
    embedded.extend(["LICENSE-MIT", "LICENSE-APACHE", "build.rs", "Cargo.lock"].map(PathBuf::from));
    for path in embedded {
        let inside = if path.is_dir() { files(&path) } else { vec![path.clone()] };
        for file in inside {
            assert!(listed.contains(&file), "`include` in Cargo.toml lacks {}", file.display());
        }
    }
}

/// What the `include` macros of a source file name, from the root of the package.
fn named_files(source: &Path, text: &str) -> Vec<PathBuf> {
    let calls = ["include_str!(", "include_bytes!(", "include_dir!("];
    let root = Path::new(".").canonicalize().expect("the package is here");
    let mut all = Vec::new();
    for after in calls.iter().flat_map(|call| text.split(call).skip(1)) {
        let mut literals = after.split('"').skip(1).step_by(2);
        let name = literals.find(|literal| *literal != "CARGO_MANIFEST_DIR").unwrap_or_default();
        let name = name.trim_start_matches("$CARGO_MANIFEST_DIR");
        let joined = match name.strip_prefix('/') {
            Some(from_root) => PathBuf::from(from_root),
            None => source.parent().unwrap_or(source).join(name),
        };
        let real = joined.canonicalize();
        let real = real.unwrap_or_else(|error| panic!("{}: {name}: {error}", source.display()));
        all.push(real.strip_prefix(&root).expect("inside of the package").to_owned());
    }
    all
}

/// All files below a folder, but for Python's own.
fn files(folder: &Path) -> Vec<PathBuf> {
    let deeper = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    let paths = fs::read_dir(folder).expect("the folder is here").flatten().map(|one| one.path());
    paths.filter(|path| !path.ends_with("__pycache__")).flat_map(deeper).collect()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The quoted value of the first line that begins so.
fn quoted(file: &str, key: &str) -> String {
    let text = read(file);
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.split('"').nth(1));
    value.unwrap_or_else(|| panic!("{file} has no {key}")).to_owned()
}

/// Standard output of a program that is run in a folder, and succeeds.
fn run(folder: &str, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(folder).output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
