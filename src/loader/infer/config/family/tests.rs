//! Tests of what a family's configuration contradicts, and of what it has where nothing is stated.

use serde_json::{Value, json};

use super::*;
use crate::loader::remedies::Remedy;
use crate::loader::remedies::config::{CONFIG_FIELD_KIND, CONFIG_FIELD_MISSING};

/// The configuration of a small model with other values for some fields; null removes one.
fn with(model: &str, more: &Value) -> Result<Config> {
    let mut config = match model {
        "gpt2" => json!({"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
        _ => json!({
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 4, "intermediate_size": 48, "max_position_embeddings": 64,
        }),
    };
    config["model_type"] = json!(model);
    config["vocab_size"] = json!(60);
    config["eos_token_id"] = json!(1);
    if ["bert", "roberta", "nomic_bert"].contains(&model) {
        config["type_vocab_size"] = json!(2);
    }
    let all = config.as_object_mut().expect("an object");
    for (name, value) in more.as_object().expect("fields") {
        match value {
            Value::String(absent) if absent == "absent" => drop(all.remove(name)),
            value => drop(all.insert(name.clone(), value.clone())),
        }
    }
    Config::parse(config.to_string().as_bytes())
}

#[test]
fn sizes_that_contradict_each_other_are_refused_with_both() {
    let five = json!({"head_dim": 5});
    let rows: [(&str, Value, Remedy, &str, &str); 9] = [
        ("bert", five.clone(), CONFIG_HEAD_DIM, "8", "5"),
        ("phi3", five, CONFIG_HEAD_DIM, "8", "5"),
        ("bert", json!({"num_key_value_heads": 2}), CONFIG_CONTRADICTS, "4", "2"),
        ("bert", json!({"num_attention_heads": 5}), CONFIG_CONTRADICTS, "a divisor of 32", "5"),
        ("gpt2", json!({"n_head": 5}), CONFIG_CONTRADICTS, "a divisor of 32", "5"),
        (
            "mistral",
            json!({"num_key_value_heads": "absent"}),
            CONFIG_CONTRADICTS,
            "num_key_value_heads, a divisor of 4",
            "8",
        ),
        (
            "qwen2",
            json!({"num_key_value_heads": "absent"}),
            CONFIG_CONTRADICTS,
            "num_key_value_heads, a divisor of 4",
            "32",
        ),
        ("qwen3", json!({"head_dim": null}), CONFIG_FIELD_KIND, "a size", "null"),
        (
            "nomic_bert",
            json!({"rotary_emb_fraction": 1.0}),
            CONFIG_FIELD_MISSING,
            "rotary_emb_base",
            "",
        ),
    ];
    for (model, more, remedy, expected, actual) in rows {
        let error = with(model, &more).expect_err(model);
        let failure = error.failure();
        assert_eq!(failure.code, remedy.code, "{model} {more}");
        let begin = remedy.text.split("{}").next().unwrap_or_default();
        let told = failure.remedy.as_deref().unwrap_or_default();
        assert!(told.starts_with(begin), "{model} {more}: {told}");
        let (wanted, found) = (failure.expected.as_deref(), failure.actual.as_deref());
        match actual {
            "" => assert!(failure.message.contains(expected), "{model} {more}: {failure:?}"),
            _ => assert_eq!((wanted, found), (Some(expected), Some(actual)), "{model} {more}"),
        }
    }
}

#[test]
fn what_is_not_stated_is_that_of_the_family() {
    let of = |model: &str, more: &Value| {
        with(model, more).unwrap_or_else(|why| panic!("{model} {more}: {why}"))
    };
    let none = json!({});
    let inner = json!({"intermediate_size": "absent"});
    assert_eq!(of("llama", &none).inner, 48);
    assert_eq!(of("llama", &inner).inner, 128);
    assert_eq!(of("gpt2", &none).inner, 128);
    assert_eq!(of("gpt2", &json!({"n_inner": 40})).inner, 40);
    assert_eq!(of("qwen3", &none).head_size, 128);
    assert_eq!(of("qwen3", &json!({"head_dim": 6})).head_size, 6);
    assert_eq!(of("llama", &json!({"num_key_value_heads": null})).key_heads, 4);
    assert_eq!(of("llama", &json!({"num_key_value_heads": "absent"})).key_heads, 4);
    for (model, activation) in [
        ("bert", Activation::Gelu),
        ("roberta", Activation::Gelu),
        ("gpt2", Activation::GeluTanh),
        ("llama", Activation::Silu),
        ("nomic_bert", Activation::Silu),
    ] {
        assert_eq!(of(model, &none).activation, activation, "{model}");
    }
    // RoBERTa counts its positions from the row behind that of the padding token.
    assert_eq!((of("roberta", &none).longest, of("roberta", &none).positions), (62, 64));
    assert_eq!((of("bert", &none).longest, of("bert", &none).positions), (64, 64));
    assert_eq!(of("phi3", &none).window, None);
    assert!(of("mistral", &json!({"max_position_embeddings": 8192})).window.is_some());
}
