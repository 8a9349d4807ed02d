//! Tests which values of `config.json` are refused, with which code and which field in the message.

use serde_json::{Value, json};

use super::{bert, nomic, projection, qwen2};
use crate::contract::{Code, Phase};
use crate::loader::infer::config::Config;

fn refused(config: &Value) -> (Code, String) {
    match Config::parse(config.to_string().as_bytes()) {
        Ok(_) => panic!("accepted: {config}"),
        Err(error) => {
            assert_eq!(error.phase(), Phase::Header);
            let failure = error.failure();
            assert!(failure.expected.is_some() && failure.remedy.is_some(), "{error}");
            (error.code(), failure.message.clone())
        }
    }
}

/// Merges `with` into the configuration; null removes a field.
fn changed(mut config: Value, field: &str, with: Value) -> Value {
    let fields = config.as_object_mut().unwrap();
    match with.is_null() {
        true => drop(fields.remove(field)),
        false => drop(fields.insert(field.into(), with)),
    }
    config
}

#[test]
fn sound_configurations_are_read() {
    for model in [bert(), nomic(), qwen2(), projection()] {
        let config = Config::parse(model.config.to_string().as_bytes());
        assert!(config.is_ok(), "{}: {:?}", model.config, config.unwrap_err());
    }
    let qwen = Config::parse(qwen2().config.to_string().as_bytes()).unwrap();
    assert_eq!((qwen.head_size, qwen.key_heads, qwen.rotary.map(|r| r.base)), (4, 2, Some(100.0)));
    let nomic = Config::parse(nomic().config.to_string().as_bytes()).unwrap();
    assert_eq!((nomic.rotary.map(|r| r.base), nomic.positions), (Some(1000.0), 0));
    let roberta = changed(bert().config, "model_type", json!("roberta"));
    let roberta = Config::parse(roberta.to_string().as_bytes()).unwrap();
    assert_eq!((roberta.padding, roberta.positions, roberta.longest), (1, 7, 5));
}

#[test]
fn unknown_architectures_are_refused_with_those_that_are_known() {
    let unknown = changed(bert().config, "model_type", json!("mamba"));
    let error = Config::parse(unknown.to_string().as_bytes()).unwrap_err();
    assert_eq!((error.phase(), error.code()), (Phase::Header, Code::UnknownArchitecture));
    let expected = error.failure().expected.clone().unwrap();
    for known in ["bert", "roberta", "nomic_bert", "qwen2", "projection"] {
        assert!(expected.contains(known), "{expected}");
    }
}

#[test]
fn text_that_is_no_object_is_refused() {
    for text in ["", "[]", "1", "{", "{\"model_type\":\"bert\",\"model_type\":\"bert\"}", "{}x"] {
        let error = Config::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.code(), Code::InvalidConfig, "{text}");
    }
    assert_eq!(Config::parse(&[0xff]).unwrap_err().code(), Code::InvalidConfig);
    let missing = Config::read(std::path::Path::new("/nonexistent/config.json")).unwrap_err();
    assert_eq!((missing.phase(), missing.code()), (Phase::Open, Code::InvalidConfig));
    assert!(missing.failure().path.as_ref().is_some_and(|path| path.ends_with("config.json")));
}

#[test]
fn fields_that_are_missing_or_wrong_are_named() {
    let bad = |value: Value| [json!(0), json!(-1), json!(1.5), json!("8"), value];
    for field in ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"] {
        for value in bad(Value::Null) {
            for model in [bert(), nomic(), qwen2()] {
                let (code, message) = refused(&changed(model.config, field, value.clone()));
                assert_eq!(code, Code::InvalidConfig, "{field} {value}");
                assert!(message.contains(field), "{field} {value}: {message}");
            }
        }
    }
    for (model, field, value) in [
        (bert(), "num_attention_heads", json!(3)),
        (bert(), "intermediate_size", Value::Null),
        (bert(), "type_vocab_size", Value::Null),
        (bert(), "max_position_embeddings", Value::Null),
        (bert(), "hidden_act", json!("mish")),
        (bert(), "layer_norm_eps", json!(0)),
        (bert(), "layer_norm_eps", json!(1e300)),
        (bert(), "position_embedding_type", json!("relative_key")),
        (bert(), "is_decoder", json!(true)),
        (qwen2(), "num_key_value_heads", json!(3)),
        (qwen2(), "num_key_value_heads", json!(0)),
        (qwen2(), "head_dim", json!(3)),
        (qwen2(), "head_dim", json!(0)),
        (qwen2(), "use_sliding_window", json!(true)),
        (qwen2(), "is_causal", json!(false)),
        (qwen2(), "rope_theta", json!(0.5)),
        (qwen2(), "rope_theta", json!(1e300)),
        (qwen2(), "rope_scaling", json!({"type": "dynamic", "factor": 2.0})),
        (nomic(), "rope_parameters", json!({"rope_type": "yarn", "rope_theta": 1000.0})),
        (nomic(), "rope_parameters", json!("yarn")),
        (projection(), "input_size", Value::Null),
        (projection(), "output_size", json!(0)),
    ] {
        let (code, message) = refused(&changed(model.config, field, value.clone()));
        assert_eq!(code, Code::InvalidConfig, "{field} {value}");
        // A wrong `rope_type` is named itself, not the object around it.
        let named = message.contains(field) || message.contains("rope_type");
        assert!(named, "{field} {value}: {message}");
    }
    let partial = json!({"rope_type": "default", "rope_theta": 1e3, "partial_rotary_factor": 0.5});
    let (code, message) = refused(&changed(nomic().config, "rope_parameters", partial));
    assert_eq!(code, Code::InvalidConfig);
    assert!(message.contains("partial_rotary_factor"), "{message}");
    // Fields that agree with the supported computation are accepted.
    for (model, field, value) in [
        (qwen2(), "is_causal", json!(true)),
        (bert(), "is_decoder", json!(false)),
        (qwen2(), "layer_types", json!(["full_attention", "full_attention"])),
    ] {
        let config = changed(model.config, field, value);
        assert!(Config::parse(config.to_string().as_bytes()).is_ok(), "{config}");
    }
}
