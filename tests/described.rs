//! The judge's reading of published configurations, compared with what the transformers library reads
//! from the same files (`fixtures/published/described.py`).

use serde_json::{Value, json};
use weighbridge::harness::model::Architecture;
use weighbridge::harness::model::described::Described;

static GOLDEN: &str = include_str!("../fixtures/published/described.json");

fn rows() -> Vec<Value> {
    let golden: Value = serde_json::from_str(GOLDEN).expect("JSON");
    golden["rows"].as_array().expect("rows").clone()
}

fn of(config: &Value) -> Described {
    Described::of(config).unwrap_or_else(|why| panic!("{config}: {why}"))
}

/// What the judge's reading says, in the words of the script.
fn facts(config: &Value) -> Value {
    let described = of(config);
    let (recipe, read) = (&described.recipe, described.config());
    let sizes = &recipe.sizes;
    let gpt2 = recipe.architecture == Architecture::Gpt2;
    let window = &read["sliding_window"];
    let windows: Vec<Value> = (0..sizes.layers)
        .map(|layer| match read["layer_types"].get(layer) {
            Some(kind) if kind != "sliding_attention" => Value::Null,
            _ => window.clone(),
        })
        .collect();
    let mut facts = json!({
        "hidden": sizes.hidden,
        "layers": sizes.layers,
        "heads": sizes.heads,
        "key_heads": sizes.key_heads(),
        "head_size": sizes.head_size(),
        "inner": sizes.inner,
        "vocabulary": sizes.vocabulary,
        "positions": sizes.positions,
        "epsilon": sizes.epsilon,
        "activation": read[if gpt2 { "activation_function" } else { "hidden_act" }],
        "tied": read["tie_word_embeddings"],
        "rotary": read["rope_parameters"],
        "windows": windows,
        "biased": recipe.decoder.biased,
        "types": sizes.types,
    });
    if config.get("eos_token_id").is_some() {
        facts["ends"] = read["eos_token_id"].clone();
    }
    facts
}

/// Numbers as floats, because 1 and 1.0 are the same.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(all) => all.iter().map(plain).collect(),
        Value::Object(all) => {
            Value::Object(all.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        other => other.clone(),
    }
}

#[test]
fn the_judge_reads_published_configurations_as_transformers_does() {
    let rows = rows();
    assert!(rows.len() > 20, "{}", rows.len());
    for row in rows {
        let (own, theirs) = (facts(&row["config"]), &row["reads"]);
        for (name, value) in theirs.as_object().expect("facts") {
            assert_eq!(plain(&own[name]), plain(value), "{}: {name}", row["name"]);
        }
    }
}

/// NomicBERT's published spelling says what today's says.
#[test]
fn nomic_bert_in_its_published_spelling() {
    let today = json!({
        "model_type": "nomic_bert", "hidden_size": 48, "num_hidden_layers": 2, "vocab_size": 90,
        "num_attention_heads": 4, "intermediate_size": 72, "max_position_embeddings": 64,
        "hidden_act": "silu", "layer_norm_eps": 0.02, "type_vocab_size": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 333.0},
    });
    let published = json!({
        "model_type": "nomic_bert", "n_embd": 48, "n_layer": 2, "n_head": 4, "n_inner": 72,
        "n_positions": 64, "activation_function": "swiglu", "layer_norm_epsilon": 0.02,
        "rotary_emb_base": 333, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": false,
        "rotary_emb_scale_base": null, "rotary_scaling_factor": null, "type_vocab_size": 2,
        "qkv_proj_bias": false, "mlp_fc1_bias": false, "mlp_fc2_bias": false, "prenorm": false,
        "causal": false, "use_rms_norm": false, "parallel_block": false, "vocab_size": 90,
    });
    let (today, mut published) = (facts(&today), facts(&published));
    assert_eq!(published["activation"], "swiglu", "the oracle's silu");
    published["activation"] = json!("silu");
    assert_eq!(plain(&today), plain(&published));
}

#[test]
fn what_cannot_be_described_is_named() {
    let refused = [
        (json!({"model_type": "mamba"}), "mamba"),
        (json!({}), "model_type"),
        (json!([]), "not a JSON object"),
        (json!({"model_type": "llama", "hidden_act": "xielu"}), "xielu"),
        (json!({"model_type": "llama", "rope_scaling": {"type": "yarn", "factor": 4.0}}), "yarn"),
        (json!({"model_type": "llama", "rope_scaling": {"rope_type": "linear"}}), "factor"),
        (
            json!({"model_type": "llama", "rope_theta": 10.0, "rope_parameters": {"rope_theta": 20.0}}),
            "at top level",
        ),
        (json!({"model_type": "phi3", "partial_rotary_factor": 0.75}), "partial_rotary_factor"),
        (json!({"model_type": "llama", "quantization_config": {"bits": 4}}), "quantization_config"),
        (json!({"model_type": "gpt2", "n_embd": 48, "hidden_size": 40}), "n_embd"),
        (json!({"model_type": "gpt2", "scale_attn_by_inverse_layer_idx": true}), "inverse"),
        (json!({"model_type": "bert", "position_embedding_type": "relative_key"}), "relative_key"),
        (json!({"model_type": "bert", "is_decoder": true}), "is_decoder"),
        (json!({"model_type": "llama", "hidden_size": "576"}), "hidden_size"),
        (json!({"model_type": "llama", "eos_token_id": "</s>"}), "eos_token_id"),
        (
            json!({"model_type": "qwen2", "use_sliding_window": true, "layer_types": ["full_attention"]}),
            "layer_types",
        ),
    ];
    for (config, part) in refused {
        let why = Described::of(&config).expect_err(&config.to_string());
        assert!(why.contains(part), "{config}: {why}");
    }
}
