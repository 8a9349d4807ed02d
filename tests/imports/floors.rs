//! The floors of the house: which folder may import which, and what stands above what.

use super::Imports;

/// Who may import whom, by folder. A folder that is not here may import every other.
const ALLOWED: &[(&str, &[&str])] = &[
    ("contract", &[]),
    ("gpu", &[]),
    ("loader", &["contract", "gpu"]),
    ("mutants", &["contract", "gpu", "loader"]),
    ("harness", &["contract", "gpu"]),
    ("harness/hex", &[]),
    ("harness/record", &["harness/hex"]),
    ("harness/report", &["harness/record"]),
    ("harness/known", &["harness/record"]),
    ("harness/spec", &["contract", "harness/hex"]),
    ("harness/template", &[]),
    ("harness/regular", &[]),
    ("harness/model", &["contract", "harness/hex", "harness/regular", "harness/template"]),
    ("harness/plan", &["contract", "harness/model", "harness/regular"]),
    ("harness/case", &["contract", "harness/hex", "harness/model"]),
    ("harness/family", &[]),
    ("harness/cell", &["harness/family"]),
    ("harness/client", &["contract", "harness/cell", "harness/family"]),
    ("harness/manifest", &["harness/client"]),
    ("harness/oracle", &["contract", "harness/model"]),
    (
        "harness/fixture",
        &["contract", "harness/case", "harness/hex", "harness/oracle", "harness/regular"],
    ),
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
            "harness/regular",
        ],
    ),
    ("harness/audit", &["harness/case", "harness/record"]),
    ("harness/class", &["contract", "harness/case", "harness/record", "harness/spec"]),
];

/// The floors of the loader, ground first. A room imports itself and the floors below it.
pub const LOADER: &[&[&str]] = &[
    &["remedies"],
    &["error", "progress"],
    &["host_memory"],
    &["read", "device"],
    &["format"],
    &["memory"],
    &["infer", "gates"],
    &["parallel"],
    &["decisions"],
    &["open"],
    &["seal"],
    &["load"],
    &["verbs"],
    &["reference"],
    &["warm", "document_names"],
    &["mod"],
];

/// The floors of a run, ground first. The tests of all of them use `trial`.
pub const RUN: &[&[&str]] = &[&["case_run"], &["step"], &["suite_run"], &["trial"], &["mod"]];

/// What two steps need in common. It lies below all steps.
const SHARED_BY_STEPS: [&str; 14] = [
    "batch",
    "compare",
    "expected",
    "greedy",
    "ipc",
    "keep",
    "loaded_bytes",
    "oracle_logits",
    "prompt",
    "refusal",
    "sealing",
    "slices",
    "table",
    "times",
];

/// Imports between folders that the plan forbids.
pub fn between_folders(imports: &Imports) -> Vec<String> {
    let rule = |of: &str| ALLOWED.iter().find(|(name, _)| *name == of).map(|(_, allowed)| *allowed);
    let mut broken = Vec::new();
    for (from_file, to_file, path) in imports.all() {
        let (from, to) = (folder(from_file), folder(to_file));
        let top = |of: &str| of.split('/').next().unwrap_or_default().to_owned();
        let fine = |allowed: &[&str]| {
            allowed.contains(&to.as_str()) || allowed.contains(&top(&to).as_str())
        };
        let allowed = match (rule(&from), rule(&top(&from))) {
            (Some(allowed), _) => fine(allowed),
            (None, Some(allowed)) => fine(allowed) || top(&to) == top(&from),
            (None, None) => true,
        };
        if to != from && !allowed {
            broken.push(format!("{from_file}: {from} imports {to} ({path})"));
        }
    }
    broken
}

/// Imports below a folder that go up a floor, or across to another room of the same floor.
pub fn going_up(imports: &Imports, folder: &str, floors: &[&[&str]]) -> Vec<String> {
    let mut broken = Vec::new();
    for (from_file, to_file, path) in imports.all() {
        let (Some(from), Some(to)) = (room(from_file, folder), room(to_file, folder)) else {
            continue;
        };
        let floor = |room: &str| floors.iter().position(|rooms| rooms.contains(&room));
        match (floor(&from), floor(&to)) {
            (Some(above), Some(below)) if from == to || below < above => {}
            (None, _) => broken.push(format!("{from_file}: {from} has no floor")),
            (_, None) => broken.push(format!("{to_file}: {to} has no floor")),
            _ => broken.push(format!("{from_file}: {from} imports {to} ({path})")),
        }
    }
    broken
}

/// Steps of a case that import another step.
pub fn between_steps(imports: &Imports) -> Vec<String> {
    let folder = "src/harness/run/step/";
    let mut broken = Vec::new();
    for (from_file, to_file, path) in imports.all() {
        let (Some(from), Some(to)) = (room(from_file, folder), room(to_file, folder)) else {
            continue;
        };
        if from != "mod" && from != to && !SHARED_BY_STEPS.contains(&to.as_str()) {
            broken.push(format!("{from_file}: step {from} imports {to} ({path})"));
        }
    }
    broken
}

/// The folder that a file belongs to: the top one, or under `harness` the second.
fn folder(file: &str) -> String {
    let inside = file.trim_start_matches("src/").trim_end_matches(".rs");
    let parts: Vec<&str> = inside.split('/').collect();
    match parts.as_slice() {
        ["harness", second, ..] if *second != "mod" => format!("harness/{second}"),
        [top, ..] => (*top).to_owned(),
        [] => String::new(),
    }
}

/// The room of a file below a folder: its first folder there, or its own name.
fn room(file: &str, folder: &str) -> Option<String> {
    let inside = file.strip_prefix(folder)?.trim_end_matches(".rs");
    inside.split('/').next().map(str::to_owned)
}
