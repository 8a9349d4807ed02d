//! Tests the documents that are made of the metadata.

use serde_json::{Value, json};

use super::{Listed, SOUND, check, file, metadata, read, refused};
use crate::contract::Code;
use crate::loader::error::Result;

fn config(further: &Value, entries: &[Listed<'_>]) -> Result<Value> {
    Ok(read(&file(&metadata(further), entries))?.documents.config)
}

#[test]
fn metadata_that_is_no_object_is_refused() {
    for (text, code, expected, actual) in [
        (&b"{\"a\": \"\xff\"}"[..], Code::HeaderNotUtf8, "UTF-8", ""),
        (b"[1]", Code::HeaderNotJson, "one JSON object", "[1]"),
        (b"{} {}", Code::HeaderNotJson, "one JSON object", "text after byte 2"),
        (b"{\"a\":1,\"a\":2}", Code::DuplicateKey, "every key once", "\"a\""),
        (b"{\"a\" 1}", Code::HeaderNotJson, "one JSON object", "line 1, column 6: expected `:`"),
        (
            b"{\"a\":1e999}",
            Code::HeaderNotJson,
            "one JSON object",
            "number out of range at line 1 column 10",
        ),
    ] {
        let of = String::from_utf8_lossy(text);
        let error = refused(&file(text, &[]), &of);
        let failure = error.failure();
        let actual = if actual.is_empty() {
            failure.actual.clone().unwrap_or_default()
        } else {
            actual.to_owned()
        };
        check(&error, (code, expected, &actual), &of);
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
    let wanted = "values that take less memory, and nest less deep";
    let found = "nested more than 100 deep at byte 104";
    check(
        &refused(&file(deep.as_bytes(), &[]), "deep"),
        (Code::HeaderTooLarge, wanted, found),
        "deep",
    );
}

#[test]
fn a_configuration_is_made_of_the_metadata_and_the_names_of_tensors() {
    let told =
        json!({"num_layers": 2, "num_hidden_layers": 2, "num_kv_heads": null, "rope_type": 2});
    assert_eq!(
        config(&told, &SOUND).expect("a sound file"),
        json!({
            "model_type": "qwen2", "hidden_size": 8, "num_hidden_layers": 2,
            "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false,
        })
    );
    let entries: [Listed<'_>; 3] = [
        (b"lm_head.weight", 0, &[1], 0, 4),
        (b"model.layers.0.mlp.gate_proj.bias", 0, &[1], 64, 4),
        (b"model.layers.0.self_attn.q_proj.bias", 0, &[1], 128, 4),
    ];
    let found = config(&json!({}), &entries).expect("a sound file");
    assert_eq!(found["tie_word_embeddings"], false);
    assert_eq!((&found["attention_bias"], &found["mlp_bias"]), (&json!(true), &json!(true)));
    let told = json!({"tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false});
    let found = config(&told, &entries).expect("a sound file");
    assert_eq!(found["tie_word_embeddings"], true, "what is told counts");
    assert_eq!((&found["attention_bias"], &found["mlp_bias"]), (&json!(false), &json!(false)));
    let own =
        json!({"hf_model_type": "Qwen2ForCausalLM", "model_type": "", "architecture": "llama"});
    assert_eq!(config(&own, &SOUND).expect("a sound file")["model_type"], "llama");
}

#[test]
fn settings_that_are_not_served_are_refused_by_name() {
    for (further, code, expected, actual) in [
        (json!({"rope_type": 1}), Code::InvalidConfig, "rope_type 2, or none", "1"),
        (json!({"num_experts": 4}), Code::InvalidConfig, "none", "4"),
        (json!({"num_experts_per_tok": 2}), Code::InvalidConfig, "none", "2"),
        (json!({"moe_intermediate_size": 9}), Code::InvalidConfig, "none", "9"),
        (json!({"sharding": {}}), Code::InvalidConfig, "none", "{}"),
        (json!({"num_layers": 2, "num_hidden_layers": 3}), Code::InvalidConfig, "2", "3"),
        (
            json!({"tokenizer.vocabulary": ["a"]}),
            Code::InvalidTokenizer,
            "tokenizer.huggingface.json: a text",
            "only a vocabulary",
        ),
        (
            json!({"tokenizer.huggingface.json": {}}),
            Code::InvalidTokenizer,
            "tokenizer.huggingface.json: a text",
            "no text",
        ),
    ] {
        let error = config(&further, &SOUND).expect_err("a setting that is not served");
        check(&error, (code, expected, actual), &further.to_string());
    }
    let families = "hf_model_type, model_type or architecture: one of bert, roberta, nomic_bert, \
                    qwen2, qwen3, llama, mistral, phi3, gpt2, projection";
    for (own, found) in [
        (json!({"hf_model_type": null}), "none"),
        (json!({"hf_model_type": "t5", "architecture": "mamba"}), r#""t5", "mamba""#),
    ] {
        let error = config(&own, &SOUND).expect_err("an architecture that is not known");
        check(&error, (Code::UnknownArchitecture, families, found), &own.to_string());
    }
}

#[test]
fn tokenizer_and_template_are_those_of_the_metadata() {
    let documents = |further: &Value| {
        let model = read(&file(&metadata(further), &SOUND)).expect("a sound file");
        (model.documents.tokenizer, model.documents.template)
    };
    assert_eq!(documents(&json!({})), (None, None));
    let further = json!({
        "tokenizer.huggingface.json": "{\"model\":1}", "tokenizer.vocabulary": ["a"],
        "chat_template": "{{ bos_token }}", "special_tokens": {"bos_token": "<s>"},
    });
    let template = json!({"chat_template": "{{ bos_token }}", "bos_token": "<s>"});
    assert_eq!(documents(&further), (Some(b"{\"model\":1}".to_vec()), Some(template)));
    let further = json!({"chat_template": "x", "special_tokens": null});
    assert_eq!(documents(&further), (None, Some(json!({"chat_template": "x"}))));
    assert_eq!(documents(&json!({"chat_template": null})), (None, None));
}
