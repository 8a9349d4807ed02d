//! Tests tokenizer and template.

use serde_json::{Value, json};

use super::{File, Stored, check, flag, llama, number, numbers, refused, signed, signeds, text};
use super::{texts, whole, with};
use crate::contract::Code;

/// A SentencePiece vocabulary: unknown, begin, end, a byte, a space, an `a`, both.
fn scored() -> File {
    with("tokenizer.ggml.model", text("llama"))
        .and(
            "tokenizer.ggml.tokens",
            texts(&["<unk>", "<s>", "</s>", "<0x0A>", "\u{2581}", "a", "\u{2581}a", "[X]"]),
        )
        .and("tokenizer.ggml.scores", numbers(&[0.0, 0.0, 0.0, 0.0, -3.0, -2.0, -1.0, 0.0]))
        .and("tokenizer.ggml.token_type", signeds(&[2, 3, 3, 6, 1, 1, 1, 4]))
}

/// A byte-level vocabulary of three letters and a pair.
fn paired() -> File {
    with("tokenizer.ggml.model", text("gpt2"))
        .and("tokenizer.ggml.pre", text("qwen2"))
        .and("tokenizer.ggml.tokens", texts(&["a", "b", "ab", "<|end|>"]))
        .and("tokenizer.ggml.token_type", signeds(&[1, 1, 1, 3]))
        .and("tokenizer.ggml.merges", texts(&["a b"]))
}

fn tokenizer(file: &File) -> Value {
    let model = file.read().expect("a sound file");
    let written = model.documents.tokenizer.expect("a tokenizer");
    serde_json::from_slice(&written).expect("JSON")
}

#[test]
fn a_tokenizer_is_embedded_or_made_or_none() {
    let embedded = with("tokenizer.huggingface.json", text("{\"own\":1}"));
    assert_eq!(tokenizer(&embedded.and("tokenizer.ggml.model", text("bert"))), json!({"own": 1}));
    for file in [
        llama(),
        with("tokenizer.ggml.model", text("none")),
        with("tokenizer.ggml.model", text("no_vocab")),
    ] {
        assert_eq!(file.read().expect("a sound file").documents.tokenizer, None);
    }
    let wanted = "tokenizer.ggml.model: gpt2 (byte-level pairs) or llama (SentencePiece)";
    let error = refused(&with("tokenizer.ggml.model", text("bert")), "a kind");
    check(&error, (Code::InvalidTokenizer, wanted, "\"bert\""), "another kind");
}

#[test]
fn scores_make_merges_and_kinds_make_special_tokens() {
    let made = tokenizer(&scored());
    let model = &made["model"];
    assert_eq!(model["merges"], json!([["\u{2581}", "a"]]));
    assert_eq!(model["unk_token"], "<unk>", "the first of its kind, as no id is named");
    assert_eq!(model["byte_fallback"], true);
    let added = made["added_tokens"].as_array().expect("added tokens");
    let added: Vec<_> = added.iter().map(|one| (&one["content"], &one["special"])).collect();
    let (yes, no) = (json!(true), json!(false));
    let [unknown, begin, end, word] = ["<unk>", "<s>", "</s>", "[X]"].map(|text| json!(text));
    assert_eq!(added, [(&unknown, &yes), (&begin, &yes), (&end, &yes), (&word, &no)]);
    assert_eq!(made["normalizer"]["type"], "Sequence", "a space in front unless told");
    assert_eq!(made["post_processor"], Value::Null, "no first token is named");

    let told = scored()
        .and("tokenizer.ggml.unknown_token_id", whole(5))
        .and("tokenizer.ggml.add_space_prefix", flag(false))
        .and("tokenizer.ggml.remove_extra_whitespaces", flag(false))
        .and("tokenizer.ggml.scores", signeds(&[0, 0, 0, 0, -3, -2, -1, 0]))
        .and("tokenizer.ggml.bos_token_id", whole(1))
        .and("tokenizer.ggml.eos_token_id", whole(2))
        .and("tokenizer.ggml.add_eos_token", flag(true));
    let made = tokenizer(&told);
    assert_eq!(made["model"]["unk_token"], "a", "the id that is named");
    assert_eq!(made["model"]["merges"], json!([["\u{2581}", "a"]]), "whole numbers are scores");
    assert_eq!(made["normalizer"]["type"], "Replace", "no space in front");
    assert_eq!(
        made["post_processor"]["single"],
        json!([
            {"SpecialToken": {"id": "<s>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "</s>", "type_id": 0}},
        ])
    );
}

#[test]
fn a_first_token_is_added_where_the_way_or_the_file_says_so() {
    let begins = |file: &File| tokenizer(file)["post_processor"]["single"][0].clone();
    let special = json!({"SpecialToken": {"id": "b", "type_id": 0}});
    let named = |pre: &str| {
        paired().and("tokenizer.ggml.pre", text(pre)).and("tokenizer.ggml.bos_token_id", whole(1))
    };
    assert_eq!(begins(&named("qwen2")), Value::Null);
    assert_eq!(begins(&named("llama-bpe")), special);
    let asked = |file: File, yes| file.and("tokenizer.ggml.add_bos_token", flag(yes));
    assert_eq!(begins(&asked(named("qwen2"), true)), special);
    assert_eq!(begins(&asked(named("llama-bpe"), false)), Value::Null);
    assert_eq!(tokenizer(&paired())["model"]["merges"], json!([["a", "b"]]));
}

#[test]
fn tokenizers_that_contradict_themselves_are_refused() {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let lost = |file: File, name: &str| (file.without(&key(name)), key(name), "none".to_owned());
    let set = |file: File, name: &str, value: Stored, expected: &str, found: &str| {
        (file.and(&key(name), value), expected.to_owned(), found.to_owned())
    };
    let pre = (paired().without(&key("pre")), key("pre"), "none".to_owned());
    for (file, expected, actual) in [
        lost(paired(), "merges"),
        lost(paired(), "tokens"),
        lost(scored(), "scores"),
        lost(scored(), "tokens"),
        pre,
        set(paired(), "token_type", signeds(&[1]), "4", "1"),
        set(scored(), "remove_extra_whitespaces", flag(true), "false", "true"),
        set(scored(), "precompiled_charsmap", signeds(&[1]), "none", "a table"),
        set(paired(), "add_sep_token", flag(true), "false", "true"),
        set(paired(), "add_bos_token", flag(true), "tokenizer.ggml.bos_token_id", "none"),
        set(paired(), "add_eos_token", flag(true), "tokenizer.ggml.eos_token_id", "none"),
        set(scored(), "scores", numbers(&[1.0]), "8", "1"),
        set(scored(), "scores", numbers(&[f32::NAN; 8]), "a number", "NaN"),
        set(scored(), "unknown_token_id", whole(8), "an id below 8", "8"),
        set(scored(), "bos_token_id", whole(9), "an id below 8", "9"),
        set(paired(), "merges", texts(&["ab"]), "two tokens", "\"ab\""),
        set(paired(), "merges", texts(&["a "]), "two tokens", "\"a \""),
        set(paired(), "tokens", texts(&["a", "b", "a", "c"]), "every token once", "\"a\""),
    ] {
        let error = refused(&file, &expected);
        check(&error, (Code::InvalidTokenizer, &expected, &actual), &expected);
    }
    let large = Stored(10, (1u64 << 32).to_le_bytes().to_vec());
    let file = scored().and(&key("unknown_token_id"), large);
    let wanted = (Code::InvalidTokenizer, "an id", "4294967296");
    check(&refused(&file, "an id"), wanted, "an id beyond 32 bits");
    let error = refused(&scored().and(&key("unknown_token_id"), signed(-1)), "an id");
    let wanted = (Code::InvalidField, "a whole number, 0 or more", "another value or type");
    check(&error, wanted, "an id below zero");
    let error = refused(&paired().and(&key("pre"), text("strange")), "a way");
    assert_eq!(
        (error.code(), error.failure().actual.as_deref()),
        (Code::InvalidTokenizer, Some("\"strange\""))
    );
}

#[test]
fn a_template_goes_along_with_the_special_tokens() {
    let template = |file: File| file.read().expect("a sound file").documents.template;
    assert_eq!(template(paired()), None);
    let named = paired()
        .and("tokenizer.chat_template.default", text("named"))
        .and("tokenizer.chat_template.tool_use", text("tools"))
        .and("tokenizer.ggml.eos_token_id", whole(3));
    assert_eq!(
        template(named.clone()),
        Some(json!({
            "chat_template": "named", "bos_token": null, "eos_token": "<|end|>",
            "pad_token": null, "unk_token": null,
        }))
    );
    let plain = named.and("tokenizer.chat_template", text("plain"));
    assert_eq!(template(plain.clone()).expect("a template")["chat_template"], "plain");
    let error = refused(&plain.and("tokenizer.ggml.padding_token_id", whole(4)), "an id");
    check(&error, (Code::InvalidTokenizer, "an id below 4", "4"), "an id beyond the words");
    // A file without words may name ids of its tokenizer elsewhere.
    let alone =
        with("tokenizer.chat_template", text("x")).and("tokenizer.ggml.eos_token_id", whole(9));
    assert_eq!(template(alone).expect("a template")["eos_token"], Value::Null);
    let error = refused(&with("tokenizer.chat_template", number(1.0)), "a template");
    check(&error, (Code::InvalidField, "a text", "another value or type"), "a template");
}
