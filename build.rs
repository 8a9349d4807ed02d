//! Passes the commit to the binary, because reports of different commits must not be merged.

use std::path::Path;
use std::process::Command;

fn main() {
    for path in [
        "src",
        "spec",
        "conformance",
        "fixtures",
        "Cargo.toml",
        "Cargo.lock",
        ".cargo_vcs_info.json",
    ] {
        rerun_for(path);
    }
    // A worktree has these elsewhere. The log has a line for every commit, also an amended one.
    if Path::new(".git").exists() {
        for name in ["HEAD", "index", "logs/HEAD"] {
            if let Some(path) = git(&["rev-parse", "--git-path", name]) {
                rerun_for(&path);
            }
        }
    }
    println!(
        "cargo::rustc-env=WEIGHBRIDGE_COMMIT={}",
        commit().unwrap_or_else(|| "unknown".to_owned())
    );
}

/// Cargo runs this again each time if a path does not exist.
fn rerun_for(path: &str) {
    if Path::new(path).exists() {
        println!("cargo::rerun-if-changed={path}");
    }
}

/// The commit of a checkout, of the package that cargo made from one, or of an archive by
/// `git archive`.
///
/// Asks Git only if this folder is itself a checkout. A package may lie inside the checkout of
/// another project, and the commit of that project says nothing about the package.
fn commit() -> Option<String> {
    if Path::new(".git").exists() { of_checkout() } else { of_package().or_else(of_archive) }
}

/// `git archive`, and so every source archive that a host of repositories offers, writes the commit
/// here, because `.gitattributes` asks for it.
fn of_archive() -> Option<String> {
    let written = "$Format:%H$";
    (!written.contains('$')).then(|| written.to_owned())
}

/// Changes in `reports` do not count, because the binary that a report names writes the report.
fn of_checkout() -> Option<String> {
    let head = git(&["rev-parse", "HEAD"])?;
    let changes =
        git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)reports"])?;
    Some(named(&head, !changes.is_empty()))
}

/// Cargo writes `{"git": {"sha1": "...", "dirty": true}}` into a package; `dirty` only where it is.
fn of_package() -> Option<String> {
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let after = text.split("\"sha1\"").nth(1)?;
    let head = after.split('"').nth(1)?;
    Some(named(head, text.contains("\"dirty\": true")))
}

fn named(head: &str, dirty: bool) -> String {
    if dirty { format!("{head}-dirty") } else { head.to_owned() }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
