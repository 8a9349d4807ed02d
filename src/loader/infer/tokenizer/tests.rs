//! Tests of the tokenizer's faults: what the library refuses, and what makes it panic.

use serde_json::{Value, json};

use super::*;
use crate::contract::Code;

fn config() -> Config {
    let config = json!({
        "model_type": "qwen2", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "intermediate_size": 16, "vocab_size": 300, "hidden_act": "silu",
        "max_position_embeddings": 16, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "tie_word_embeddings": true, "eos_token_id": 0,
    });
    Config::parse(config.to_string().as_bytes()).expect("a configuration")
}

/// A tokenizer of words with these fields.
fn words(more: &Value) -> Result<Tokens> {
    let mut document = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"<unk>": 0, "a": 1, "b": 2}, "unk_token": "<unk>"},
    });
    let more = more.as_object().expect("fields").clone();
    document.as_object_mut().expect("an object").extend(more);
    Tokens::parse(document.to_string().as_bytes(), &config())
}

fn remedy<T: std::fmt::Debug>(result: Result<T>) -> (Code, String) {
    let failure = result.expect_err("a fault").failure().clone();
    (failure.code, failure.remedy.unwrap_or_default())
}

#[test]
fn a_text_without_tokens_is_refused() {
    let sound = words(&json!({})).expect("sound");
    assert_eq!(sound.plain("a c b").expect("tokens"), [1, 0, 2]);
    assert_eq!(sound.text(&[1, 2]).expect("a text"), "a b");
    let lacking = json!({"model": {"type": "WordLevel", "vocab": {"a": 1}, "unk_token": "<unk>"}});
    let lacking = words(&lacking).expect("read");
    let wanted = (TEXT_NOT_TOKENIZED.code, TEXT_NOT_TOKENIZED.text.to_owned());
    assert_eq!(remedy(lacking.plain("c")), wanted);
    assert_eq!(remedy(lacking.batch(&["a".to_owned(), "c".to_owned()]).map(drop)), wanted);
}

/// The library cuts more of a token than it has.
#[test]
fn a_panic_of_the_library_is_a_fault_of_the_tokenizer() {
    let strip = json!({"decoder": {"type": "Strip", "content": "a", "start": 1, "stop": 1}});
    let tokens = words(&strip).expect("read");
    let error = tokens.text(&[1]).expect_err("a panic");
    let failure = error.failure();
    assert_eq!(failure.remedy.as_deref(), Some(TOKENS_WITHOUT_TEXT.text));
    assert_eq!(failure.actual.as_deref(), Some("the tokenizer library panicked"));
    assert_eq!(tokens.text(&[2]).expect("a text"), "b");
}

#[test]
fn a_token_of_the_vocabulary_has_a_longest_length() {
    let vocab = |length: usize| {
        json!({"model": {
            "type": "WordLevel", "unk_token": "<unk>", "vocab": {"<unk>": 0, "x".repeat(length): 1},
        }})
    };
    words(&vocab(2048)).expect("the longest");
    let error = words(&vocab(2049)).expect_err("longer");
    let failure = error.failure();
    assert_eq!(failure.remedy.as_deref(), Some(TOKENIZER_UNBOUNDED.text));
    assert_eq!(failure.expected.as_deref(), Some("tokens of at most 2048 bytes"));
    assert_eq!(failure.actual.as_deref(), Some("2049 bytes"));
}

#[test]
fn added_tokens_are_known() {
    let token = json!({"id": 3, "content": "<x>", "special": true, "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": false});
    let tokens = words(&json!({"added_tokens": [token]})).expect("read");
    assert!(tokens.adds("<x>"));
    assert!(!tokens.adds("a"), "a word of the vocabulary is not added");
    assert_eq!(tokens.plain("a<x>b").expect("tokens"), [1, 3, 2]);
}
