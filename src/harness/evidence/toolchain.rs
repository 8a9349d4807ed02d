//! Runs the build commands of the loader's manifest, and checks that its crate has certain names.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::case::step::Named;
use crate::harness::manifest::RustCrate;

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    /// The command line.
    pub line: String,
    /// Exit status or signal, in words.
    pub status: String,
    /// Whether its exit status was 0.
    pub succeeded: bool,
    /// The last 4000 bytes of its output, stderr after stdout.
    pub tail: String,
}

/// Runs a command line in a folder and waits for it.
///
/// There is no time limit, because the time of a build says nothing about the loader.
///
/// # Errors
/// If the program cannot be started.
pub fn run(line: &[String], folder: &Path) -> io::Result<Ran> {
    let (program, arguments) =
        line.split_first().ok_or_else(|| io::Error::other("empty command line"))?;
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        // If the harness itself runs under cargo, these variables would change what cargo does.
        .env_remove("CARGO")
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_TARGET_TMPDIR")
        // What a terminal's keys send is for the judge alone, which ends its processes itself.
        .process_group(0)
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

/// Compiles a small crate that uses one name of the loader's crate: it imports a type, or takes a
/// method as a value.
///
/// The crate is written to a new folder in `within`.
///
/// Only a compiler shows that the name exists: a text search would also find it in a comment or a
/// string.
///
/// # Errors
/// If the crate cannot be written, or cargo cannot be started.
pub fn probe(
    folder: &Path,
    probed: &RustCrate,
    kind: Named,
    path: &str,
    within: &Path,
) -> io::Result<Ran> {
    let probe = tempfile::tempdir_in(within)?;
    fs::create_dir(probe.path().join("src"))?;
    fs::write(
        probe.path().join("Cargo.toml"),
        format!(
            "[package]\nname = \"names-probe\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [dependencies]\n{} = {{ path = {folder:?}, features = {:?} }}\n[workspace]\n",
            probed.name, probed.features
        ),
    )?;
    // The loader's lock file pins every dependency, so that cargo resolves none again.
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
