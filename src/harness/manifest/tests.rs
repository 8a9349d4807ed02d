//! Tests valid and invalid manifests.

use std::ffi::OsStr;
use std::fs;

use crate::harness::manifest::*;

fn load(text: &str) -> Result<Manifest, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("loader.yaml");
    fs::write(&file, text).unwrap();
    let prefix = file.display().to_string();
    Manifest::load(&file).map_err(|error| error.to_string().replace(&prefix, "loader.yaml"))
}

#[test]
fn a_whole_manifest_loads() {
    let text = r#"
name: plain-python
command: ["sh", "loader.sh"]
environment: {KEY: value, HOME: null, THREADS: 1}
memory_limit_mb: 4096
source: .
toolchain:
  build: [cargo, build, --features, cuda]
  lint: [cargo, clippy, --all-targets, --, -D, warnings]
  rust_crate:
    path: .
    name: weighbridge
    names: {F-BUILD-005: "weighbridge::loader::Model::from_safetensors"}
cli: {run: [./run]}
"#;
    let manifest = load(text).unwrap();
    assert_eq!(manifest.name(), "plain-python");
    assert_eq!(manifest.memory_bytes(), Some(4096 << 20));
    assert_eq!(manifest.source(), Some(manifest.folder.join(".")));
    assert!(manifest.program.is_absolute());
    let toolchain = manifest.written.toolchain.as_ref().unwrap();
    assert_eq!(toolchain.lint.as_ref().unwrap()[4], "-D");
    assert_eq!(toolchain.docs, None);

    let spawn = manifest.spawn(Path::new("/scratch"));
    assert_eq!(spawn.args, ["loader.sh"]);
    assert_eq!(spawn.dir, manifest.folder);
    let environment = spawn.environment();
    assert_eq!(environment.get(OsStr::new("KEY")).unwrap(), "value");
    assert_eq!(environment.get(OsStr::new("THREADS")).unwrap(), "1");
    assert_eq!(environment.get(OsStr::new("TMPDIR")).unwrap(), "/scratch");
    assert!(!environment.contains_key(OsStr::new("HOME")));
}

#[test]
fn a_fault_in_the_text_has_a_place() {
    for (text, place, word) in [
        ("name: a\ncommand: [sh]\ncomand: [sh]\n", "loader.yaml:3:1: ", "comand"),
        ("name: a\ncommand: sh\n", "loader.yaml:2:10: ", "sequence"),
        ("name: a\nname: b\ncommand: [sh]\n", "loader.yaml:2:1: ", "name"),
        ("name: a\ncommand: [sh\n", "loader.yaml:2:10: ", "bracket"),
        ("name: a\n", "loader.yaml:1:1: ", "command"),
        ("name: a\ncommand: [sh]\nmemory_limit_mb: lots\n", "loader.yaml:3:18: ", "u64"),
    ] {
        let error = load(text).unwrap_err();
        assert!(error.starts_with(place), "{text:?} gave {error:?}");
        assert!(error.contains(word) && !error.contains("at line"), "{text:?} gave {error:?}");
    }
}

#[test]
fn a_fault_in_a_value_names_its_key() {
    for (text, message) in [
        ("name: a\ncommand: []\n", "loader.yaml: command: the command is empty"),
        ("name: a\ncommand: ['']\n", "loader.yaml: command: the program's name is empty"),
        (
            "name: a b\ncommand: [sh]\n",
            "loader.yaml: name: expected letters, digits, '-', '_' and '.', found: \"a b\"",
        ),
        (
            "name: a\ncommand: [no-such-program]\n",
            "loader.yaml: command: program not found: no-such-program",
        ),
        (
            "name: a\ncommand: [./loader.sh]\n",
            "loader.yaml: command: program not found: ./loader.sh",
        ),
        (
            "name: a\ncommand: [sh]\nmemory_limit_mb: 0\n",
            "loader.yaml: memory_limit_mb: expected a value from 1 MiB to 4 PiB, found: 0",
        ),
        (
            "name: a\ncommand: [sh]\nsource: nowhere\n",
            "loader.yaml: source: no such folder: nowhere",
        ),
        (
            "name: a\ncommand: [sh]\ntoolchain: {docs: []}\n",
            "loader.yaml: toolchain.docs: the command is empty",
        ),
        (
            "name: a\ncommand: [sh]\ntoolchain: {rust_crate: {path: ., name: a, names: {F-BUILD-001: a}}}\n",
            "loader.yaml: toolchain.rust_crate.names.F-BUILD-001: expected one of F-BUILD-002 to F-BUILD-006",
        ),
        (
            "name: a\ncommand: [sh]\ntoolchain: {rust_crate: {path: ., name: a, names: {F-BUILD-002: 'a; b'}}}\n",
            "loader.yaml: toolchain.rust_crate.names.F-BUILD-002: expected a Rust path, found: \"a; b\"",
        ),
    ] {
        assert_eq!(load(text).unwrap_err(), message, "{text:?}");
    }
}

#[test]
fn a_path_that_is_no_manifest_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.yaml");
    assert_eq!(Manifest::load(&missing), Err(ManifestError::Missing { file: missing.clone() }));
    let directory = folder.path().to_path_buf();
    assert_eq!(
        Manifest::load(&directory),
        Err(ManifestError::NotAFile { file: directory.clone() })
    );
    let binary = folder.path().join("binary.yaml");
    fs::write(&binary, [0xff, 0xfe, 0]).unwrap();
    assert!(matches!(Manifest::load(&binary), Err(ManifestError::Unreadable { .. })));
}

#[test]
fn bundled_loaders_are_this_program() {
    let exe = std::env::current_exe().unwrap();
    let reference = Manifest::reference(&exe).unwrap();
    assert_eq!((reference.name(), reference.file.as_ref()), ("reference", None));
    assert_eq!(
        (&reference.program, &reference.written.command[1..]),
        (&exe, &["loader".into()][..])
    );
    let mutant = Manifest::builtin_mutant(&exe, "swaps").unwrap();
    assert_eq!(mutant.name(), "mutant-swaps");
    assert_eq!(mutant.spawn(Path::new("/scratch")).args, ["mutant", "swaps"]);
}
