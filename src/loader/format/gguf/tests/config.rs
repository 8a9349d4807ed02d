//! Tests the `config.json` that is made of the metadata.

use serde_json::json;

use super::{Stored, check, flag, llama, number, refused, signed, signeds, text, whole, with};
use crate::contract::Code;

#[test]
fn sizes_are_those_of_the_metadata_and_the_rest_has_its_defaults() {
    assert_eq!(
        llama().config(),
        json!({
            "model_type": "llama", "vocab_size": 5, "hidden_size": 8, "num_hidden_layers": 1,
            "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 4,
            "intermediate_size": 12, "max_position_embeddings": 32, "rms_norm_eps": 0.5,
            "rope_theta": 10_000.0, "hidden_act": "silu", "attention_bias": false,
            "mlp_bias": false, "tie_word_embeddings": true,
        })
    );
    let told = with("llama.attention.key_length", whole(6))
        .and("llama.attention.head_count_kv", whole(1))
        .and("llama.rope.freq_base", number(500.0))
        .and("llama.vocab_size", whole(5))
        .and("llama.expert_count", whole(0))
        .and("llama.attention.causal", flag(true))
        .and("llama.rope.scaling.type", text("none"))
        .and("tokenizer.ggml.padding_token_id", whole(4))
        .and("tokenizer.ggml.eos_token_id", whole(2))
        .and("tokenizer.ggml.eot_token_id", whole(2))
        .and("tokenizer.ggml.eom_token_id", whole(3))
        .config();
    assert_eq!((&told["head_dim"], &told["num_key_value_heads"]), (&json!(6), &json!(1)));
    assert_eq!((&told["rope_theta"], &told["pad_token_id"]), (&json!(500.0), &json!(4)));
    assert_eq!(told["eos_token_id"], json!([2, 3]), "each token once");
}

#[test]
fn names_of_tensors_say_what_the_metadata_does_not() {
    let mut file = llama();
    for name in ["output.weight", "blk.0.attn_q.bias", "blk.0.ffn_gate.bias"] {
        file.tensors.push((name.to_owned(), vec![8], 0, file.data as u64));
        file.data += 32;
    }
    let config = file.config();
    assert_eq!(config["tie_word_embeddings"], false);
    assert_eq!((&config["attention_bias"], &config["mlp_bias"]), (&json!(true), &json!(true)));
    let mut file = llama();
    file.tensors.clear();
    file.data = 0;
    let config = file.config();
    assert!(config.get("vocab_size").is_none(), "no words, no size: {config}");
}

#[test]
fn a_window_makes_a_mistral_of_a_llama_and_nothing_of_others() {
    let key = "llama.attention.sliding_window";
    let config = with(key, whole(16)).config();
    assert_eq!((&config["model_type"], &config["sliding_window"]), (&json!("mistral"), &json!(16)));
    let config = with(key, whole(0)).config();
    assert_eq!(config["model_type"], "llama");
    assert!(config.get("sliding_window").is_none());
    let error = refused(&with(key, whole(16)).of_family("qwen2"), "a window");
    check(&error, (Code::InvalidConfig, "none", "16"), "a window");
}

#[test]
fn positions_are_scaled_by_one_factor() {
    let (new, old) = ("llama.rope.scaling.factor", "llama.rope.scale_linear");
    let scaled = |factor: f64| json!({"rope_type": "linear", "factor": factor});
    for (file, wanted) in [
        (with(new, number(2.0)), Some(scaled(2.0))),
        (with(new, number(2.0)).and("llama.rope.scaling.type", text("linear")), Some(scaled(2.0))),
        (with(old, number(4.0)), Some(scaled(4.0))),
        (with(old, number(4.0)).and(new, number(4.0)), Some(scaled(4.0))),
        (with(old, number(4.0)).and(new, number(0.0)), Some(scaled(4.0))),
        (with(new, number(1.0)), None),
        (with(new, number(0.0)).and("llama.rope.scaling.type", text("none")), None),
    ] {
        assert_eq!(file.config().get("rope_scaling").cloned(), wanted);
    }
    let both = "llama.rope.scaling.factor = 2 and llama.rope.scale_linear = 4";
    let error = refused(&with(new, number(2.0)).and(old, number(4.0)), both);
    check(&error, (Code::InvalidConfig, "one factor", both), both);
    let none = with(new, number(2.0)).and("llama.rope.scaling.type", text("none"));
    let wanted = (Code::InvalidConfig, "a factor of 1, or the type linear", "2");
    check(&refused(&none, "a factor"), wanted, "a factor beside none");
}

#[test]
fn settings_that_are_missing_or_not_served_are_refused() {
    let (above, none) = ("a whole number above zero", "none");
    let cases: [(&str, Option<Stored>, &str, &str); 17] = [
        ("block_count", None, above, "none"),
        ("block_count", Some(whole(0)), above, "0"),
        ("attention.head_count", None, above, "none"),
        ("attention.head_count", Some(signeds(&[2, 2])), "1 numbers", "2"),
        ("feed_forward_length", None, above, "none"),
        ("embedding_length", Some(whole(0)), above, "0"),
        ("context_length", None, above, "none"),
        ("attention.head_count", Some(whole(3)), "a divisor of 8", "3"),
        ("attention.value_length", Some(whole(8)), "4", "8"),
        ("rope.dimension_count", Some(whole(2)), "4", "2"),
        ("expert_count", Some(whole(8)), "0", "8"),
        ("expert_used_count", Some(whole(2)), "0", "2"),
        ("vocab_size", Some(whole(6)), "5", "6"),
        ("rope.scaling.type", Some(text("yarn")), none, "\"yarn\""),
        ("attention.causal", Some(flag(false)), none, "false"),
        (
            "tensor_data_layout",
            Some(text("Meta AI original pth")),
            none,
            "\"Meta AI original pth\"",
        ),
        (
            "attention.layer_norm_rms_epsilon",
            None,
            "llama.attention.layer_norm_rms_epsilon",
            "none",
        ),
    ];
    for (part, value, expected, actual) in cases {
        let key = format!("llama.{part}");
        let mut file = match value {
            Some(value) => with(&key, value),
            None => llama().without(&key),
        };
        // Queries of three heads would have other rows.
        file.tensors.truncate(1);
        file.data = 160;
        check(&refused(&file, &key), (Code::InvalidConfig, expected, actual), &key);
    }
    let strange = with("llama.logit_scale", number(2.0));
    let wanted = (Code::InvalidConfig, "the keys of a plain decoder", "\"llama.logit_scale\"");
    check(&refused(&strange, "a key"), wanted, "a key that is not known");
    let families = "general.architecture: one of llama, qwen2, qwen3";
    for (file, found) in [
        (llama().without("general.architecture"), "none"),
        (with("general.architecture", text("mamba")), "\"mamba\""),
    ] {
        check(&refused(&file, found), (Code::UnknownArchitecture, families, found), found);
    }
}

#[test]
fn layers_that_differ_are_refused_with_the_first_sizes() {
    let file = |sizes: &[i32]| {
        with("llama.block_count", whole(sizes.len() as u32))
            .and("llama.feed_forward_length", signeds(sizes))
    };
    assert_eq!(file(&[12, 12, 12]).config()["intermediate_size"], 12);
    for (sizes, shown) in [(&[12, 12, 13][..], "12, 13"), (&[1, 2, 3, 4, 5, 6], "1, 2, 3, 4, ...")]
    {
        let error = refused(&file(sizes), shown);
        check(&error, (Code::InvalidConfig, "one number", shown), shown);
        let remedy = error.failure().remedy.clone().unwrap_or_default();
        assert!(remedy.contains("\"llama.feed_forward_length\" that differs"), "{remedy}");
    }
    let wanted = (Code::InvalidField, "whole numbers, 0 or more", "another value or type");
    check(&refused(&file(&[-1]), "a size"), wanted, "a size below zero");
    let error = refused(&with("llama.vocab_size", signed(-5)), "a size");
    let wanted = (Code::InvalidField, "a whole number, 0 or more", "another value or type");
    check(&error, wanted, "a size below zero");
}
