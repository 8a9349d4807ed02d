//! Tests of null, and of values that stand for none, where a model needs a number.

use serde_json::json;

use super::spelling::{gpt2, read, refused};
use super::{bert, nomic, qwen2};

#[test]
fn null_stands_for_no_number_and_no_flag() {
    for field in [
        "rms_norm_eps",
        "rope_theta",
        "intermediate_size",
        "hidden_act",
        "max_window_layers",
        "tie_word_embeddings",
        "use_sliding_window",
    ] {
        refused(qwen2().config, json!({field: "null"}), &[field]);
    }
    refused(gpt2(), json!({"layer_norm_epsilon": "null"}), &["layer_norm_epsilon"]);
    refused(bert().config, json!({"layer_norm_eps": "null"}), &["layer_norm_eps"]);
    let mistral = json!({"model_type": "mistral", "num_key_value_heads": "null"});
    refused(qwen2().config, mistral, &["num_key_value_heads"]);
    assert_eq!(read(gpt2(), json!({"n_inner": "null"})).expect("sound").inner, 32);
}

#[test]
fn a_roberta_counts_positions_from_a_padding_token_alone() {
    for padding in [json!(-1), json!("null")] {
        let changes = json!({"model_type": "roberta", "pad_token_id": padding});
        refused(bert().config, changes, &["pad_token_id"]);
    }
    refused(nomic().config, json!({"scale_attn_weights": false}), &["scale_attn_weights"]);
}
