//! Tests of how much longer the steps of a tokenizer can make a text, and of each bound with its numbers.

use serde_json::json;

use super::*;

/// What a document with these parts may take.
fn of(document: &Value) -> Result<usize, Beyond> {
    check(&read(document.to_string().as_bytes()).expect("a document"))
}

#[test]
fn steps_multiply_how_long_a_text_becomes() {
    // A table of SentencePiece: a tree of four bytes, then the texts `ab` and `cdef`.
    let charsmap = "BAAAAP/+++9hYgBjZGVmAA==";
    let kind = |name: &str| json!({"type": name});
    let replace = |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
    let rows = [
        (json!({}), 1),
        (json!({"normalizer": null, "pre_tokenizer": null}), 1),
        // An expression may match before every letter as well.
        (json!({"normalizer": replace(json!({"Regex": "a"}), "bb")}), 3),
        (json!({"normalizer": replace(json!({"String": "ab"}), "ccccc")}), 3),
        (json!({"normalizer": replace(json!({"String": "abc"}), "")}), 1),
        (json!({"normalizer": replace(json!({"String": ""}), "cc")}), 2),
        (json!({"normalizer": {"type": "Prepend", "prepend": "abc"}}), 4),
        (json!({"pre_tokenizer": {"type": "Metaspace", "replacement": "\u{2581}"}}), 4),
        (json!({"normalizer": kind("NFKC"), "pre_tokenizer": kind("ByteLevel")}), 22),
        (
            json!({
                "normalizer": {"type": "Sequence", "normalizers": [kind("NFC"), kind("Lowercase")]},
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": [kind("Whitespace")]},
            }),
            9,
        ),
        (json!({"normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap}}), 4),
        (json!({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAA"}}), 1),
        (json!({"normalizer": {"type": "Precompiled"}}), 1),
        (json!({"normalizer": {"type": "Prepend", "prepend": "x".repeat(1023)}}), 1024),
        // What stands behind the model makes no text longer before it.
        (json!({"decoder": {"type": "WordPiece", "prefix": "x".repeat(63)}}), 1),
        (json!({"added_tokens": [{"content": "x".repeat(2048)}]}), 1),
        (json!({"model": {"dropout": 0.0, "max_input_chars_per_word": 1000}}), 1),
        (json!({"pre_tokenizer": {"type": "FixedLength", "length": 1}}), 1),
    ];
    for (document, growth) in rows {
        assert_eq!(of(&document), Ok(growth), "{document}");
    }
}

#[test]
fn each_bound_tells_what_is_allowed_and_what_was_found() {
    let long = "x".repeat(2049);
    let many: Vec<Value> = (0..2049).map(|_| json!({"content": &long[..2048]})).collect();
    let steps: Vec<Value> = (0..64).map(|_| json!({"type": "Strip"})).collect();
    let ctc = json!({"type": "CTC", "pad_token": "x".repeat(60), "word_delimiter_token": "||||"});
    let rows = [
        (
            json!({"added_tokens": [{"content": long}]}),
            "tokens of at most 2048 bytes",
            "2049 bytes",
        ),
        (json!({"added_tokens": many}), "added tokens of at most 4194304 bytes", "4196352 bytes"),
        (json!({"padding": {"pad_token": long}}), "a pad token of at most 2048 bytes", "2049"),
        (
            json!({"model": {"dropout": 0.5}}),
            "no dropout, which gives other tokens each time",
            "0.5",
        ),
        (
            json!({"model": {"max_input_chars_per_word": 1001}}),
            "max_input_chars_per_word of at most 1000",
            "1001",
        ),
        (
            json!({"normalizer": {"type": "Sequence", "normalizers": steps}}),
            "at most 64 steps",
            "more",
        ),
        (
            json!({"normalizer": {"content": "x"}}),
            "steps that tell their type",
            r#"{"content":"x"}"#,
        ),
        (
            json!({"pre_tokenizer": {"type": "FixedLength", "length": 0}}),
            "pieces of a length",
            "FixedLength 0",
        ),
        (
            json!({"normalizer": {"type": "Prepend", "prepend": "x".repeat(1024)}}),
            "steps before the model that make a text at most 1024 times as long",
            "1025 times",
        ),
        (
            json!({"decoder": ctc}),
            "steps of the decoder that make a text at most 64 times as long",
            "65 times",
        ),
    ];
    for (document, allowed, found) in rows {
        assert_eq!(of(&document), Err((allowed.to_owned(), found.to_owned())), "{allowed}");
    }
    let split = json!({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+b"}}});
    of(&split).expect_err("an expression that tries for years");
}

#[test]
fn a_document_is_measured_before_it_is_read() {
    assert_eq!(measure(b"{\"model\": {}}"), Ok(()));
    let (allowed, _) = measure("[".repeat(100_000).as_bytes()).expect_err("too deep");
    assert_eq!(allowed, "a document whose values take less memory, and nest less deep");
}
