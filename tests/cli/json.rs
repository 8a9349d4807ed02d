//! `--json` on every command: JSON on stdout, also for an error, with the same exit code as without.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{at, folder, small, weighbridge};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/chat/model");

/// What a command prints with `--json`, which must be one JSON value.
fn told(words: &[&str], code: i32) -> Value {
    let ran = weighbridge(&[words, &["--json"]].concat());
    assert_eq!(ran.code, Some(code), "{words:?}: {}", ran.err);
    let value = serde_json::from_str(&ran.out);
    value.unwrap_or_else(|error| panic!("{words:?}: {error}: {}", ran.out))
}

#[test]
fn an_error_is_json_too_and_text_as_always() {
    let broken = folder();
    let _path = at(&broken, "model.safetensors", "<!DOCTYPE html>");
    let page = broken.path().display().to_string();
    for (words, code, key, wanted) in [
        (&["run", "/nowhere", "--no-gpu", "--prompt", "x"][..], 6, "emb", "EMB-E008"),
        (&["run", "/nowhere", "--no-gpu", "--prompt", "x"], 6, "code", "not_found"),
        (&["inspect", &page], 6, "code", "html_page"),
        (&["validate", &page], 6, "phase", "header"),
        (&["seal", &page], 2, "code", "html_page"),
        (&["trace", "/nowhere", "--device", "cpu"], 6, "class", "refused"),
        (&["embed", "/nowhere", "--text", "x", "--device", "cpu"], 6, "emb", "EMB-E008"),
        (&["warm", "--registry", "/nowhere", "--device", "cpu"], 2, "emb", "EMB-E034"),
        (&["verify", "/nowhere"], 2, "message", "/nowhere"),
        (&["compare", "/nowhere", "/nowhere"], 2, "message", "/nowhere"),
        (&["merge", "/nowhere", "--out", "/nowhere/x"], 2, "message", "/nowhere"),
        (&["report", "--from", "/nowhere"], 2, "message", "/nowhere"),
        (&["list", "--section", "prase"], 2, "message", "did you mean parse?"),
        (&["explain", "nothing like it"], 2, "message", "unknown name"),
        (&["certify", "--profile", "host", "--case", "F-NOPE"], 2, "message", "F-NOPE"),
        (&["audit", "--mutant", "honest"], 2, "message", "honest"),
        (&["adapter", "check", "/nowhere"], 2, "message", "/nowhere"),
        (&["models", "/dev/null/x", "--only", "E99"], 2, "message", "E99"),
        (&["init", "rust", MODEL], 2, "message", "not empty"),
        // What clap itself refuses.
        (&["verify"], 2, "message", "required"),
        (&["doctor", "--nope"], 2, "message", "--nope"),
    ] {
        let error = &told(words, code)["error"];
        assert_eq!(error["exit_code"], code, "{words:?}: {error}");
        let found = error[key].as_str().unwrap_or_default();
        assert!(found.contains(wanted), "{words:?}: {key} of {error}");
        let ran = weighbridge(&[words, &["--json"]].concat());
        assert!(
            ran.err.starts_with("error: ") || ran.err.contains("error: "),
            "{words:?}: {}",
            ran.err
        );
        let plain = weighbridge(words);
        assert_eq!((plain.code, plain.out.as_str()), (Some(code), ""), "{words:?}");
    }
}

#[test]
fn commands_about_reports_print_json() {
    let folder = folder();
    let out = folder.path().join("r").display().to_string();
    let report = format!("{out}.json");
    let certified = told(&small(&out, &["--seed", "0x10"]), 3);
    assert_eq!(certified["record"]["parts"][0]["seed"], "0000000000000010");
    let verified = told(&["verify", &report], 0);
    assert_eq!((&verified["agrees"], &verified["kind"]), (&true.into(), &"report".into()));
    assert_eq!(verified["certificate"], "incomplete");
    let text = fs::read_to_string(&report).expect("the report");
    let tampered =
        at(&folder, "t.json", &text.replacen("\"verdict\": \"pass\"", "\"verdict\": \"fail\"", 1));
    let verified = told(&["verify", &tampered], 1);
    assert!(verified["mismatches"].as_array().is_some_and(|all| !all.is_empty()), "{verified}");
    let compared = told(&["compare", &report, &tampered], 0);
    assert_eq!(compared["reports"][1]["name"], tampered);
    assert!(compared["changes"][0]["requirements"].is_array(), "{compared}");
    assert!(compared["regresses"].is_boolean());
    let merged = told(&["merge", &report, "--out", &format!("{out}-merged")], 3);
    assert_eq!(merged["format"], "weighbridge.report/2");
    let again = told(&["report", "--from", &report], 0);
    assert_eq!(again["format"], "weighbridge.report/2");
}

#[test]
fn commands_about_models_print_json() {
    let folder = folder();
    let to = |name: &str| folder.path().join(name).display().to_string();
    let sealed = told(&["seal", MODEL, "--out", &to("seal.json")], 0);
    assert_eq!(sealed["pin"].as_str().map(str::len), Some(64), "{sealed}");
    assert!(sealed["files"][0]["sha256"].is_string() && Path::new(&to("seal.json")).is_file());
    let written = told(&["models", &to("models"), "--only", "E2,E5"], 0);
    assert_eq!(written["models"], serde_json::json!(["E2", "E5"]));
    let inspected = told(&["inspect", MODEL], 0);
    let config = &inspected["config"];
    assert_eq!((&config["model_type"], &config["norm_eps"]), (&"qwen2".into(), &1e-6.into()));
    assert!(config["num_hidden_layers"].is_u64() && config["tie_word_embeddings"].is_boolean());
    assert_eq!(told(&["validate", MODEL], 0)["sound"], true);
    assert!(told(&["trace", MODEL, "--device", "cpu"], 0)["first_divergence"].is_null());
}

#[test]
fn other_commands_print_json() {
    let doctor = told(&["doctor"], 0);
    for field in ["commit", "requirements", "cases", "system", "processor", "memory_bytes", "so"] {
        assert!(!doctor[field].is_null(), "no {field} in {doctor}");
    }
    let names: Vec<&Value> =
        doctor["profiles"].as_array().into_iter().flatten().map(|row| &row["name"]).collect();
    assert_eq!(names, ["full", "host", "build"]);
    let text = weighbridge(&["doctor"]).out;
    assert!(text.contains(doctor["so"].as_str().unwrap_or("nothing")), "{text}");
    let version = told(&["version"], 0);
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(version["protocol"].is_u64() && version["report"] == "weighbridge.report/2");
    let mutants = told(&["audit", "--list"], 0);
    assert!(mutants["mutants"].as_array().is_some_and(|all| all.len() > 100));
    assert_eq!(told(&["explain", "host"], 0)["profile"]["name"], "host");
    let folder = folder();
    let loader = folder.path().join("mine").display().to_string();
    let made = told(&["init", "python", &loader], 0);
    assert!(made["files"].as_array().is_some_and(|all| all.len() > 3), "{made}");
}

#[test]
fn adapter_commands_print_json() {
    let folder = folder();
    let exe = env!("CARGO_BIN_EXE_weighbridge");
    let with = |name: &str, words: &str| {
        at(&folder, name, &format!("name: x\ncommand: [{exe:?}, {words}]\n"))
    };
    let own = with("own.yaml", "loader");
    let checked = told(&["adapter", "check", &own], 0);
    assert_eq!(
        (&checked["sound"], &checked["cases"][0]["verdict"]),
        (&true.into(), &"pass".into())
    );
    assert!(checked["not_supported"].is_object(), "{checked}");
    let traced = told(&["adapter", "trace", &own], 0);
    assert_eq!(traced["verdict"], "pass");
    assert!(traced["messages"].as_array().is_some_and(|all| all.len() > 3), "{traced}");
    let lying = with("lying.yaml", "mutant, truncated-valid");
    let checked = told(&["adapter", "check", &lying], 1);
    assert_eq!(checked["sound"], false);
    assert!(checked["cases"][1]["failure"].is_string(), "{checked}");
}
