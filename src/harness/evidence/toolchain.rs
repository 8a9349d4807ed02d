//! Runs the commands of the loader's own toolchain, and probes its crate for names.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::case::step::Named;
use crate::harness::manifest::RustCrate;

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    /// The command line.
    pub line: String,
    /// Exit code, or the signal in words.
    pub status: String,
    /// Whether it exited with 0.
    pub succeeded: bool,
    /// The end of what it printed, stderr after stdout.
    pub tail: String,
}

/// Runs a command line in a folder and waits for it.
///
/// Builds have no time limit here: how long one takes says nothing of the loader.
///
/// # Errors
/// Where the program cannot be started.
pub fn run(line: &[String], folder: &Path) -> io::Result<Ran> {
    let (program, arguments) =
        line.split_first().ok_or_else(|| io::Error::other("empty command line"))?;
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        // The test runner's own variables would change what cargo does.
        .env_remove("CARGO")
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_TARGET_TMPDIR")
        .output()?;
    Ok(describe(line, &output))
}

fn describe(line: &[String], output: &Output) -> Ran {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let start = text.len().saturating_sub(4000);
    let start = (start..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    Ran {
        line: line.join(" "),
        status: output.status.to_string(),
        succeeded: output.status.success(),
        tail: text[start..].to_owned(),
    }
}

/// Compiles a crate that does nothing but name what must exist.
///
/// A compiler is the only judge that cannot be fooled by a comment or a string: a type is
/// imported, a method taken as a value.
///
/// # Errors
/// Where the probe cannot be written or cargo not started.
pub fn probe(folder: &Path, probed: &RustCrate, kind: Named, path: &str) -> io::Result<Ran> {
    let probe = tempfile::tempdir()?;
    fs::create_dir(probe.path().join("src"))?;
    fs::write(
        probe.path().join("Cargo.toml"),
        format!(
            "[package]\nname = \"names-probe\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [dependencies]\n{} = {{ path = {folder:?}, features = {:?} }}\n[workspace]\n",
            probed.name, probed.features
        ),
    )?;
    // The loader's own lock file pins every dependency, so that nothing is resolved anew.
    let lock = folder.join("Cargo.lock");
    if lock.exists() {
        fs::copy(lock, probe.path().join("Cargo.lock"))?;
    }
    fs::write(probe.path().join("src/lib.rs"), source(kind, path))?;
    let target = folder.join("target/names-probe").display().to_string();
    let line = ["cargo", "check", "--quiet", "--target-dir", &target];
    run(&line.map(str::to_owned), probe.path())
}

fn source(kind: Named, path: &str) -> String {
    match kind {
        Named::Type => format!("#![allow(unused_imports)]\nuse {path};\n"),
        Named::Method => format!("pub fn probe() {{\n    let _ = {path};\n}}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_told_from_one_that_works() {
        let folder = std::env::temp_dir();
        let line = |word: &str| vec![word.to_owned()];
        assert!(run(&line("true"), &folder).expect("starts").succeeded);
        assert!(!run(&line("false"), &folder).expect("starts").succeeded);
        assert!(run(&line("/no/such/program"), &folder).is_err());
    }

    #[test]
    fn a_probe_names_its_item() {
        assert!(source(Named::Type, "k::A").contains("use k::A;"));
        assert!(source(Named::Method, "k::A::new").contains("let _ = k::A::new;"));
    }
}
