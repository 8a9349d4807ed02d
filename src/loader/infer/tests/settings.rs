//! Tests of `generation_config.json`: which settings are read, and which are refused.

use std::fs;

use serde_json::{Value, json};

use crate::contract::Code;
use crate::loader::infer::config::generation;
use crate::loader::infer::settings::Settings;

#[test]
fn settings_of_generation_are_read_or_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("generation_config.json");
    let read = |value: Value| {
        fs::write(&path, value.to_string()).expect("written");
        generation(&path, 11)
    };
    let whole = read(json!({"eos_token_id": [4, 2], "repetition_penalty": 1.1, "suppress_tokens": [3, 1, 3],
        "begin_suppress_tokens": [5], "no_repeat_ngram_size": 3, "min_new_tokens": 2, "min_length": 4,
        "bad_words_ids": [[7], [8, 9]], "do_sample": true, "top_k": 20, "temperature": 0.7,
        "bos_token_id": 1, "transformers_version": "5.0", "chat_format": "chatml"}))
    .expect("sound");
    let wanted = Settings {
        penalty: Some(1.1),
        never: vec![1, 3],
        never_first: vec![5],
        never_in_a_row: vec![vec![7], vec![8, 9]],
        no_repeat: Some(3),
        least_new: 2,
        least: 0,
    };
    assert_eq!((whole.ends, whole.settings), (Some(vec![4, 2]), wanted));
    assert_eq!(whole.unread, ["chat_format"]);
    let length = read(json!({"min_length": 4})).expect("sound").settings;
    assert_eq!((length.least, length.least_new), (4, 0));
    let idle = json!({"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "suppress_tokens": [],
        "num_beams": 1, "forced_eos_token_id": null, "guidance_scale": 1.0, "eos_token_id": -1});
    let idle = read(idle).expect("sound");
    assert!(idle.settings.change_nothing() && idle.unread.is_empty() && idle.ends == Some(vec![]));
    for (field, value) in [
        ("repetition_penalty", json!("a lot")),
        ("repetition_penalty", json!(0)),
        ("repetition_penalty", json!(-1.2)),
        ("suppress_tokens", json!([11])),
        ("suppress_tokens", json!(3)),
        ("suppress_tokens", (0..11).collect()),
        ("begin_suppress_tokens", json!([-1])),
        ("bad_words_ids", json!([3])),
        ("bad_words_ids", json!([[]])),
        ("no_repeat_ngram_size", json!(1.5)),
        ("min_new_tokens", json!(-3)),
        ("temperature", json!("hot")),
        ("top_p", json!(-0.5)),
        ("top_k", json!(2.5)),
        ("do_sample", json!("yes")),
        ("max_new_tokens", json!([9])),
        ("num_beams", json!(4)),
        ("encoder_repetition_penalty", json!(2.0)),
        ("forced_eos_token_id", json!(0)),
        ("forced_bos_token_id", json!(2)),
        ("guidance_scale", json!(1.5)),
        ("sequence_bias", json!([[[1], 2.0]])),
        ("stop_strings", json!(["\n"])),
    ] {
        let error = read(json!({field: value})).expect_err(field);
        let failure = error.failure();
        assert_eq!(error.code(), Code::InvalidConfig);
        assert!(failure.message.contains(field), "{field}: {failure:?}");
        assert!(failure.path.as_ref().is_some_and(|path| path.ends_with("generation_config.json")));
    }
}
