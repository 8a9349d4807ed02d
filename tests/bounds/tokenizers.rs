//! Tokenizers that would take all memory, or never end.

use serde_json::{Value, json};
use weighbridge::contract::Code;
use weighbridge::loader::infer::config::Config;
use weighbridge::loader::infer::tokenizer::Tokens;

use crate::bounded;

fn config() -> Config {
    let config = json!({
        "model_type": "qwen2", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "intermediate_size": 16, "vocab_size": 300, "hidden_act": "silu",
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "tie_word_embeddings": true, "eos_token_id": 0,
    });
    Config::parse(config.to_string().as_bytes()).expect("a configuration")
}

/// A small tokenizer of words, with other values for some fields.
fn with(fields: &[(&str, Value)]) -> Vec<u8> {
    let mut document = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"<unk>": 0, "a": 1, "b": 2}, "unk_token": "<unk>"},
    });
    for (name, value) in fields {
        match name.split_once('.') {
            Some((outer, inner)) => document[outer][inner] = value.clone(),
            None => document[*name] = value.clone(),
        }
    }
    document.to_string().into_bytes()
}

fn split(expression: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": false})
}

fn replace(pattern: &str, content: &str) -> Value {
    json!({"type": "Replace", "pattern": {"String": pattern}, "content": content})
}

#[test]
fn a_tokenizer_without_bound_is_refused() {
    let doubling: Vec<Value> = (0..40).map(|_| replace("a", "aa")).collect();
    let many: Vec<Value> = (0..300).map(|at| split(&format!(r"(?=a)\w{{90}}{at}"))).collect();
    let mut deep = json!({"type": "Lowercase"});
    for _ in 0..110 {
        deep = json!({"type": "Sequence", "normalizers": [deep]});
    }
    let mut objects = with(&[]);
    objects.pop();
    objects.extend(format!(",\"x\":[{}0]}}", "{\"\":0},".repeat(2_000_000)).into_bytes());
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("tries for years", with(&[("pre_tokenizer", split("(?=a)(a|a)*b"))])),
        ("tries in a look ahead", with(&[("pre_tokenizer", split(r"x(?=.*.*.*y)"))])),
        ("counted", with(&[("pre_tokenizer", split(r"(?=a)(?:\w{1000}){1000}"))])),
        (
            "counted one by one",
            with(&[("pre_tokenizer", json!({"type": "Sequence", "pretokenizers": many}))]),
        ),
        ("a long expression", with(&[("pre_tokenizer", split(&"a".repeat(100_000)))])),
        (
            "doubled texts",
            with(&[("normalizer", json!({"type": "Sequence", "normalizers": doubling}))]),
        ),
        ("a long replacement", with(&[("normalizer", replace("a", &"b".repeat(1_000_000)))])),
        (
            "a long prefix",
            with(&[("normalizer", json!({"type": "Prepend", "prepend": "b".repeat(1_000_000)}))]),
        ),
        ("a long decoder", with(&[("decoder", replace("a", &"b".repeat(1_000_000)))])),
        ("a long token", with(&[("model.vocab", json!({"<unk>": 0, "x".repeat(1_000_000): 1}))])),
        (
            "a long added token",
            with(&[(
                "added_tokens",
                json!([{"id": 1, "content": "x".repeat(1_000_000), "special": true, "single_word": false,
                    "lstrip": false, "rstrip": false, "normalized": false}]),
            )]),
        ),
        (
            "a long pad token",
            with(&[(
                "padding",
                json!({"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": null,
                   "pad_id": 0, "pad_type_id": 0, "pad_token": "x".repeat(1_000_000)}),
            )]),
        ),
        (
            "dropout",
            with(&[(
                "model",
                json!({
                    "type": "BPE", "dropout": 0.5, "vocab": {"a": 0, "b": 1}, "merges": [],
                }),
            )]),
        ),
        (
            "long words",
            with(&[(
                "model",
                json!({
                    "type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##",
                    "max_input_chars_per_word": 4_000_000_000_u64, "vocab": {"<unk>": 0, "a": 1},
                }),
            )]),
        ),
        ("no length", with(&[("pre_tokenizer", json!({"type": "FixedLength", "length": 0}))])),
        (
            "a step without its type",
            with(&[(
                "normalizer",
                json!({"pattern": {"String": "a"}, "content": "b".repeat(1_000_000)}),
            )]),
        ),
        ("nested", with(&[("normalizer", deep)])),
        ("many objects", objects),
        ("brackets", "[".repeat(60_000_000).into_bytes()),
        ("a long file", " ".repeat(70_000_000).into_bytes()),
    ];
    let config = config();
    for (name, text) in rows {
        let refused = bounded(name, || Tokens::parse(&text, &config).map(|_| ()));
        let failure = refused.expect_err(name).failure().clone();
        assert_eq!(failure.code, Code::InvalidTokenizer, "{name}: {failure:?}");
        assert!(failure.expected.is_some() && failure.remedy.is_some(), "{name}: {failure:?}");
    }
    assert!(Tokens::parse(&with(&[]), &config).is_ok(), "the tokenizer itself is sound");
}

#[test]
fn a_field_that_stands_twice_hides_nothing() {
    let sound = String::from_utf8(with(&[])).expect("text");
    let twice = sound.replacen(
        "\"normalizer\":null",
        &format!("\"normalizer\":null,\"normalizer\":{}", replace("a", &"b".repeat(100_000))),
        1,
    );
    assert_ne!(sound, twice);
    assert!(Tokens::parse(twice.as_bytes(), &config()).is_err());
}

#[test]
fn a_text_that_is_too_long_is_refused() {
    let tokens = Tokens::parse(&with(&[]), &config()).expect("sound");
    let text = "a ".repeat(20_000_000);
    let refused = bounded("a long text", || tokens.plain(&text).map(|ids| ids.len()));
    assert_eq!(refused.expect_err("refused").code(), Code::InvalidInput);
    let many = vec!["a ".repeat(1_000_000); 20];
    let refused = bounded("long texts", || tokens.batch(&many).map(|_| ()));
    assert_eq!(refused.expect_err("refused").code(), Code::InvalidInput);
    let most = "a ".repeat(2_000_000);
    let ids = bounded("a text at the bound", || tokens.plain(&most).map(|ids| ids.len()));
    assert_eq!(ids.expect("tokens"), 2_000_000);
}
