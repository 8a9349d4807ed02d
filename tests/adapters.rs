//! Plugging a loader in: the kit's own tests, what `init` writes, and what `adapter` says of it.

mod program;

// The crate that adapters in Rust share is no part of this package. Its unit tests run here.
#[allow(dead_code, unused_imports)]
#[path = "../adapters/rust/src/lib.rs"]
mod shared;

use std::path::{Path, PathBuf};
use std::process::Command;

use program::{Ran, weighbridge};

/// A skeleton in a fresh folder, and its manifest.
fn skeleton(language: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let into = folder.path().join("mine");
    let sources = env!("CARGO_MANIFEST_DIR");
    let into_text = into.display().to_string();
    let written = weighbridge(&["init", language, &into_text, "--weighbridge", sources]);
    assert!(written.code == Some(0), "{}", written.err);
    let manifest = into.join("manifest.yaml");
    (folder, manifest)
}

fn adapter(verb: &str, manifest: &Path) -> Ran {
    weighbridge(&["adapter", verb, &manifest.display().to_string()])
}

#[test]
fn the_kit_passes_its_own_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters/python");
    let run = Command::new("python3")
        .args(["-m", "unittest", "discover", "-s", "tests", "-t", "."])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(folder)
        .output()
        .expect("python3 is there");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    // unittest is content with no tests at all.
    let count = said.split("Ran ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    assert!(count.is_some_and(|count: usize| count >= 20), "{said}");
}

#[test]
fn a_skeleton_in_python_is_weighed() {
    let (_folder, manifest) = skeleton("python");
    let checked = adapter("check", &manifest);
    let said = checked.out;
    assert!(checked.code == Some(0), "{said}{}", checked.err);
    for line in ["good file    F-PARSE-036", "bad file     F-PARSE-043", "unsupported  refused"] {
        assert!(said.contains(line), "{said}");
    }
    let traced = adapter("trace", &manifest).out;
    for part in ["> {\"id\":2,\"request\":{\"load\"", "< {\"id\": 2, \"reply\"", ": pass"] {
        assert!(traced.contains(part), "{traced}");
    }
    let certified = weighbridge(&[
        "certify",
        "--profile",
        "host",
        "--case",
        "F-PARSE-036",
        "--loader",
        &manifest.display().to_string(),
        "--out",
        &manifest.with_file_name("report").display().to_string(),
    ]);
    // One case of many: sound, and incomplete.
    assert_eq!(certified.code, Some(3), "{}", certified.err);
}

#[test]
fn a_skeleton_in_rust_names_the_crate() {
    let (_folder, manifest) = skeleton("rust");
    let toml = std::fs::read_to_string(manifest.with_file_name("Cargo.toml")).expect("Cargo.toml");
    assert!(toml.contains(&format!("path = \"{}\"", env!("CARGO_MANIFEST_DIR"))), "{toml}");
    // Not built yet: the program that the manifest names is not there.
    let checked = adapter("check", &manifest);
    assert_eq!(checked.code, Some(2));
    assert!(checked.err.contains("my-loader"), "{}", checked.err);
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("loader.py");
    std::fs::write(&kept, "mine").expect("writable");
    let refused = weighbridge(&["init", "python", &folder.path().display().to_string()]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("not empty"), "{}", refused.err);
    assert_eq!(std::fs::read_to_string(kept).expect("still there"), "mine");
}

#[test]
fn a_loader_that_takes_half_a_file_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let manifest = folder.path().join("manifest.yaml");
    let program = env!("CARGO_BIN_EXE_weighbridge");
    let written = format!("name: half\ncommand: [{program:?}, mutant, truncated-valid]\n");
    std::fs::write(&manifest, written).expect("writable");
    let checked = adapter("check", &manifest);
    let said = checked.out;
    assert_eq!(checked.code, Some(1), "{said}");
    assert!(said.contains("good file    F-PARSE-036::readme_smallest: passed"), "{said}");
    assert!(said.contains("bad file     F-PARSE-043::one_byte_short: fail"), "{said}");
}
