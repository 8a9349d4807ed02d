//! `weighbridge plan`: who holds what, a claimed plan that breaks a rule, and what cannot be divided.

use std::fs;

use serde_json::Value;

use super::{at, folder, refused, weighbridge};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/plan/llama");
const CHAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/chat/model");

/// What `plan` prints with `--json`, which must be one JSON value.
fn told(words: &[&str], code: i32) -> Value {
    let ran = weighbridge(&[&["plan"], words, &["--json"]].concat());
    assert_eq!(ran.code, Some(code), "{words:?}: {}", ran.err);
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{words:?}: {error}: {}", ran.out))
}

#[test]
fn every_slice_is_shown_with_its_rank_and_its_bytes() {
    let ran = weighbridge(&["plan", MODEL, "--tp", "2", "--pp", "2", "--devices", "7,6,5,4"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for line in [
        "ranks        4: tp 2 x pp 2 x replicas 1",
        "vocabulary   21 rows, padded to 22: 11 for each rank",
        "stage 0      layers 0 to 1",
        "stage 1      layer 2",
        "rank 3: stage 1, tp rank 1, device 4",
        "  lm_head.weight  vocabulary-parallel  [11:21, 0:24] and 1 padding rows  model.safetensors: ",
        "  model.layers.2.self_attn.o_proj.weight  row-parallel  [0:24, 16:32]  model.safetensors: ",
        ", 24 times every 64 bytes",
    ] {
        assert!(ran.out.contains(line), "no {line:?} in {}", ran.out);
    }
    let norms = ran.out.lines().find(|line| line.starts_with("whole ") && line.contains("a norm"));
    assert!(norms.is_some_and(|line| line.contains(" 7 tensors")), "{}", ran.out);
    let plan = told(&[MODEL, "--tp", "2", "--pp", "2", "--devices", "7,6,5,4"], 0);
    assert_eq!(plan["stages"], serde_json::json!([0, 0, 1]));
    assert_eq!((&plan["ranks"][3]["device"], &plan["ranks"][3]["tp_rank"]), (&4.into(), &1.into()));
    let of_ranks: u64 = (0..4).filter_map(|at| plan["ranks"][at]["bytes"].as_u64()).sum();
    assert_eq!(plan["bytes_of_ranks"], of_ranks);
    let times = of_ranks as f64 / plan["bytes"].as_u64().unwrap() as f64;
    assert!((plan["times_the_model"].as_f64().unwrap() - times).abs() < 1e-9);
}

#[test]
fn a_claimed_plan_is_judged() {
    let place = folder();
    let words = [MODEL, "--tp", "2"];
    let mut claim = told(&words, 0)["plan"].take();
    let path = at(&place, "claim.json", &claim.to_string());
    let claimed = [&words[..], &["--claimed", &path]].concat();
    let ran = weighbridge(&[&["plan"], &claimed[..]].concat());
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "the claimed plan breaks no rule\n"));
    // Every rank has the first slice.
    claim["ranks"][1]["tensors"] = claim["ranks"][0]["tensors"].clone();
    fs::write(&path, claim.to_string()).unwrap();
    let ran = weighbridge(&[&["plan"], &claimed[..]].concat());
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.contains("rule 1 broken: each rank holds its own slice"), "{}", ran.out);
    let first = "  rank 1: model.embed_tokens.weight: expected [11:21, 0:24], found [0:11, 0:24]\n";
    assert!(ran.out.contains(first), "{}", ran.out);
    let judged = told(&claimed, 1);
    assert_eq!((&judged["holds"], &judged["refused"]), (&false.into(), &false.into()));
    assert_eq!(judged["rules_broken"][0]["rule"], 1);
    assert!(judged["findings"].as_array().unwrap().len() > 20);
    fs::write(&path, "{\"refused\": \"not in this release\"}").unwrap();
    assert_eq!(told(&claimed, 0)["refused"], true);
    // Three ranks: a refusal must name 8 heads and the degree.
    let three = [MODEL, "--tp", "3", "--claimed", &path];
    assert_eq!(told(&three, 1)["rules_broken"][0]["rule"], 6);
    fs::write(&path, "{\"refused\": \"8 heads, 3 ranks\"}").unwrap();
    assert_eq!(told(&three, 0)["holds"], true);
}

#[test]
fn what_cannot_be_planned_is_refused_with_a_code() {
    for (words, code, wanted) in [
        (&[MODEL, "--tp", "3"][..], 5, ["rule 6: 8 query heads", "actual: 3"]),
        (&[MODEL, "--pp", "4"], 5, ["rule 15: 3 layers", "at most 3 stages"]),
        (&[MODEL, "--tp", "0"], 2, ["a degree of 0: tp", "1 or more"]),
        (
            &[MODEL, "--tp", "2", "--devices", "1,1"],
            2,
            ["device 1 is named twice", "rank 0 and rank 1"],
        ),
        (
            &[MODEL, "--tp", "2", "--devices", "1"],
            2,
            ["1 devices for 2 ranks", "tp x pp x replicas"],
        ),
        (&[MODEL, "--tp", "18446744073709551615", "--pp", "2"], 2, ["too many ranks", "4096"]),
        (&[MODEL, "--claimed", "/nowhere"], 6, ["/nowhere: cannot be read", "EMB-E008"]),
        (&[MODEL, "--claimed", MODEL], 6, ["cannot be read", "no regular file"]),
        (&["/nowhere"], 6, ["/nowhere: cannot be read", "EMB-E008"]),
    ] {
        refused(&[&["plan"], words].concat(), code, &wanted);
        let error = &told(words, code)["error"];
        assert_eq!(error["exit_code"], code);
        for part in ["code", "emb", "expected", "actual", "remedy"] {
            assert!(error[part].is_string(), "{words:?}: no {part} in {error}");
        }
    }
    let place = folder();
    let mut claim = told(&[MODEL, "--tp", "2"], 0)["plan"].take();
    claim["ranks"][1]["rank"] = 2.into();
    let path = at(&place, "claim.json", &claim.to_string());
    refused(&["plan", MODEL, "--tp", "2", "--claimed", &path], 2, &["a rank beyond the grid"]);
}

#[test]
fn a_model_of_the_suite_is_planned_too() {
    let plan = told(&[CHAT, "--pp", "2", "--replicas", "2"], 0);
    assert_eq!(plan["ranks"].as_array().map(Vec::len), Some(4));
    assert_eq!(plan["unused"], serde_json::json!([]));
}

#[test]
fn an_index_alone_is_planned_by_the_configuration() {
    let folder = folder();
    let config = r#"{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8,
        "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2,
        "num_hidden_layers": 1, "vocab_size": 10, "rms_norm_eps": 1e-6, "tie_word_embeddings": true,
        "max_position_embeddings": 16, "dtype": "bfloat16"}"#;
    let names = [
        "model.embed_tokens.weight",
        "model.norm.weight",
        "model.layers.0.input_layernorm.weight",
        "model.layers.0.post_attention_layernorm.weight",
        "model.layers.0.mlp.down_proj.weight",
        "model.layers.0.mlp.gate_proj.weight",
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.k_proj.weight",
        "model.layers.0.self_attn.v_proj.weight",
        "model.layers.0.self_attn.o_proj.weight",
    ];
    let map: Vec<String> =
        names.iter().map(|name| format!("{name:?}: \"a.safetensors\"")).collect();
    let index =
        format!(r#"{{"metadata": {{"total_size": 7}}, "weight_map": {{{}}}}}"#, map.join(", "));
    at(&folder, "config.json", config);
    at(&folder, "model.safetensors.index.json", &index);
    let model = folder.path().display().to_string();
    let ran = weighbridge(&["plan", &model, "--tp", "2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for line in [
        "by config    no weight file is there: shapes and BF16 by config.json",
        "index        says that all tensors have 7 bytes",
        "  model.layers.0.self_attn.o_proj.weight  row-parallel  [0:8, 0:4]  a.safetensors: 64 bytes",
    ] {
        assert!(ran.out.contains(line), "no {line:?} in {}", ran.out);
    }
    let plan = told(&[&model, "--tp", "2"], 0);
    assert_eq!(plan["by_config"], serde_json::json!({"dtype": "BF16", "total_size": 7}));
    assert_eq!(plan["files"][0]["bytes"], Value::Null);
    // A claim needs the headers.
    let claim = at(&folder, "claim.json", &plan["plan"].to_string());
    let ran = weighbridge(&["plan", &model, "--tp", "2", "--claimed", &claim]);
    assert_eq!(ran.code, Some(6), "{}", ran.out);
}
