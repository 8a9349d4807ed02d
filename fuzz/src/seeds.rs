//! Inputs to begin with, for each fuzz target: made here, or taken from the files of the repository.
//! `cargo run --bin seeds` writes them, and `tests/fuzz.rs` changes them for a moment.

#![allow(dead_code)] // `tests/fuzz.rs` uses some of them

use std::fs;
use std::path::{Path, PathBuf};

use apr_format::v2::{AprV2Metadata, AprV2Writer};
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use serde_json::{Value as Json, json};
use weighbridge::loader::progress::Progress;
use weighbridge::loader::seal::make;

/// Headers of safetensors files, each over so many bytes of data: the legal oddities among them.
pub const HEADERS: [(&str, usize); 8] = [
    ("{}", 0),
    (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  "#, 8),
    (r#"{"__metadata__":{"k":"v"},"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}"#, 2),
    (
        r#"{"b":{"dtype":"U8","shape":[1,3],"data_offsets":[2,5]},"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}"#,
        5,
    ),
    (
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"e":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#,
        8,
    ),
    (
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"e":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}}"#,
        8,
    ),
    (r#"{"e":{"dtype":"F32","shape":[0,9223372036854775807,4],"data_offsets":[0,0]}}"#, 0),
    (
        r#"{"\u0061\n":{"data_offsets":[0,8],"shape":[1],"dtype":"I64"},"f":{"dtype":"F4","shape":[4],"data_offsets":[8,10]}}"#,
        10,
    ),
];

/// A safetensors file with this text as its header.
pub fn file(text: &[u8], data: usize) -> Vec<u8> {
    let mut file = (text.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(text);
    file.extend((0..data).map(|at| at as u8));
    file
}

/// A sound seal of a small file.
pub fn seal() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    let text = r#"{"a":{"dtype":"U8","shape":[9000],"data_offsets":[0,9000]}}"#;
    fs::write(&path, file(text.as_bytes(), 9000)).expect("written");
    make(&path, 4096, Path::new(""), &Progress::default()).expect("sealed").text
}

/// A small model in APR, by its own library.
pub fn apr() -> Vec<u8> {
    let mut metadata = AprV2Metadata::new("qwen2");
    metadata.hidden_size = Some(8);
    let mut writer = AprV2Writer::new(metadata);
    writer.add_f32_tensor("model.norm.weight", vec![8], &[1.0; 8]);
    writer.add_f32_tensor("model.embed_tokens.weight", vec![4, 8], &[0.5; 32]);
    writer.write().expect("written")
}

/// A small GGUF file with tensors in blocks and values of several kinds, by candle.
pub fn gguf() -> Vec<u8> {
    let ones = |shape: &[usize]| {
        Tensor::ones(shape, candle_core::DType::F32, &Device::Cpu).expect("a tensor")
    };
    let quantised = |shape: &[usize], kind| QTensor::quantize(&ones(shape), kind).expect("blocks");
    let (embedding, norm) =
        (quantised(&[4, 32], GgmlDType::Q8_0), quantised(&[32], GgmlDType::F32));
    let texts = |texts: &[&str]| {
        Value::Array(texts.iter().map(|text| Value::String((*text).to_owned())).collect())
    };
    let metadata = [
        ("general.architecture", Value::String("llama".to_owned())),
        ("llama.block_count", Value::U32(1)),
        ("llama.context_length", Value::U32(64)),
        ("llama.embedding_length", Value::U32(32)),
        ("llama.feed_forward_length", Value::U32(64)),
        ("llama.attention.head_count", Value::U32(1)),
        ("llama.attention.head_count_kv", Value::U32(1)),
        ("llama.rope.freq_base", Value::F32(1e4)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("tokenizer.ggml.tokens", texts(&["<s>", "a", "b", "ab"])),
        ("tokenizer.ggml.add_bos_token", Value::Bool(true)),
    ];
    let metadata: Vec<(&str, &Value)> =
        metadata.iter().map(|(name, value)| (*name, value)).collect();
    let tensors = [("token_embd.weight", &embedding), ("output_norm.weight", &norm)];
    let mut out = std::io::Cursor::new(Vec::new());
    gguf_file::write(&mut out, &metadata, &tensors).expect("written");
    out.into_inner()
}

/// Every case of `conformance/` by itself, as a list of one.
pub fn case_files() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for path in files("conformance", "yaml") {
        let text = format!("\n{}", fs::read_to_string(path).expect("text"));
        let cases = text.split("\n- requirement:").skip(1);
        all.extend(cases.map(|case| format!("- requirement:{case}\n").into_bytes()));
    }
    all
}

/// The manifests of `adapters/`.
pub fn manifests() -> Vec<Vec<u8>> {
    files("adapters", "yaml").iter().map(|path| fs::read(path).expect("read")).collect()
}

/// Lines of both sides: those that the contract's documentation shows, and a few of other verbs.
pub fn lines() -> Vec<Vec<u8>> {
    let shown = include_str!("../../src/contract/wire.rs").lines();
    let shown = shown.filter_map(|line| line.find(r#"{"id""#).map(|at| line[at..].to_owned()));
    let own = [
        json!({"id": 1, "request": {"stat": {}}}),
        json!({"id": 2, "request": {"unload": {"handle": 7}}}),
        json!({"id": 3, "reply": {"stat": {"models": 0, "host_bytes": 0, "device_bytes": 0}}}),
        json!({"id": 3, "reply": {"unload": {}}}),
        json!({"id": 3, "progress": {"done": 1, "total": 2}}),
    ];
    shown.chain(own.map(|line| line.to_string())).map(|line| (line + "\n").into_bytes()).collect()
}

/// A record of six requirements each, cut from a report of a real run.
pub fn reports() -> Vec<Vec<u8>> {
    let text = fs::read(root().join("reports/loaders/safetensors-torch-h100.json")).expect("read");
    let mut record = serde_json::from_slice::<Json>(&text).expect("JSON")["record"].take();
    let (rows, cases) = (record["requirements"].take(), record["cases"].take());
    let (rows, cases) = (rows.as_array().expect("rows"), cases.as_array().expect("cases"));
    record.as_object_mut().expect("an object").remove("classes");
    let cut = |rows: &[Json]| {
        let of = |case: &&Json| rows.iter().any(|row| row["id"] == case["requirement"]);
        record["requirements"] = Json::Array(rows.to_vec());
        record["cases"] = cases.iter().filter(of).take(8).cloned().collect();
        record.to_string().into_bytes()
    };
    rows.chunks(6).step_by(4).map(cut).collect()
}

/// The chat templates of `fixtures/templates`.
pub fn templates() -> Vec<Vec<u8>> {
    let text = include_str!("../../fixtures/templates/goldens.json");
    let table: Json = serde_json::from_str(text).expect("JSON");
    let rows = table["rows"].as_array().expect("rows");
    rows.iter().filter_map(|row| row["template"].as_str()).map(|text| text.into()).collect()
}

/// The seeds of every target, by its name.
pub fn all() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let headers = HEADERS.iter().map(|(text, data)| file(text.as_bytes(), *data));
    vec![
        ("header", headers.collect()),
        ("seal", vec![seal()]),
        ("gguf", vec![gguf()]),
        ("apr", vec![apr()]),
        ("case_file", case_files()),
        ("manifest", manifests()),
        ("wire_line", lines()),
        ("report", reports()),
        ("template", templates()),
    ]
}

fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let above = own.parent().filter(|above| above.join("conformance").is_dir());
    above.unwrap_or(own).to_path_buf()
}

/// The files of a folder and its folders with this ending, sorted.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
