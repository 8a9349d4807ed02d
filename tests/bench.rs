//! `weighbridge bench` on small models in host memory: the figures of `load` agree with each other, a peer that does
//! not work is told as such, and inputs fit the model. Nothing here asserts how fast anything is.

mod program;

use std::path::Path;

use program::{Ran, weighbridge};
use serde_json::Value;

fn bench(arguments: &[&str]) -> Ran {
    weighbridge(&[&["bench", "load"], arguments].concat())
}

/// A run on the host with this folder, its JSON and its text.
fn small(folder: &Path, more: &[&str]) -> (Ran, Value) {
    let json = folder.join("bench.json");
    let json_path = json.display().to_string();
    let place = folder.display().to_string();
    let mut arguments = vec!["--device", "cpu", "--scale", "32", "--layers", "2", "--rounds", "2"];
    arguments.extend(["--folder", &place, "--out", &json_path]);
    arguments.extend(more);
    let output = bench(&arguments);
    let text = std::fs::read_to_string(&json).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output, serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn figures_agree_with_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let (output, all) = small(folder.path(), &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let text = &output.out;
    for word in ["strict", "sealed", "unverified", "synthetic", "SHA-256"] {
        assert!(text.contains(word), "{word} is missing:\n{text}");
    }
    // What was measured is told at once, so that an interruption does not lose it.
    let told = |what: &str| output.err.lines().filter(|line| line.contains(what)).count();
    assert_eq!([told(", the first of 2"), told(": best ")], [3, 3], "{}", output.err);
    let bytes = all["model"]["bytes"].as_f64().expect("the model's size");
    let arms: Vec<&Value> = collect(&all, "best_s");
    assert!(arms.len() >= 3, "{all}");
    for arm in arms {
        let (best, worst) = (arm["best_s"].as_f64(), arm["worst_s"].as_f64());
        let (best, worst) = (best.expect("best"), worst.expect("worst"));
        assert!(best > 0.0 && best <= worst && worst.is_finite(), "{arm}");
        let gbps = arm["best_gbps"].as_f64().expect("a rate");
        assert!((gbps - bytes / best / 1e9).abs() <= gbps * 1e-6, "{arm}");
    }
    let place = folder.path().display().to_string();
    let words = ["--device", "cpu", "--scale", "64", "--layers", "1", "--rounds", "1"];
    let printed = bench(&[&words[..], &["--no-gates", "--json", "--folder", &place]].concat());
    let printed: Value = serde_json::from_str(&printed.out).expect("JSON alone");
    assert_eq!((&printed["format"], &printed["gates"]), (&all["format"], &Value::Bool(false)));
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("listed").flatten().collect();
    assert_eq!(left.len(), 1, "only the JSON stays: {left:?}");
}

#[test]
fn no_further_round_begins_when_the_time_is_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().display().to_string();
    // Preparing the model and measuring the limits takes longer than the time that is given, and so many rounds take
    // minutes.
    let words = ["--device", "cpu", "--scale", "4", "--layers", "4", "--folder", &place, "--json"];
    let ran = bench(&[&words[..], &["--rounds", "1000", "--within", "1"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let all: Value = serde_json::from_str(&ran.out).expect("JSON alone");
    let runs = |arm: &Value| arm["runs"].as_array().map_or(0, Vec::len);
    let runs: Vec<usize> = collect(&all, "best_s").into_iter().map(runs).collect();
    assert_eq!(runs, [runs[0]; 3], "each arm is timed as often: {all}");
    assert!((1..1000).contains(&runs[0]), "{runs:?}");
}

#[test]
fn loads_over_several_devices_tell_what_was_read_and_what_bounds_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let (json, place) = (folder.path().join("cards.json"), folder.path().display().to_string());
    let json_path = json.display().to_string();
    let small = ["--layers", "2", "--scale", "16", "--rounds", "2", "--folder", &place];
    let devices = ["--devices", "cpu,cpu,cpu,cpu", "--out", &json_path];
    let ran = bench(&[&small[..], &devices].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = std::fs::read_to_string(&json).expect("written");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let arms = all["arms"].as_array().expect("arms");
    let of = |arm: &Value| (arm["name"].as_str().map(str::to_owned), arm["devices"].as_u64());
    let found: Vec<_> = arms.iter().map(of).collect();
    // One device has nothing to replicate.
    assert_eq!(found.len(), 2 + 4 + 4, "{found:?}");
    let bytes = all["model_bytes"].as_f64().expect("the model's size");
    for arm in arms {
        assert_eq!(arm["seconds"].as_array().map(Vec::len), Some(2), "{arm}");
        let seconds = arm["seconds"].as_array().into_iter().flatten().filter_map(Value::as_f64);
        let best = seconds.fold(f64::INFINITY, f64::min);
        let gbps = arm["best_gbps"].as_f64().expect("a rate");
        assert!((gbps - bytes / best / 1e9).abs() <= gbps * 1e-6, "{arm}");
        let limits = all["limits"].as_array().into_iter().flatten();
        let mut limits = limits.filter(|limit| limit["devices"] == arm["devices"]);
        let limit = limits.next();
        let limit = limit.and_then(|limit| limit["page_cache"].as_f64()).expect("its limit");
        let share = arm["of_limit"].as_f64().expect("a share");
        assert!((share - gbps / limit).abs() <= share * 1e-6, "{arm}");
        // Every byte once, and the header, the configuration and the seal.
        let read = arm["read"].as_f64().expect("bytes read");
        assert!((1.0..1.2).contains(&read), "{arm}");
    }
    assert!(ran.out.contains("sealed, replicated") && ran.out.contains("page cache"), "{ran:?}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("listed").flatten().collect();
    assert_eq!(left.len(), 1, "only the JSON stays: {left:?}");
}

#[test]
fn other_loaders_divide_the_same_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let manifest = |name: &str, words: &str| {
        let file = folder.path().join(name);
        let program = env!("CARGO_BIN_EXE_weighbridge");
        let text = format!("name: other\ncommand: [{program}, {words}]\n");
        std::fs::write(&file, text).expect("written");
        file.display().to_string()
    };
    let json = folder.path().join("cards.json").display().to_string();
    let load = |manifest: &str| {
        let small = ["--layers", "1", "--scale", "32", "--rounds", "1", "--devices", "cpu,cpu"];
        bench(&[&small[..], &["--beside", manifest, "--out", &json]].concat())
    };
    let ran = load(&manifest("honest.yaml", "loader"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let all: Value =
        serde_json::from_str(&std::fs::read_to_string(&json).expect("written")).expect("JSON");
    let arms = all["arms"].as_array().expect("arms");
    let others = arms.iter().filter(|arm| arm["own"] == Value::Bool(false)).count();
    assert_eq!((arms.len(), others), (6 + 3, 3), "{all}");
    let ran = load(&manifest("liar.yaml", "mutant, slice-zero-told-otherwise"));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("checksum differs"), "{ran:?}");
    let ran = load("adapters/python/manifest.yaml");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("does not serve parallel"), "{ran:?}");
}

#[test]
fn peers_that_do_not_work_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    for (body, word) in [("exit 1", "runai"), ("echo nonsense", "runai"), ("sleep 60", "runai")] {
        let python = folder.path().join("python");
        std::fs::write(&python, format!("#!/bin/sh\n{body}\n")).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&python, mode).expect("made executable");
        let program = python.display().to_string();
        let more = ["--peer", "runai", "--python", &program, "--patience", "2"];
        let (output, all) = small(folder.path(), &more);
        assert_eq!(output.code, Some(3), "{body}: {output:?}");
        assert!(all.to_string().contains(word), "{body}: {all}");
        let text = output.out;
        assert!(text.contains("strict") && text.contains(word), "{body}: {text}");
    }
}

#[test]
fn what_is_mistyped_is_said() {
    for wrong in [
        &["--peer", "levitation"][..],
        &["--rounds", "0"],
        &["--devices", "cpu,gpu"],
        &["--devices", "cpu,cpu", "--peers"],
        &["--beside", "adapters/torch/manifest.yaml"],
        &[
            "--devices",
            "cpu,cpu",
            "--scale",
            "64",
            "--layers",
            "1",
            "--beside",
            "/nonexistent.yaml",
        ],
        &["--devices", "cuda:1,cuda:1", "--scale", "64", "--layers", "1"],
        &["--dtype", "f13"],
        &["--model", "/nonexistent/model.safetensors", "--device", "cpu"],
    ] {
        let output = bench(wrong);
        assert_eq!(output.code, Some(2), "{wrong:?}: {output:?}");
        assert!(!output.err.is_empty(), "{wrong:?}");
    }
}

#[test]
fn a_model_with_few_ids_is_measured_and_one_with_short_inputs_is_refused_by_name() {
    let of = |kind: &str, model: &str| {
        weighbridge(&["bench", kind, "--model", model, "--device", "cpu", "--rounds", "1"])
    };
    let decoder = of("decode", "fixtures/qwen/model");
    assert_eq!(decoder.code, Some(0), "{decoder:?}");
    assert!(decoder.out.contains("256 of 256 tokens"), "{decoder:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().display().to_string();
    let made = weighbridge(&["models", &place, "--only", "E1"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    for kind in ["decode", "encode"] {
        let refused = of(kind, &folder.path().join("E1").display().to_string());
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains("the model takes 64"), "{refused:?}");
    }
}

/// Every object in a value that has this member.
fn collect<'v>(value: &'v Value, member: &str) -> Vec<&'v Value> {
    let mut found = Vec::new();
    match value {
        Value::Object(members) => {
            if members.get(member).is_some_and(|found| !found.is_null()) {
                found.push(value);
            }
            members.values().for_each(|inner| found.extend(collect(inner, member)));
        }
        Value::Array(all) => all.iter().for_each(|inner| found.extend(collect(inner, member))),
        _ => {}
    }
    found
}
