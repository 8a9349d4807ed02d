//! Tests of what configurations and tensors say, and of what the judge cannot describe.

mod tensors;

use serde_json::{Value, json};

use super::Described;
use crate::contract::request::Format;

/// A configuration of two layers with some more fields.
fn with(model: &str, more: &Value) -> Value {
    let mut config = json!({"model_type": model, "num_hidden_layers": 2});
    let more = more.as_object().expect("fields").clone();
    config.as_object_mut().expect("an object").extend(more);
    config
}

fn of(model: &str, more: &Value) -> Described {
    Described::of(&with(model, more)).unwrap_or_else(|why| panic!("{more}: {why}"))
}

#[test]
fn a_format_that_cannot_state_a_model_is_named_with_the_reason() {
    use Format::{Apr, Gguf, Safetensors};
    let by_type = json!({
        "layer_types": ["full_attention", "sliding_attention"],
        "rope_parameters": {
            "full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4},
        },
    });
    let some = json!({
        "use_sliding_window": true, "sliding_window": 16,
        "layer_types": ["full_attention", "sliding_attention"],
    });
    let every = json!({"use_sliding_window": true, "sliding_window": 16, "max_window_layers": 0});
    let linear = json!({"rope_scaling": {"type": "linear", "factor": 2.0}});
    let none = json!({});
    let rows = [
        ("llama", none.clone(), Gguf, None),
        ("llama", none.clone(), Apr, None),
        ("qwen2", none.clone(), Gguf, None),
        ("mistral", none.clone(), Gguf, None),
        ("bert", none.clone(), Safetensors, None),
        ("bert", none.clone(), Gguf, Some("GGUF of a model with model_type bert")),
        ("gpt2", none.clone(), Apr, Some("APR of a model with model_type gpt2")),
        (
            "llama",
            json!({"is_causal": false}),
            Gguf,
            Some("GGUF of a model with attention to later tokens"),
        ),
        ("llama", by_type.clone(), Safetensors, None),
        ("llama", by_type, Apr, Some("APR of a model with positions by type of layer")),
        ("qwen2", some, Apr, Some("APR of a model with a window in some layers")),
        ("qwen2", every.clone(), Apr, None),
        ("qwen2", every, Gguf, Some("GGUF of a model with a window")),
        ("llama", linear.clone(), Apr, None),
        ("llama", linear, Gguf, Some("GGUF of a model with scaled positions")),
        (
            "llama",
            json!({"hidden_act": "gelu"}),
            Gguf,
            Some("GGUF of a model with the activation gelu"),
        ),
        ("phi3", none, Gguf, Some("GGUF of a model with fused weights")),
        ("llama", json!({"mlp_bias": true}), Gguf, Some("GGUF of a model with optional biases")),
        (
            "mistral",
            json!({"sliding_window": null}),
            Gguf,
            Some("GGUF of a model with model_type mistral and no window"),
        ),
    ];
    for (model, more, format, wanted) in rows {
        let wanted = match wanted {
            None => Ok(()),
            Some(what) => Err(format!("the judge writes no {what}")),
        };
        assert_eq!(of(model, &more).states(format), wanted, "{model} {more}");
    }
}

#[test]
fn rotary_positions_are_written_out_for_the_oracle() {
    let plain = |base: f64| json!({"rope_type": "default", "rope_theta": base});
    let llama3 = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    });
    let scaled = |original: usize| {
        json!({
            "rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": original,
        })
    };
    let alike = json!({
        "full_attention": {"rope_theta": 7.0}, "sliding_attention": {"rope_theta": 7.0},
    });
    let types = ["full_attention", "sliding_attention"];
    let rows = [
        (json!({}), plain(1e4)),
        (json!({"rotary_emb_base": 5.0}), plain(5.0)),
        (json!({"rope_scaling": {}, "rope_theta": 3}), plain(3.0)),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 2.0}}),
            json!({"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}),
        ),
        // The original length is that of the whole model where it is not stated.
        (json!({"rope_scaling": llama3, "max_position_embeddings": 640}), scaled(640)),
        (json!({"rope_scaling": llama3, "original_max_position_embeddings": 320}), scaled(320)),
        // Types of layers with the same positions are one.
        (json!({"rope_parameters": alike}), plain(7.0)),
        (
            json!({
                "layer_types": types,
                "rope_parameters": {
                    "full_attention": {"rope_theta": 9.0},
                    "sliding_attention": {"rope_type": "linear", "factor": 4.0},
                },
            }),
            json!({
                "full_attention": plain(9.0),
                "sliding_attention": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0},
            }),
        ),
    ];
    for (more, wanted) in rows {
        assert_eq!(of("llama", &more).config()["rope_parameters"], wanted, "{more}");
    }
}

#[test]
fn windows_are_those_of_the_layers() {
    let asked = json!({"use_sliding_window": true, "sliding_window": 16});
    let mut typed = asked.clone();
    typed["layer_types"] = json!(["sliding_attention", "full_attention"]);
    let mut late = asked.clone();
    late["max_window_layers"] = json!(1);
    let rows = [
        (json!({}), vec![]),
        (asked, vec![]),
        (typed, vec![Some(16), None]),
        (late, vec![None, Some(16)]),
    ];
    for (more, wanted) in rows {
        let described = of("qwen2", &more);
        assert_eq!(described.windows, wanted, "{more}");
        let read = described.config();
        assert_eq!(read["use_sliding_window"], json!(!wanted.is_empty()), "{more}");
        let kind = |window: &Option<usize>| match window {
            Some(_) => "sliding_attention",
            None => "full_attention",
        };
        let kinds: Vec<&str> = wanted.iter().map(kind).collect();
        match kinds.is_empty() {
            true => assert_eq!(read.get("layer_types"), None, "{more}"),
            false => assert_eq!(read["layer_types"], json!(kinds), "{more}"),
        }
    }
}

#[test]
fn what_a_configuration_contradicts_is_named_with_its_values() {
    let two = |one: Value, two: Value| json!({"full_attention": one, "sliding_attention": two});
    let differ = two(json!({"rope_theta": 9.0}), json!({"rope_theta": 8.0}));
    let rows = [
        ("llama", json!({"rope_scaling": 2}), "rope_scaling is 2, not an object"),
        (
            "llama",
            json!({"rope_scaling": {"factor": 2.0}, "rope_parameters": {"factor": 3.0}}),
            "rope_scaling and rope_parameters differ",
        ),
        (
            "llama",
            json!({"rope_parameters": differ}),
            "rotary positions by type of layer, but no layer_types",
        ),
        (
            "llama",
            json!({"rope_parameters": differ, "layer_types": ["full_attention", "other"]}),
            "no rotary positions of other",
        ),
        (
            "llama",
            json!({"rope_parameters": {"full_attention": 3}}),
            "rotary positions of full_attention: 3",
        ),
        (
            "llama",
            json!({"rope_parameters": {"rope_theta": 20.0}, "rope_theta": 10.0}),
            "rope_theta is 10 at top level, but 20 inside",
        ),
        (
            "llama",
            json!({"rope_parameters": {"partial_rotary_factor": 0.5}}),
            "partial_rotary_factor",
        ),
        (
            "llama",
            json!({"rope_scaling": {"rope_type": "linear", "type": "llama3"}}),
            r#"rope_type is "linear", but type is "llama3""#,
        ),
        (
            "llama",
            json!({"rope_scaling": {"rope_type": "yarn"}}),
            r#"the judge does not know rope_type "yarn""#,
        ),
        ("llama", json!({"rope_scaling": {"type": "linear"}}), "rotary positions without factor"),
        ("gpt2", json!({"n_embd": 48, "hidden_size": 40}), "hidden_size is 40, but n_embd is 48"),
        (
            "llama",
            json!({"hidden_act": "xielu"}),
            r#"the judge does not know the activation "xielu""#,
        ),
        ("llama", json!({"hidden_act": 5}), "hidden_act is 5, not a text"),
        (
            "llama",
            json!({"tie_word_embeddings": "yes"}),
            r#"tie_word_embeddings is "yes", not true or false"#,
        ),
        ("llama", json!({"layer_types": [1]}), "layer_types is not a list of texts"),
        ("llama", json!({"hidden_size": -1}), "hidden_size is -1, not a size"),
        (
            "llama",
            json!({"hidden_size": 2_147_483_648_u64}),
            "hidden_size is 2147483648, too large to describe",
        ),
        (
            "llama",
            json!({"num_hidden_layers": 10_001}),
            "num_hidden_layers is 10001, more layers than can be described",
        ),
        ("llama", json!({"rms_norm_eps": "a"}), r#"rms_norm_eps is "a", not a number"#),
        ("llama", json!({"eos_token_id": [1, "a"]}), r#"eos_token_id has "a", which is no token"#),
        ("llama", json!({"num_attention_heads": 0}), "a model of no heads or no hidden size"),
        (
            "qwen3",
            json!({"use_sliding_window": true, "layer_types": ["full_attention"]}),
            "1 layer_types for 2 layers",
        ),
        ("llama", json!({"alibi": true}), "the judge does not compute with alibi = true"),
        ("llama", json!({"clip_qkv": 8.0}), "the judge does not compute with clip_qkv = 8.0"),
        ("llama", json!({"logit_scale": 2}), "the judge does not compute with logit_scale = 2"),
        ("nomic_bert", json!({"prenorm": true}), "the judge does not compute with prenorm = true"),
        (
            "gpt2",
            json!({"scale_attn_weights": false}),
            "the judge does not compute with scale_attn_weights = false",
        ),
        ("bert", json!({"is_decoder": true}), "the judge does not compute with is_decoder = true"),
        (
            "bert",
            json!({"position_embedding_type": "relative_key"}),
            r#"the judge does not compute with position_embedding_type = "relative_key""#,
        ),
    ];
    for (model, more, words) in rows {
        let why = Described::of(&with(model, &more)).expect_err(words);
        assert_eq!(why, format!("config.json: {words}"), "{model} {more}");
    }
    // What is there and says nothing changes nothing.
    let idle = json!({
        "alibi": false, "quantization_config": {}, "no_rope_layers": [], "clip_qkv": null,
        "final_logit_softcapping": 0.0, "logit_scale": 1, "position_embedding_type": "absolute",
    });
    assert_eq!(of("llama", &idle).config(), of("llama", &json!({})).config());
}

#[test]
fn the_published_spelling_of_nomic_bert_has_its_own_defaults() {
    let read = |more: Value| {
        let sizes = of("nomic_bert", &more).recipe.sizes;
        (sizes.hidden, sizes.inner, sizes.positions, sizes.vocabulary, sizes.rotary_base)
    };
    assert_eq!(read(json!({})), (768, 3072, 2048, 30_528, 1000.0));
    assert_eq!(read(json!({"n_embd": 48, "n_head": 4})), (48, 192, 512, 30_528, 10_000.0));
}

#[test]
fn key_heads_are_as_many_as_heads_where_they_are_null() {
    let heads = |more: Value| of("qwen2", &more).recipe.sizes.key_heads;
    assert_eq!(heads(json!({"num_attention_heads": 4, "num_key_value_heads": null})), 4);
    assert_eq!(heads(json!({"num_attention_heads": 64})), 32);
}
