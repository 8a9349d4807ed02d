//! Tests that each fault of a configuration has its own code and remedy.

use super::super::Config;
use crate::contract::Code;
use crate::loader::remedies::Remedy;
use crate::loader::remedies::config::*;

/// A small Qwen2's configuration, with one text replaced by another.
fn refused(from: &str, to: &str) -> (Code, String) {
    let whole = r#"{"model_type": "qwen2", "vocab_size": 60, "hidden_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 48, "max_position_embeddings": 64, "eos_token_id": 1}"#;
    assert!(whole.contains(from), "{from}");
    let error = Config::parse(whole.replace(from, to).as_bytes()).expect_err(to);
    let failure = error.failure();
    let shown = format!("{} {}", failure.message, failure.actual.as_deref().unwrap_or_default());
    assert!(!shown.contains("Syntax {") && !shown.contains("Some("), "{shown}");
    (error.code(), failure.remedy.clone().unwrap_or_default())
}

#[test]
fn every_cause_has_its_own_remedy() {
    let size = r#""hidden_size": 32"#;
    let with = |more: &str| format!("{size}, {more}");
    let rows: [(String, Remedy, &[&str]); 10] = [
        (r#""n_embd": 32"#.into(), CONFIG_FIELD_RENAMED, &["n_embd", "hidden_size"]),
        (r#""no_size": 32"#.into(), CONFIG_FIELD_MISSING, &["hidden_size"]),
        (r#""hidden_size": "32""#.into(), CONFIG_FIELD_KIND, &["hidden_size"]),
        (with(r#""rms_norm_eps": Infinity"#), CONFIG_NOT_JSON, &[]),
        (with(r#""hidden_size": 32"#), CONFIG_KEY_TWICE, &["\"hidden_size\""]),
        (
            with(r#""use_sliding_window": true"#),
            CONFIG_NOT_SUPPORTED,
            &["use_sliding_window = true"],
        ),
        (
            with(r#""rope_scaling": {"rope_type": "yarn", "factor": 4.0}"#),
            CONFIG_ROPE_SCALING,
            &["\"yarn\""],
        ),
        (with(r#""rope_scaling": 2"#), CONFIG_ROPE_FORM, &["rope_scaling"]),
        (with(r#""rope_theta": 0.5"#), CONFIG_ROPE_BASE, &[]),
        (with(r#""hidden_act": "mish""#), CONFIG_NOT_SUPPORTED, &["hidden_act = \"mish\""]),
    ];
    for (to, row, names) in rows {
        let mut parts = row.text.split("{}");
        let mut wanted = parts.next().unwrap_or_default().to_owned();
        for (name, part) in names.iter().zip(parts) {
            wanted += name;
            wanted += part;
        }
        assert_eq!(refused(size, &to), (row.code, wanted), "{to}");
    }
    let end = refused(r#""eos_token_id": 1"#, r#""eos_token_id": 60"#);
    assert_eq!(end, (CONFIG_END_TOKEN.code, CONFIG_END_TOKEN.text.to_owned()));
}
