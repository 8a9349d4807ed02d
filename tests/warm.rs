//! `weighbridge warm` and `weighbridge models` as programs: what they print, and how they end.

mod program;

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use program::{Ran, command, ran};

fn weighbridge(arguments: &[&str]) -> Ran {
    // No GPU, whatever the machine.
    ran(command(arguments).env("CUDA_VISIBLE_DEVICES", ""))
}

fn models() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display().to_string();
    let made = weighbridge(&["models", &path, "--scale", "small"]);
    assert!(made.code == Some(0), "{}", made.err);
    folder
}

fn warm(folder: &Path, more: &[&str]) -> Ran {
    let registry = folder.join("registry.yaml").display().to_string();
    weighbridge(&[&["warm", "--registry", &registry], more].concat())
}

/// Changes a text file.
fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("readable");
    assert!(text.contains(from), "{from} is not in {}", path.display());
    fs::write(path, text.replacen(from, to, 1)).expect("writable");
}

#[test]
fn thirteen_models_become_warm_on_the_host() {
    let folder = models();
    let output = warm(folder.path(), &["--device", "cpu", "--json"]);
    assert!(output.code == Some(0), "{}", output.err);
    let state: Value = serde_json::from_str(&output.out).expect("JSON");
    assert_eq!(state["warm"], Value::Bool(true));
    assert_eq!(state["format"], "weighbridge.warm/1");
    assert_eq!(state["binary"].as_str().map(str::len), Some(64), "{}", state["binary"]);
    for field in ["started", "suite", "commit"] {
        assert!(state[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
    }
    let rows = state["models"].as_array().expect("models");
    assert_eq!(rows.len(), 13);
    for row in rows {
        assert_eq!(row["phase"], "warm", "{row}");
        assert_eq!(row["sha256"].as_str().map(str::len), Some(64), "{row}");
        assert!(row["held_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{row}");
        assert!(row["max_difference"].as_f64().is_some_and(|far| far < 1e-5), "{row}");
    }
}

#[test]
fn sealed_models_are_compared_with_their_seals() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().display().to_string();
    let made = weighbridge(&["models", &path, "--scale", "small", "--only", "E2,E7", "--seal"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let output = warm(folder.path(), &["--device", "cpu", "--json"]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    let state: Value = serde_json::from_str(&output.out).expect("JSON");
    assert_eq!(state["mode"], "sealed");
    // The weights are whole, and only the seal is another one.
    edit(&folder.path().join("E2/weights.seal.json"), "sha256", "sha255");
    let output = warm(folder.path(), &["--device", "cpu"]);
    assert_eq!(output.code, Some(6), "{}", output.err);
    assert!(output.err.contains("seal"), "{}", output.err);
}

#[test]
fn without_a_gpu_it_says_so_and_names_none() {
    let folder = models();
    let output = warm(folder.path(), &[]);
    assert_eq!(output.code, Some(6));
    let words = output.err;
    for part in ["[EMB-E001] CUDA_UNAVAILABLE", "expected", "actual", "remedy", "nothing is held"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert!(!words.contains("RTX") && !words.contains("H200"), "{words}");
}

type Damage = fn(&Path);

#[test]
fn every_fault_has_its_code_and_its_exit() {
    let faults: [(&str, Damage, &str, i32); 12] = [
        (
            "a wrong dimension",
            |f| edit(&f.join("registry.yaml"), "dimension: 28", "dimension: 29"),
            "[EMB-E033] GOLDEN_MISMATCH",
            6,
        ),
        (
            "a golden of the wrong length",
            |f| fs::write(f.join("E5/golden/golden_output.bin"), [9, 0, 0, 0, 1]).expect("written"),
            "[EMB-E032] INVALID_GOLDEN",
            6,
        ),
        (
            "the golden of another model",
            |f| {
                let other = f.join("E3/golden/golden_output.bin");
                fs::copy(other, f.join("E2/golden/golden_output.bin")).expect("copied");
            },
            "[EMB-E033] GOLDEN_MISMATCH",
            6,
        ),
        (
            "a missing shard",
            |f| fs::remove_file(f.join("E7/model-00002-of-00002.safetensors")).expect("removed"),
            "[EMB-E008] WEIGHT_FILE_NOT_FOUND",
            6,
        ),
        (
            "an index that names a tensor too many",
            |f| {
                let index = f.join("E7/model.safetensors.index.json");
                edit(
                    &index,
                    "\"norm.weight\"",
                    "\"stray.weight\": \"model-00001-of-00002.safetensors\",\n\"norm.weight\"",
                );
            },
            "[EMB-E024] INVALID_SHARD_INDEX",
            6,
        ),
        (
            "a stray shard",
            |f| {
                let shard = f.join("E7/model-00001-of-00002.safetensors");
                fs::copy(shard, f.join("E7/model-00003-of-00002.safetensors")).expect("copied");
            },
            "[EMB-E024] INVALID_SHARD_INDEX",
            6,
        ),
        (
            "a configuration that contradicts the weights",
            |f| {
                edit(
                    &f.join("E1/config.json"),
                    "\"intermediate_size\": 100",
                    "\"intermediate_size\": 99",
                )
            },
            "[EMB-E028] SHAPE_MISMATCH",
            5,
        ),
        (
            "an unknown architecture",
            |f| {
                edit(
                    &f.join("E10/config.json"),
                    "\"model_type\": \"bert\"",
                    "\"model_type\": \"tensorfish\"",
                )
            },
            "[EMB-E026] UNKNOWN_ARCHITECTURE",
            5,
        ),
        (
            "no configuration",
            |f| fs::remove_file(f.join("E12/config.json")).expect("removed"),
            "[EMB-E025] INVALID_CONFIG",
            5,
        ),
        (
            "one flipped bit",
            |f| {
                let path = f.join("E13/model.safetensors");
                let mut bytes = fs::read(&path).expect("read");
                let last = bytes.len() - 3;
                bytes[last] ^= 1;
                fs::write(path, bytes).expect("written");
            },
            "[EMB-E004] WEIGHT_CHECKSUM_MISMATCH",
            6,
        ),
        (
            "another element type than registered",
            |f| edit(&f.join("registry.yaml"), "dtype: BF16", "dtype: F16"),
            "[EMB-E034] INVALID_REGISTRY",
            2,
        ),
        (
            "no registry",
            |f| fs::remove_file(f.join("registry.yaml")).expect("removed"),
            "[EMB-E034] INVALID_REGISTRY",
            2,
        ),
    ];
    for (what, damage, code, exit) in faults {
        let folder = models();
        damage(folder.path());
        let output = warm(folder.path(), &["--device", "cpu"]);
        let words = output.err;
        assert_eq!(output.code, Some(exit), "{what}: {words}");
        for part in [code, "expected", "actual", "remedy", "diagnostic dump: "] {
            assert!(words.contains(part), "{what}: no {part}: {words}");
        }
        assert!(output.out.is_empty(), "{what}: {:?}", output.out);
        let dump = words.split("diagnostic dump: ").nth(1).expect("a path").trim().to_owned();
        let state: Value =
            serde_json::from_slice(&fs::read(&dump).expect("the dump is there")).expect("JSON");
        assert_eq!(state["warm"], Value::Bool(false), "{what}");
        assert!(state["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{what}");
        if let Some(rows) = state["models"].as_array() {
            assert!(rows.iter().all(|row| row["phase"] != "warm"), "{what}: something is held");
        }
        fs::remove_file(dump).expect("removable");
    }
}

#[test]
fn a_gate_refuses_broken_weights_with_its_own_exit() {
    let folder = models();
    // NaN in the last weight, its digest registered: only the gate can tell.
    let path = folder.path().join("E1/model.safetensors");
    let mut bytes = fs::read(&path).expect("read");
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, &bytes).expect("written");
    let digest = {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(&bytes);
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let registry = folder.path().join("registry.yaml");
    let text = fs::read_to_string(&registry).expect("readable");
    let old = text.lines().find_map(|line| line.trim().strip_prefix("model.safetensors: "));
    edit(&registry, old.expect("E1 comes first"), &digest);
    let output = warm(folder.path(), &["--device", "cpu"]);
    assert_eq!(output.code, Some(5), "{}", output.err);
    assert!(output.err.contains("[EMB-E007] CORRUPTED_WEIGHT"), "{}", output.err);
}

#[test]
fn models_are_known_by_id_and_written_as_pinned() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display().to_string();
    let some = weighbridge(&["models", &path, "--only", "E2,E7"]);
    assert!(some.code == Some(0));
    assert!(folder.path().join("E7/model.safetensors.index.json").is_file());
    assert!(!folder.path().join("E1").exists());
    let none = weighbridge(&["models", &path, "--only", "E14"]);
    assert_eq!(none.code, Some(2));
    assert!(none.err.contains("E14"), "{}", none.err);
}

#[test]
fn a_registry_may_pin_seals() {
    let folder = models();
    let model = folder.path().join("E2").display().to_string();
    let told = weighbridge(&["seal", &model, "--json"]);
    let told: Value = serde_json::from_str(&told.out).expect("one JSON object");
    let pin = told["pin"].as_str().expect("a pin").to_owned();
    let registry = folder.path().join("registry.yaml");
    edit(
        &registry,
        "folder: E2\n",
        &format!("folder: E2\n  seal: {{file: seal.json, pin: {pin}}}\n"),
    );
    let output = warm(folder.path(), &["--device", "cpu"]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    edit(&registry, &pin, &"0".repeat(64));
    let output = warm(folder.path(), &["--device", "cpu"]);
    assert_eq!(output.code, Some(6), "{}", output.err);
    assert!(output.err.contains("the seal is not the pinned one"), "{}", output.err);
}
