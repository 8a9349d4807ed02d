//! Tests of the many ways in which published configurations state one thing: each is read as
//! transformers reads it, or refused by name.

use serde_json::{Value, json};

use super::{bert, nomic, qwen2};
use crate::contract::Code;
use crate::loader::error::Result;
use crate::loader::infer::config::{Config, Llama3, Scaling};
use crate::loader::infer::ops::Activation;

/// Merges fields into a configuration; null removes one, and `"null"` makes it null.
fn with(mut config: Value, changes: Value) -> Value {
    let fields = config.as_object_mut().expect("an object");
    for (field, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(fields.remove(field)),
            Value::String(text) if text == "null" => {
                fields.insert(field.clone(), Value::Null);
            }
            value => {
                fields.insert(field.clone(), value.clone());
            }
        }
    }
    config
}

pub(super) fn read(config: Value, changes: Value) -> Result<Config> {
    Config::parse(with(config, changes).to_string().as_bytes())
}

/// The refusal names each of these words.
pub(super) fn refused(config: Value, changes: Value, words: &[&str]) {
    let shown = changes.to_string();
    let Err(error) = read(config, changes) else { panic!("accepted: {shown}") };
    let failure = error.failure();
    assert_eq!(error.code(), Code::InvalidConfig, "{shown}");
    assert!(failure.expected.is_some() && failure.remedy.is_some(), "{failure:?}");
    let said = format!("{} {}", failure.message, failure.actual.as_deref().unwrap_or_default());
    assert!(words.iter().all(|word| said.contains(word)), "{shown}: {said}");
}

pub(super) fn gpt2() -> Value {
    json!({"model_type": "gpt2", "vocab_size": 11, "n_embd": 8, "n_layer": 2, "n_head": 2,
        "n_positions": 32})
}

fn llama(changes: Value) -> Value {
    let own = json!({"model_type": "llama", "use_sliding_window": null});
    with(with(qwen2().config, own), changes)
}

#[test]
fn a_base_counts_wherever_it_stands() {
    let plain = json!({"rope_type": "default", "rope_theta": 50.0});
    let layers = json!(["full_attention", "full_attention"]);
    for changes in [
        json!({"rope_theta": 50}),
        json!({"rope_theta": null, "rope_parameters": plain}),
        json!({"rope_theta": null, "rope_scaling": plain}),
        json!({"rope_theta": null, "rope_scaling": {"rope_theta": 50.0}}),
        json!({"rope_theta": 50.0, "rope_scaling": {}, "rope_parameters": plain}),
        json!({"rope_theta": 50.0, "rope_scaling": "null"}),
        json!({"rope_theta": null, "layer_types": layers,
            "rope_parameters": {"full_attention": plain, "sliding_attention": "null"}}),
        json!({"rope_theta": 50.0, "rope_parameters": {"full_attention": {"type": "default"}}}),
    ] {
        let mut changes = changes;
        if changes["rope_parameters"]["sliding_attention"] == "null" {
            changes["rope_parameters"]["sliding_attention"] = Value::Null;
        }
        let config = read(qwen2().config, changes.clone()).expect("sound");
        let rotary = config.rotary.expect("rotary");
        assert_eq!((rotary.base, rotary.scaling), (50.0, None), "{changes}");
        assert!(config.unread.is_empty(), "{:?}", config.unread);
    }
    let absent = read(qwen2().config, json!({"rope_theta": null})).expect("sound");
    assert_eq!(absent.rotary.map(|rotary| rotary.base), Some(10_000.0));
}

#[test]
fn places_that_contradict_each_other_are_both_named() {
    let plain = |base: f64| json!({"rope_type": "default", "rope_theta": base});
    let linear = |factor: f64| json!({"rope_type": "linear", "factor": factor});
    let places = ["rope_scaling", "rope_parameters"];
    for (changes, words) in [
        (json!({"rope_parameters": plain(7.0)}), ["rope_theta", "rope_parameters.rope_theta"]),
        (json!({"rope_scaling": plain(7.0)}), ["rope_theta", "rope_scaling.rope_theta"]),
        (json!({"rope_scaling": linear(2.0), "rope_parameters": plain(100.0)}), places),
        (json!({"rope_scaling": linear(2.0), "rope_parameters": linear(3.0)}), places),
        (
            json!({"rope_theta": null,
                "rope_parameters": {"full_attention": plain(7.0), "sliding_attention": plain(8.0)}}),
            ["rope_parameters.full_attention", "rope_parameters.sliding_attention"],
        ),
        (
            json!({"rope_scaling": {"rope_type": "default", "type": "linear", "factor": 8.0}}),
            ["rope_scaling.rope_type", "rope_scaling.type"],
        ),
        (json!({"n_embd": 9}), ["hidden_size", "n_embd"]),
        (json!({"num_heads": 5}), ["num_attention_heads", "num_heads"]),
        (json!({"layer_norm_eps": 0.5}), ["rms_norm_eps", "layer_norm_eps"]),
        (json!({"hidden_activation": "relu"}), ["hidden_act", "hidden_activation"]),
    ] {
        refused(qwen2().config, changes, &words);
    }
    // The same twice is no contradiction.
    let same = json!({"n_embd": 8, "num_heads": 4.0, "rms_norm_eps": 1e-5, "norm_eps": 1e-5,
        "hidden_activation": "swish", "rope_parameters": {"rope_theta": 100}});
    assert!(read(qwen2().config, same).is_ok());
    let nomic_twice =
        json!({"n_head": 2, "activation_function": "swiglu", "rotary_emb_base": 1000});
    assert!(read(nomic().config, nomic_twice).is_ok());
}

#[test]
fn scalings_are_served_or_refused_by_name() {
    let llama3 = json!({"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0});
    let scaling =
        |changes: Value| read(qwen2().config, changes).expect("sound").rotary.unwrap().scaling;
    for kind in ["type", "rope_type"] {
        let linear = json!({"rope_scaling": {kind: "linear", "factor": 4.0}});
        assert_eq!(scaling(linear), Some(Scaling::Linear(4.0)));
        // The original length stands in the object, beside it, or is the longest input.
        for (inside, beside, original) in
            [(Some(9), None, 9.0), (None, Some(7), 7.0), (None, None, 32.0)]
        {
            let mut object = with(llama3.clone(), json!({kind: "llama3"}));
            if let Some(it) = inside {
                object["original_max_position_embeddings"] = json!(it);
            }
            let beside = beside.map_or(Value::Null, Value::from);
            let all = json!({"rope_scaling": object, "original_max_position_embeddings": beside});
            let wanted = Llama3 { factor: 8.0, low: 1.0, high: 4.0, original };
            assert_eq!(scaling(all), Some(Scaling::Llama3(wanted)));
        }
        for other in ["yarn", "dynamic", "longrope", "su", "mrope", "proportional"] {
            let object = json!({"rope_scaling": {kind: other, "factor": 4.0}});
            refused(qwen2().config, object, &["rope_scaling.rope_type", other]);
        }
    }
    for (object, words) in [
        (json!({"factor": 8.0}), &["rope_scaling.factor", "rope_scaling.rope_type"][..]),
        (json!({"rope_type": "default", "factor": 8.0}), &["rope_scaling.factor"]),
        (json!({"rope_type": "linear"}), &["rope_scaling.factor"]),
        (json!({"rope_type": "linear", "factor": 0.5}), &["factor 0.5"]),
        (json!({"rope_type": "linear", "factor": 2.0, "mscale": 1.0}), &["rope_scaling.mscale"]),
        (json!({"short_factor": [1.0]}), &["rope_scaling.short_factor"]),
        (json!({"rope_type": 5}), &["rope_scaling.rope_type"]),
        (json!({"rotary_pct": 0.25}), &["rope_scaling.rotary_pct"]),
    ] {
        refused(qwen2().config, json!({"rope_scaling": object}), words);
    }
    let idle = json!({"rope_scaling": {"rope_type": "default", "factor": 1.0,
        "original_max_position_embeddings": 8, "partial_rotary_factor": 1.0}});
    assert_eq!(scaling(idle), None);
    for share in ["rotary_pct", "rotary_emb_fraction", "partial_rotary_factor"] {
        refused(qwen2().config, json!({share: 0.5}), &[share]);
    }
    for field in ["rope_theta", "rope_scaling"] {
        let value = json!({"rope_theta": 50.0, "rope_scaling": {"type": "linear"}})[field].clone();
        refused(bert().config, json!({field: value}), &[field]);
        refused(gpt2(), json!({field: value}), &[field]);
    }
}

#[test]
fn families_read_the_names_that_they_are_published_with() {
    let published = json!({"model_type": "nomic_bert", "vocab_size": 11, "n_embd": 8, "n_head": 2,
        "n_layer": 2, "n_inner": 12, "n_positions": 32, "type_vocab_size": 2, "causal": false,
        "activation_function": "swiglu", "layer_norm_epsilon": 1e-5, "rotary_emb_base": 1000,
        "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": false, "qkv_proj_bias": false,
        "rotary_scaling_factor": null, "prenorm": false, "fused_bias_fc": true});
    let own = read(nomic().config, json!({})).expect("sound");
    assert_eq!(read(published.clone(), json!({})), Ok(own));
    for (changes, word) in [
        (json!({"rotary_emb_base": null}), "rotary_emb_base"),
        (json!({"rotary_emb_fraction": 0.5}), "rotary_emb_fraction"),
        (json!({"rotary_emb_interleaved": true}), "rotary_emb_interleaved"),
        (json!({"rotary_scaling_factor": 2}), "rotary_scaling_factor"),
        (json!({"activation_function": "gelu"}), "activation_function"),
        (json!({"qkv_proj_bias": true}), "qkv_proj_bias"),
        (json!({"prenorm": true}), "prenorm"),
        (json!({"causal": true}), "causal"),
    ] {
        refused(published.clone(), changes, &[word]);
    }
    let padded = read(published, json!({"pad_vocab_size_multiple": 8})).expect("sound");
    assert_eq!(padded.vocabulary, 16);
    let names = json!({"n_embd": null, "hidden_size": 8, "n_layer": null, "num_hidden_layers": 2,
        "n_head": null, "num_attention_heads": 2, "n_positions": null,
        "max_position_embeddings": 32});
    assert_eq!(read(gpt2(), names), read(gpt2(), json!({})));
    // Without a base of its own, a file in the form of transformers has the base of transformers.
    let base = read(nomic().config, json!({"rope_parameters": null})).expect("sound").rotary;
    assert_eq!(base.map(|rotary| rotary.base), Some(1000.0));
    for (config, changes, words) in [
        (gpt2(), json!({"intermediate_size": 5}), ["n_inner", "intermediate_size"]),
        (gpt2(), json!({"layer_norm_eps": 0.5}), ["layer_norm_epsilon", "layer_norm_eps"]),
        (
            llama(json!({"rms_norm_eps": null})),
            json!({"norm_eps": 0.1}),
            ["rms_norm_eps", "norm_eps"],
        ),
        (
            llama(json!({"rope_theta": null})),
            json!({"rotary_emb_base": 9}),
            ["rope_theta", "rotary_emb_base"],
        ),
        (bert().config, json!({"hidden_size": null, "d_model": 8}), ["hidden_size", "d_model"]),
    ] {
        refused(config, changes, &words);
    }
}

#[test]
fn activations_have_several_names() {
    for (name, wanted) in [
        ("gelu", Activation::Gelu),
        ("gelu_python", Activation::Gelu),
        ("gelu_new", Activation::GeluTanh),
        ("gelu_fast", Activation::GeluTanh),
        ("gelu_accurate", Activation::GeluTanh),
        ("gelu_pytorch_tanh", Activation::GeluTanh),
        ("swish", Activation::Silu),
        ("relu", Activation::Relu),
    ] {
        let config = read(qwen2().config, json!({"hidden_act": name})).expect("sound");
        assert_eq!(config.activation, wanted, "{name}");
    }
    for name in ["quick_gelu", "gelu_10", "relu2", "swiglu"] {
        refused(qwen2().config, json!({"hidden_act": name}), &["hidden_act", name]);
    }
}

#[test]
fn windows_are_those_of_all_layers_or_of_none() {
    let mistral = |changes: Value| with(llama(json!({"model_type": "mistral"})), changes);
    let (full, slides) = ("full_attention", "sliding_attention");
    for (config, changes, wanted) in [
        (qwen2().config, json!({"sliding_window": 5, "max_window_layers": 1}), None),
        (
            qwen2().config,
            json!({"use_sliding_window": true, "sliding_window": 5, "max_window_layers": 2}),
            None,
        ),
        (
            qwen2().config,
            json!({"use_sliding_window": true, "sliding_window": 5, "max_window_layers": 0}),
            Some(5),
        ),
        (qwen2().config, json!({"layer_types": [full, full], "sliding_window": 5}), None),
        (
            qwen2().config,
            json!({"layer_types": [slides, slides], "sliding_window": 5, "use_sliding_window": true}),
            Some(5),
        ),
        (mistral(json!({})), json!({"sliding_window": "null"}), None),
        (mistral(json!({})), json!({}), Some(4096)),
        (
            mistral(json!({})),
            json!({"sliding_window": 5, "layer_types": [slides, slides]}),
            Some(5),
        ),
        (mistral(json!({})), json!({"sliding_window": "null", "layer_types": [full, full]}), None),
        (llama(json!({})), json!({"sliding_window": 4096}), None),
    ] {
        let shown = changes.to_string();
        assert_eq!(read(config, changes).expect("sound").window, wanted, "{shown}");
    }
    for (config, changes, word) in [
        (
            qwen2().config,
            json!({"use_sliding_window": true, "sliding_window": 5, "max_window_layers": 1}),
            "max_window_layers",
        ),
        (
            qwen2().config,
            json!({"layer_types": [full, slides], "sliding_window": 5, "use_sliding_window": true}),
            "layer_types",
        ),
        (
            qwen2().config,
            json!({"layer_types": [slides, slides], "sliding_window": 5}),
            "layer_types",
        ),
        (qwen2().config, json!({"layer_types": [full]}), "layer_types"),
        (qwen2().config, json!({"layer_types": [full, "mamba"]}), "layer_types"),
        (
            mistral(json!({})),
            json!({"sliding_window": 5, "layer_types": [full, full]}),
            "layer_types",
        ),
        (
            mistral(json!({})),
            json!({"sliding_window": 5, "use_sliding_window": false}),
            "use_sliding_window",
        ),
        (llama(json!({})), json!({"sliding_window": 5}), "sliding_window"),
    ] {
        refused(config, changes, &[word]);
    }
}

#[test]
fn tokens_may_be_one_several_or_none() {
    for (eos, wanted) in [
        (json!(3), vec![3]),
        (json!([3, 1]), vec![3, 1]),
        (json!(-1), vec![]),
        (json!([-1, 4]), vec![4]),
        (json!([]), vec![]),
        (json!("null"), vec![]),
    ] {
        let config = read(qwen2().config, json!({"eos_token_id": eos, "pad_token_id": -1}));
        let config = config.expect("sound");
        assert_eq!((config.ends, config.padding), (wanted, 0));
    }
    for (field, value) in [
        ("eos_token_id", json!(11)),
        ("eos_token_id", json!([3, 11])),
        ("eos_token_id", json!("3")),
        ("eos_token_id", json!(-2)),
        ("pad_token_id", json!(11)),
        ("pad_token_id", json!([1])),
    ] {
        refused(qwen2().config, json!({field: value}), &[field]);
    }
}

#[test]
fn key_heads_and_head_sizes_have_the_defaults_of_their_family() {
    let absent = json!({"num_key_value_heads": null, "head_dim": null});
    let null = json!({"num_key_value_heads": "null", "head_dim": "null"});
    let plain = llama(json!({"num_attention_heads": 2}));
    for changes in [&absent, &null] {
        let config = read(plain.clone(), changes.clone()).expect("sound");
        assert_eq!((config.key_heads, config.head_size), (2, 4));
    }
    let mistral =
        with(plain, json!({"model_type": "mistral", "num_attention_heads": 16, "head_dim": 4}));
    let eight = read(mistral, json!({"num_key_value_heads": null})).expect("sound");
    assert_eq!(eight.key_heads, 8);
    let qwen3 = with(qwen2().config, json!({"model_type": "qwen3"}));
    assert_eq!(read(qwen3.clone(), json!({"head_dim": null})).expect("sound").head_size, 128);
    refused(qwen3, json!({"head_dim": "null"}), &["head_dim"]);
    refused(bert().config, json!({"num_key_value_heads": 1}), &["num_key_value_heads"]);
}

#[test]
fn fields_that_change_results_are_refused_and_unknown_ones_told() {
    for (field, value) in [
        ("attn_logit_softcapping", json!(30.0)),
        ("final_logit_softcapping", json!(30.0)),
        ("logit_scale", json!(0.0625)),
        ("embedding_multiplier", json!(12.0)),
        ("residual_multiplier", json!(0.22)),
        ("attention_multiplier", json!(0.01)),
        ("clip_qkv", json!(8.0)),
        ("qkv_bias", json!(false)),
        ("attention_bias", json!(false)),
        ("mlp_bias", json!(true)),
        ("quantization_config", json!({"quant_method": "gptq"})),
        ("is_causal", json!(false)),
        ("position_embedding_type", json!("alibi")),
        ("num_experts", json!(8)),
    ] {
        refused(qwen2().config, json!({field: value}), &[field]);
    }
    for (field, value) in [
        ("is_decoder", json!(true)),
        ("is_causal", json!(true)),
        ("position_embedding_type", json!("relative_key")),
    ] {
        refused(bert().config, json!({field: value}), &[field]);
    }
    let idle = json!({"attn_logit_softcapping": "null", "logit_scale": 1, "clip_qkv": 0.0,
        "mlp_bias": false, "num_experts": 0, "use_mrope": false, "rope_interleaved": false,
        "torch_dtype": "float16", "attention_dropout": 0.5, "_attn_implementation": "sdpa",
        "transformers_version": "4.34.0", "repetition_penalty": 1.0});
    assert!(read(qwen2().config, idle).expect("sound").unread.is_empty());
    let told = json!({"flavour": "sweet", "num_beams": 4, "repetition_penalty": 1.5});
    let told = read(qwen2().config, told).expect("sound");
    assert_eq!(told.unread, ["flavour", "num_beams"]);
    assert_eq!(told.settings.penalty, Some(1.5));
}
