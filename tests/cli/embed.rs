//! `embed` against goldens by transformers, and models of the wrong kind.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{command, folder, ran, refused, weighbridge};

/// The model's input or output as numbers: a count, then so many F32.
fn numbers(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).expect("a golden");
    bytes[4..].as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

/// A safetensors file with these tensors of shape `[1, n]`.
fn safetensors(path: &Path, tensors: &[(&str, &str, Vec<u8>, usize)]) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, dtype, bytes, columns) in tensors {
        let begin = data.len();
        data.extend(bytes);
        let offsets = [begin, data.len()];
        header.insert(
            (*name).to_owned(),
            json!({"dtype": dtype, "shape": [1, columns], "data_offsets": offsets}),
        );
    }
    let text = Value::Object(header).to_string();
    let all = [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &data].concat();
    fs::write(path, all).expect("written");
}

/// The input of a golden as a file for `--input`.
fn input(model: &Path, golden: &[f32], vectors: bool) -> String {
    let path = model.join("input.safetensors");
    let whole = |values: Vec<i64>| values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let (ids, n) = (golden.iter().map(|id| *id as i64).collect(), golden.len());
    match vectors {
        true => {
            let bytes = golden.iter().flat_map(|value| value.to_le_bytes()).collect();
            safetensors(&path, &[("vectors", "F32", bytes, n)]);
        }
        false => safetensors(
            &path,
            &[("input_ids", "I64", whole(ids), n), ("attention_mask", "I64", whole(vec![1; n]), n)],
        ),
    }
    path.display().to_string()
}

fn embedded(words: &[&str]) -> Value {
    let ran = weighbridge(&[&["embed"], words, &["--device", "cpu", "--json"]].concat());
    assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.err);
    serde_json::from_str(&ran.out).expect("one JSON object")
}

fn vector(value: &Value, row: usize) -> Vec<f32> {
    let values = value["embeddings"][row]["vector"].as_array().expect("a vector");
    values.iter().map(|value| value.as_f64().expect("a number") as f32).collect()
}

fn farthest(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}

/// The models of the registry that give one vector, each with the options that name its head.
fn registry() -> Vec<(String, Vec<String>, bool)> {
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/registry.yaml"));
    let all: Value = serde_yaml::from_str(&text.expect("the registry")).expect("YAML");
    let models = all["models"].as_array().expect("models");
    let of = |model: &Value| {
        let pooling = model["output"]["embedding"].as_str()?;
        let mut words = Vec::new();
        if pooling != "none" {
            words.extend(["--pooling".to_owned(), pooling.to_owned()]);
        }
        if let Some(name) = model["projection"]["name"].as_str() {
            words.extend(["--projection".to_owned(), name.to_owned()]);
        }
        if model["normalize"] == true {
            words.push("--normalize".to_owned());
        }
        Some((model["id"].as_str()?.to_owned(), words, pooling == "none"))
    };
    models.iter().filter_map(of).collect()
}

#[test]
fn vectors_are_those_of_transformers() {
    let folder = folder();
    let models = registry();
    assert!(models.len() > 8, "{models:?}");
    let made = weighbridge(&["models", &folder.path().display().to_string()]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    for (id, head, vectors) in &models {
        let model = folder.path().join(id);
        let golden = model.join("golden");
        let file = input(&model, &numbers(&golden.join("test_input.bin")), *vectors);
        let path = model.display().to_string();
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        let told = embedded(&[&[path.as_str(), "--input", &file], &head[..]].concat());
        let wanted = numbers(&golden.join("golden_output.bin"));
        let far = farthest(&vector(&told, 0), &wanted);
        assert!(far < 1e-4, "{id}: {far}");
        assert_eq!(told["dimension"], wanted.len(), "{id}");
    }
}

/// E1 of the registry, small, with a tokenizer whose words are `w0`, `w1` and so on.
fn speaking(folder: &Path) -> String {
    let made = weighbridge(&["models", &folder.display().to_string(), "--only", "E1"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let vocabulary: serde_json::Map<String, Value> =
        (0..211).map(|id| (format!("w{id}"), json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w0"},
    });
    let model = folder.join("E1");
    fs::write(model.join("tokenizer.json"), tokenizer.to_string()).expect("written");
    model.display().to_string()
}

#[test]
fn texts_go_through_the_tokenizer_and_the_models_own_head() {
    let folder = folder();
    let model = speaking(folder.path());
    let golden = Path::new(&model).join("golden");
    let ids = numbers(&golden.join("test_input.bin"));
    let text: Vec<String> = ids.iter().map(|id| format!("w{id}")).collect();
    let text = text.join(" ");
    let wanted = numbers(&golden.join("golden_output.bin"));

    // Without a word on the head: the mean, as it is.
    let told = embedded(&[&model, "--text", &text, "w1 w2"]);
    assert_eq!(told["head"], json!({"pooling": "mean", "projection": null, "normalize": false}));
    assert_eq!((&told["device"], &told["architecture"]), (&"cpu".into(), &"bert".into()));
    assert_eq!(told["embeddings"].as_array().map(Vec::len), Some(2));
    let norm = told["embeddings"][0]["norm"].as_f64().expect("a norm") as f32;
    let unit: Vec<f32> = vector(&told, 0).iter().map(|value| value / norm).collect();
    assert!(farthest(&unit, &wanted) < 1e-5);

    // As sentence-transformers would have saved it.
    let pooling = Path::new(&model).join("1_Pooling");
    fs::create_dir(&pooling).expect("a folder");
    let modes = json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false});
    fs::write(pooling.join("config.json"), modes.to_string()).expect("written");
    let part = |path: &str, kind: &str| json!({"path": path, "type": format!("sentence_transformers.models.{kind}")});
    let modules = Path::new(&model).join("modules.json");
    let save = |parts: Value| fs::write(&modules, parts.to_string()).expect("written");
    save(json!([
        part("", "Transformer"),
        part("1_Pooling", "Pooling"),
        part("2_Normalize", "Normalize")
    ]));
    let told = embedded(&[&model, "--text", &text]);
    assert_eq!(told["head_from"], "modules.json");
    assert!(farthest(&vector(&told, 0), &wanted) < 1e-5);
    let shown = weighbridge(&["embed", &model, "--text", &text, "--device", "cpu"]);
    for part in
        ["bert on CPU, pooling mean, normalized (from modules.json)", "dimension 48, norm 1.000000"]
    {
        assert!(shown.out.contains(part), "no {part:?} in {}", shown.out);
    }
    save(json!([part("", "Transformer"), part("1_Pooling", "Pooling"), part("2_Dense", "Dense")]));
    let words = ["embed", &model, "--text", &text, "--device", "cpu"];
    refused(&words, 6, &["EMB-E021", "Dense", "--pooling"]);

    // From stdin, a line a text.
    let mut started = command(&[
        "embed",
        &model,
        "--file",
        "-",
        "--device",
        "cpu",
        "--json",
        "--pooling",
        "mean",
    ]);
    let mut child =
        started.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let lines = format!("{text}\n\nw1 w2\n");
    child.stdin.take().expect("stdin").write_all(lines.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["embeddings"][1]["text"], "w1 w2");
    refused(&["embed", &model, "--device", "cpu"], 2, &["--text", "--file", "--input"]);
    refused(&["embed", &model, "--text", &text, "--input", "x"], 2, &["cannot be used with"]);
}

#[test]
fn a_model_of_the_other_kind_is_told_to_the_right_command() {
    let folder = folder();
    let encoder = speaking(folder.path());
    for words in [
        &["run", &encoder, "--device", "cpu", "--prompt", "x"][..],
        &["chat", &encoder, "--no-gpu"],
        &["trace", &encoder, "--device", "cpu"],
    ] {
        let told = ["EMB-E021", "makes no text", "bert, which is an encoder", "weighbridge embed"];
        refused(words, 6, &told);
    }
    let chat = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/chat/model");
    let gguf = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/chat/chat.gguf");
    for decoder in [chat, gguf] {
        let words = ["embed", decoder, "--text", "Hello!", "--device", "cpu"];
        refused(&words, 6, &["EMB-E021", "expected", "actual", "weighbridge run", "--prompt"]);
    }
    // With a pooling, the same decoder is an embedding model.
    let told = embedded(&[chat, "--text", "Hello!", "--pooling", "last_token"]);
    assert_eq!(
        (&told["architecture"], &told["head_from"]),
        (&"qwen2".into(), &"the command line".into())
    );
    let ran = ran(&mut command(&["embed", "/nowhere", "--text", "x", "--device", "cpu"]));
    assert!(ran.code == Some(6) && ran.err.contains("EMB-E008"), "{}", ran.err);
}
