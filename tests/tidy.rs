//! House rules as tests: who may import whom, how files open, how long they are, and that every
//! link between requirements, cases, mutants, error codes, fixtures and reports holds.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use imports::{Imports, floors};
use sha2::{Digest, Sha256};
use weighbridge::cli::weighing::Embedded;
use weighbridge::harness::case::expect::LoadOutcome;
use weighbridge::harness::case::step::Step;
use weighbridge::harness::evidence::sources::scan;
use weighbridge::harness::record::Stored;

/// Only this folder may name these crates.
const BEHIND_THE_WALL: [&str; 3] = ["cudarc", "nvml_wrapper", "libloading"];

#[test]
fn no_file_imports_itself_through_others() {
    let circles = house().circles();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

/// One circle of each kind, and what looks like one and is none.
#[test]
fn a_planted_circle_is_seen() {
    let whole_path = [
        ("src/a.rs", "use crate::b::Below;\npub struct Above;"),
        ("src/b.rs", "pub struct Below;\nfn up(_: crate::a::Above) {}"),
    ];
    let parent = [
        ("src/a/mod.rs", "mod inner;\npub struct Outer(inner::Inner);"),
        ("src/a/inner.rs", "pub struct Inner;\nfn up(_: super::Outer) {}"),
    ];
    let re_export = [
        ("src/a/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use self::two::Two;"),
        ("src/a/one.rs", "pub struct One;\nfn to(_: super::Two) {}"),
        ("src/a/two.rs", "pub struct Two;\nfn to(_: crate::a::One) {}"),
    ];
    let own_re_export = [
        ("src/a/mod.rs", "mod one;\npub use one::One;\npub fn f() -> One { One }"),
        ("src/a/one.rs", "pub struct One;\nfn to() { super::f(); }"),
    ];
    let glob = [
        ("src/a.rs", "use super::b::*;\npub struct Above;\nfn f(_: Below) {}"),
        ("src/b.rs", "use crate::a;\npub struct Below;\nfn f(_: a::Above) {}"),
    ];
    let in_a_macro = [
        ("src/a.rs", "pub fn f() { println!(\"{}\", super::b::f()); }"),
        ("src/b.rs", "pub fn f() -> u8 { use crate::a::f as g; g(); 1 }"),
    ];
    let in_a_folder_module = [
        ("src/a/mod.rs", "pub mod inner { pub fn f() { super::super::b::g(); } }"),
        ("src/b.rs", "pub fn g() { crate::a::inner::f(); }"),
    ];
    for planted in [
        &whole_path[..],
        &parent,
        &re_export,
        &own_re_export,
        &glob,
        &in_a_macro,
        &in_a_folder_module,
    ] {
        assert_eq!(Imports::read(planted.iter().copied()).circles().len(), 1, "{planted:?}");
    }
    let fine = [
        ("src/a/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::Two;"),
        ("src/a/one.rs", "pub struct One;\n#[cfg(test)]\nmod tests { use super::super::Two; }"),
        ("src/a/two.rs", "//! See [`super::One`].\npub struct Two(super::One);"),
    ];
    assert_eq!(Imports::read(fine).circles(), Vec::<String>::new());
}

#[test]
fn imports_go_one_way() {
    let house = house();
    let mut broken = floors::between_folders(&house);
    broken.extend(floors::going_up(&house, "src/loader/", floors::LOADER));
    broken.extend(floors::going_up(&house, "src/harness/run/", floors::RUN));
    broken.extend(floors::between_steps(&house));
    for (file, name) in house.outside() {
        if BEHIND_THE_WALL.contains(&name) && !file.starts_with("src/gpu/") {
            broken.push(format!("{file}: only src/gpu imports {name}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_planted_import_against_the_plan_is_seen() {
    let planted = [
        ("src/contract.rs", "pub struct Verb;"),
        ("src/harness/spec/mod.rs", "pub struct Spec;"),
        ("src/harness/run/mod.rs", "pub fn run() {}"),
        ("src/harness/run/case_run/mod.rs", "use super::step::load::Load;"),
        ("src/harness/run/step/mod.rs", ""),
        ("src/harness/run/step/expected.rs", "pub fn known() {}"),
        ("src/harness/run/step/load.rs", "pub struct Load;\nfn f() { super::expected::known(); }"),
        ("src/harness/run/step/bytes/mod.rs", "fn f(_: super::load::Load) {}"),
        ("src/harness/report/mod.rs", "fn f() { crate::harness::run::run(); }"),
        ("src/loader/memory/mod.rs", "pub struct Arena;"),
        ("src/loader/load/mod.rs", "pub struct Load(super::memory::Arena);"),
        ("src/loader/read/mod.rs", "use super::load::Load;\nuse crate::harness::spec::Spec;"),
        ("src/loader/device/mod.rs", "use cudarc::driver;\nuse crate::contract::Verb;"),
    ];
    let house = Imports::read(planted);
    let folders = floors::between_folders(&house);
    assert_eq!(folders.len(), 2, "{folders:?}");
    assert!(folders[0].contains("harness/report imports harness/run"), "{folders:?}");
    assert!(folders[1].contains("loader imports harness/spec"), "{folders:?}");
    let loader = floors::going_up(&house, "src/loader/", floors::LOADER);
    assert_eq!(loader.len(), 1, "{loader:?}");
    assert!(loader[0].contains("read imports load"), "{loader:?}");
    let run = floors::going_up(&house, "src/harness/run/", floors::RUN);
    assert_eq!(run.len(), 1, "{run:?}");
    assert!(run[0].contains("case_run imports step"), "{run:?}");
    let steps = floors::between_steps(&house);
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert!(steps[0].contains("step bytes imports load"), "{steps:?}");
    assert!(house.outside().any(|found| found == ("src/loader/device/mod.rs", "cudarc")));
}

/// Who may ask a model to round activations: the contract, the loader that serves it, and commands for
/// people. Not the judge, whose cases are about exact arithmetic, and nothing that makes or checks goldens.
const MAY_ROUND: [&str; 8] = [
    "src/contract/inference.rs",
    "src/contract/loader/tests.rs",
    "src/gpu/",
    "src/loader/infer/compute.rs",
    "src/loader/reference/tests/",
    "src/cli/computing.rs",
    "src/cli/speaker.rs",
    "src/cli/bench/",
];

#[test]
fn nobody_else_asks_for_rounded_activations() {
    let mut asking = BTreeSet::new();
    for (path, text) in sources() {
        let path = path.display().to_string();
        let asks = ["Compute::Bf16", "Precision::Bf16", ".computing(", "compute: bf16"];
        if path.starts_with("src/") && asks.iter().any(|word| text.contains(word)) {
            asking.insert(path);
        }
    }
    assert!(asking.contains("src/cli/speaker.rs"), "the search finds nothing: {asking:?}");
    let strange = asking.iter().filter(|path| !MAY_ROUND.iter().any(|may| path.starts_with(may)));
    assert_eq!(strange.collect::<Vec<_>>(), Vec::<&String>::new());
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
fn every_role_has_a_case_that_passes_and_one_that_is_refused() {
    let embedded = Embedded::read().unwrap_or_else(|stop| panic!("{}", stop.message));
    assert!(embedded.spec.roles().len() >= 6);
    for role in embedded.spec.roles() {
        for (name, passes) in [(&role.case, true), (&role.near, false)] {
            let id = format!("PUBLISHED-GATES::{name}");
            let case = embedded.cases.cases().iter().find(|case| case.id() == id);
            let case = case.unwrap_or_else(|| panic!("{}: no case {id}", role.role));
            let loads = case.steps.iter().filter_map(|step| match step {
                Step::Load(load) => Some(matches!(load.expect, LoadOutcome::Loaded(_))),
                _ => None,
            });
            assert!(loads.into_iter().all(|loaded| loaded == passes), "{id}");
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
    for folder in ["spec", "conformance", "reports", "adapters", "fixtures", "tests", "deploy"] {
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

/// The imports of the library.
fn house() -> Imports {
    let sources: Vec<(String, String)> =
        sources().into_iter().map(|(path, text)| (path.display().to_string(), text)).collect();
    let house = Imports::read(sources.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    assert!(house.all().count() > 1000, "the reader sees too little");
    house
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
