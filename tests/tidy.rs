//! House rules as tests: who may import whom, how files open, how long they are, and that every
//! link between requirements, cases, mutants, error codes, fixtures and reports holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use weighbridge::cli::weighing::Embedded;
use weighbridge::harness::evidence::sources::scan;
use weighbridge::harness::record::Stored;

/// Who may name whom, by folder. Whatever is not here may name everything.
const ALLOWED: &[(&str, &[&str])] = &[
    ("contract", &[]),
    ("gpu", &[]),
    ("loader", &["contract", "gpu"]),
    ("mutants", &["contract", "gpu", "loader"]),
    ("harness", &["contract", "gpu"]),
    ("harness/hex", &[]),
    ("harness/record", &["harness/hex"]),
    ("harness/report", &["harness/record"]),
    ("harness/spec", &["contract", "harness/hex"]),
    ("harness/model", &["contract", "harness/hex"]),
    ("harness/case", &["contract", "harness/hex", "harness/model"]),
    ("harness/client", &["contract"]),
    ("harness/manifest", &["harness/client"]),
    ("harness/oracle", &["contract", "harness/model"]),
    ("harness/fixture", &["contract", "harness/case", "harness/hex", "harness/oracle"]),
    (
        "harness/evidence",
        &[
            "contract",
            "gpu",
            "harness/case",
            "harness/client",
            "harness/hex",
            "harness/manifest",
            "harness/record",
        ],
    ),
    ("harness/audit", &["harness/case", "harness/record"]),
];

/// Only this folder may name these crates.
const BEHIND_THE_WALL: [&str; 3] = ["cudarc", "nvml_wrapper", "libloading"];

#[test]
fn imports_go_one_way() {
    let broken: Vec<String> =
        sources().iter().flat_map(|(path, text)| forbidden_imports(path, text)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_forbidden_import_is_seen() {
    let seen = forbidden_imports(Path::new("src/loader/x.rs"), "use crate::harness::spec::Spec;\n");
    assert_eq!(seen.len(), 1, "{seen:?}");
    let seen = forbidden_imports(
        Path::new("src/harness/report/x.rs"),
        "fn f() { crate::harness::run::x(); }\n",
    );
    assert_eq!(seen.len(), 1, "{seen:?}");
    let seen = forbidden_imports(Path::new("src/loader/x.rs"), "use cudarc::driver;\n");
    assert_eq!(seen.len(), 1, "{seen:?}");
    let fine = "//! See [`crate::harness`].\nuse crate::contract::DType;\nuse super::x;\n";
    assert!(forbidden_imports(Path::new("src/loader/x.rs"), fine).is_empty());
}

#[test]
fn folders_form_no_circle() {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources() {
        let from = folder(&path);
        for to in named(&text) {
            if to != from
                && !to.starts_with(&format!("{from}/"))
                && !from.starts_with(&format!("{to}/"))
            {
                edges.entry(from.clone()).or_default().insert(to);
            }
        }
    }
    assert!(edges.len() > 5, "the scan sees too little: {edges:?}");
    assert_eq!(circle(&edges), None);
    let planted = BTreeMap::from([
        ("a".to_owned(), BTreeSet::from(["b".to_owned()])),
        ("b".to_owned(), BTreeSet::from(["a".to_owned()])),
    ]);
    assert!(circle(&planted).is_some(), "a planted circle is found");
}

#[test]
fn files_are_short_and_say_what_they_hold() {
    for (path, text) in sources() {
        let shown = path.display();
        assert!(text.starts_with("//!"), "{shown} opens without saying what it holds");
        let lines = text.lines().count();
        assert!(lines <= 400, "{shown} has {lines} lines");
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for bad in ["util", "utils", "helper", "helpers", "common", "imp"] {
            assert_ne!(stem, bad, "{shown}: a name that says nothing");
        }
        for word in ["TODO", "FIXME", "HACK", "#[ignore", "dbg!("] {
            assert!(!text.contains(word), "{shown} has {word}");
        }
    }
}

#[test]
fn unsafe_is_argued() {
    let found = scan(Path::new("src")).expect("the sources are here");
    assert!(found.files > 100 && found.uses > 0, "{found:?}");
    assert!(found.bare.is_empty(), "{:?}", found.bare);
}

#[test]
fn cases_requirements_and_mutants_know_each_other() {
    let embedded = Embedded::read().unwrap_or_else(|stop| panic!("{}", stop.message));
    for case in embedded.cases.cases() {
        let known = embedded.spec.requirement(&case.requirement).is_some();
        assert!(known, "{}: no such requirement", case.id());
    }
    for mutant in weighbridge::mutants::names() {
        let claimed = embedded.cases.cases().iter().any(|case| case.kills.contains(mutant));
        assert!(claimed, "no case claims to kill {mutant}");
    }
    let folders: BTreeSet<&str> =
        embedded.spec.sections().iter().map(|section| section.folder.as_str()).collect();
    for entry in fs::read_dir("conformance").expect("the cases are here").flatten() {
        if entry.path().is_dir() {
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(folders.contains(name.as_str()), "conformance/{name} is no section's folder");
        }
    }
}

#[test]
fn the_loader_and_the_spec_number_errors_alike() {
    let spec = weighbridge::harness::spec::Spec::embedded().expect("the spec reads");
    for row in spec.error_codes() {
        for code in &row.failures {
            let (number, name) = weighbridge::loader::error::emb(*code);
            assert_eq!(format!("EMB-E{number:03}"), row.code, "{code:?}");
            assert_eq!(name, row.name, "{code:?}");
        }
    }
}

#[test]
fn fixtures_are_listed_with_their_digests() {
    let list = fs::read_to_string("fixtures/SHA256SUMS").expect("the list is here");
    let mut listed = BTreeMap::new();
    for line in list.lines() {
        let (digest, name) = line.split_once("  ").expect("digest, two spaces, name");
        listed.insert(name.trim_start_matches("./").to_owned(), digest.to_owned());
    }
    for path in files(Path::new("fixtures")) {
        let name = path.strip_prefix("fixtures").expect("inside").display().to_string();
        if name.starts_with("real/") || name.ends_with(".py") || name == "SHA256SUMS" {
            continue;
        }
        let bytes = fs::read(&path).expect("readable");
        let digest: String =
            Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(listed.remove(&name), Some(digest), "{name}");
    }
    assert!(listed.is_empty(), "listed and not there: {listed:?}");
}

#[test]
fn committed_reports_agree_with_themselves() {
    for path in files(Path::new("reports")) {
        let name = path.display().to_string();
        // Matrices and measurements stand in folders of their own, and are no certificates.
        let deeper = path.components().count() > 2;
        if deeper || !name.ends_with(".json") || name.ends_with("schema.json") {
            continue;
        }
        let stored = Stored::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mismatches = stored.verify();
        assert!(mismatches.is_empty(), "{name}: {}", mismatches[0]);
    }
}

#[test]
fn nothing_speaks_of_one_machine() {
    let mut texts = files(Path::new("src"));
    for folder in ["spec", "conformance", "reports", "adapters", "fixtures", "tests"] {
        texts.extend(files(Path::new(folder)));
    }
    for path in texts {
        let name = path.display().to_string();
        if name.starts_with("fixtures/real") || name == "tests/tidy.rs" {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for bad in ["/work/", "/root/"] {
            assert!(!text.contains(bad), "{name} has a path of one machine: {bad}");
        }
    }
}

/// Every Rust file of the library, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let all: Vec<_> = files(Path::new("src"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).expect("readable");
            (path, text)
        })
        .collect();
    assert!(all.len() > 100, "only {} files found", all.len());
    all
}

/// All files below a folder, but for what was built there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let built = path.ends_with("target") || path.ends_with("__pycache__");
        match path.is_dir() {
            true if built => {}
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all.sort();
    all
}

/// The folder that a file belongs to: the top one, or under `harness` the second.
fn folder(path: &Path) -> String {
    let parts: Vec<String> = path
        .components()
        .skip(1)
        .map(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned())
        .collect();
    match parts.as_slice() {
        [top, second, ..] if top == "harness" && second != "mod" => format!("harness/{second}"),
        [top, ..] => top.clone(),
        [] => String::new(),
    }
}

/// The folders that a text names through `crate::`, comments left out.
fn named(text: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for part in line.split("crate::").skip(1) {
            let mut words =
                part.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty());
            match (words.next(), words.next()) {
                (Some("harness"), Some(second)) => {
                    all.insert(format!("harness/{second}"));
                }
                (Some(top), _) if top.starts_with(char::is_lowercase) => {
                    all.insert(top.to_owned());
                }
                _ => {}
            }
        }
    }
    all
}

fn forbidden_imports(path: &Path, text: &str) -> Vec<String> {
    let from = folder(path);
    let top = from.split('/').next().unwrap_or_default().to_owned();
    let mut broken = Vec::new();
    let rule = |of: &str| ALLOWED.iter().find(|(name, _)| *name == of).map(|(_, allowed)| *allowed);
    for to in named(text) {
        let to_top = to.split('/').next().unwrap_or_default();
        let inside = to == from || (to_top == top && rule(&from).is_none());
        let fine = |allowed: &[&str]| allowed.contains(&to.as_str()) || allowed.contains(&to_top);
        let allowed = match (rule(&from), rule(&top)) {
            (Some(allowed), _) => fine(allowed),
            (None, Some(allowed)) => fine(allowed) || to_top == top,
            (None, None) => true,
        };
        if !inside && !allowed {
            broken.push(format!("{}: {from} names {to}", path.display()));
        }
    }
    if from != "gpu" {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            if BEHIND_THE_WALL.iter().any(|name| line.contains(&format!("{name}::"))) {
                broken.push(format!("{}: {line}", path.display()));
            }
        }
    }
    broken
}

/// A circle among folders, if there is one.
fn circle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk<'a>(
        at: &'a str,
        edges: &'a BTreeMap<String, BTreeSet<String>>,
        path: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<String>> {
        if let Some(begin) = path.iter().position(|seen| *seen == at) {
            return Some(path[begin..].iter().map(|name| (*name).to_owned()).collect());
        }
        if !done.insert(at) {
            return None;
        }
        path.push(at);
        let found = edges.get(at).into_iter().flatten().find_map(|to| walk(to, edges, path, done));
        path.pop();
        found
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|from| walk(from, edges, &mut Vec::new(), &mut done))
}
