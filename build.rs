//! Tells the binary which commit it was built from: reports of different commits must not merge.

use std::process::Command;

fn main() {
    for path in [
        "src",
        "spec",
        "conformance",
        "fixtures",
        "Cargo.toml",
        "Cargo.lock",
        ".git/HEAD",
        ".git/index",
    ] {
        if std::path::Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    println!(
        "cargo::rustc-env=WEIGHBRIDGE_COMMIT={}",
        commit().unwrap_or_else(|| "unknown".to_owned())
    );
}

/// Reports do not count as changes: they are written by the binary that they name.
fn commit() -> Option<String> {
    let head = git(&["rev-parse", "HEAD"])?;
    let changes =
        git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)reports"])?;
    Some(if changes.is_empty() { head } else { format!("{head}-dirty") })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
