//! Tests inputs and tokenizers that do not fit a model.

use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use serde_json::{Value, json};

use super::{bert, projection, qwen2};
use crate::contract::inference::Batch;
use crate::contract::{Code, Phase};
use crate::loader::error::Result;
use crate::loader::infer::config::Config;
use crate::loader::infer::input::check;
use crate::loader::infer::tokenizer::Tokens;

fn tokens(change: impl Fn(&mut Vec<i64>, &mut Vec<i64>, &mut Vec<i64>)) -> Batch {
    let mut changed = bert().batch();
    if let Batch::Tokens { ids, mask, types, .. } = &mut changed {
        change(ids, mask, types);
    }
    changed
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let bert = bert().runnable().unwrap();
    assert!(check(&bert, &super::bert().batch()).is_ok());
    let row = |columns: usize| Batch::Tokens {
        rows: 1,
        columns,
        ids: vec![1; columns],
        mask: vec![1; columns],
        types: Vec::new(),
    };
    assert!(check(&bert, &row(7)).is_ok(), "the longest input");
    let vectors = |columns: usize, value: f32| Batch::Vectors {
        rows: 1,
        columns,
        values: vec![value; columns],
    };
    for (what, wrong) in [
        ("id", tokens(|ids, _, _| ids[2] = 11)),
        ("negative id", tokens(|ids, _, _| ids[2] = -1)),
        ("type", tokens(|_, _, types| types[2] = 2)),
        ("mask", tokens(|_, mask, _| mask[2] = 2)),
        ("blank row", tokens(|_, mask, _| mask[4..].fill(0))),
        ("fewer ids", tokens(|ids, _, _| ids.truncate(7))),
        ("too long", row(8)),
        ("nothing", row(0)),
        ("vectors", vectors(8, 1.0)),
    ] {
        let error = check(&bert, &wrong).unwrap_err();
        assert_eq!((error.phase(), error.code()), (Phase::Infer, Code::InvalidInput), "{what}");
        assert!(error.failure().expected.is_some() && error.failure().actual.is_some(), "{what}");
    }
    let projection = projection().runnable().unwrap();
    assert!(check(&projection, &vectors(6, 1.0)).is_ok());
    for wrong in [vectors(5, 1.0), vectors(6, f32::NAN), row(1)] {
        assert_eq!(check(&projection, &wrong).unwrap_err().code(), Code::InvalidInput);
    }
}

/// Words `a` to `d`, with one token before and one after each text.
fn words() -> Value {
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
        "post_processor": {
            "type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1],
        },
        "model": {
            "type": "WordLevel", "unk_token": "[UNK]",
            "vocab": {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3, "a": 4, "b": 5, "c": 6},
        },
    })
}

fn read(tokenizer: &Value, config: &Value) -> Result<Tokens> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), tokenizer.to_string()).unwrap();
    Tokens::read(file.path(), &Config::parse(config.to_string().as_bytes()).unwrap())
}

#[test]
fn texts_are_cut_and_padded() {
    let tokenizer = read(&words(), &bert().config).unwrap();
    let texts = ["a b", "a b c a b c a b c"].map(str::to_owned);
    let Batch::Tokens { rows, columns, ids, mask, .. } = tokenizer.batch(&texts).unwrap() else {
        panic!("vectors of texts")
    };
    assert_eq!((rows, columns), (2, 7));
    assert_eq!(ids[..7], [1, 4, 5, 2, 0, 0, 0]);
    assert_eq!(mask[..7], [1, 1, 1, 1, 0, 0, 0]);
    assert_eq!((ids[7], ids[13], &mask[7..]), (1, 2, &[1; 7][..]), "cut, with its last token");
    let none = tokenizer.batch(&[]).unwrap();
    let error = check(&bert().runnable().unwrap(), &none).unwrap_err();
    assert_eq!(error.code(), Code::InvalidInput);
}

#[test]
fn tokenizers_that_do_not_fit_are_refused_at_load() {
    let code = |tokenizer: &Value, config: &Value| {
        read(tokenizer, config).map(drop).map_err(|error| error.code())
    };
    assert_eq!(code(&words(), &bert().config), Ok(()));
    let mut fewer = bert().config;
    fewer["vocab_size"] = json!(6);
    assert_eq!(code(&words(), &fewer), Err(Code::InvalidTokenizer), "more tokens than rows");
    let mut sparse = words();
    sparse["model"]["vocab"]["c"] = json!(11);
    assert_eq!(code(&sparse, &bert().config), Err(Code::InvalidTokenizer), "an id past the rows");
    assert_eq!(code(&json!({}), &bert().config), Err(Code::InvalidTokenizer));
    // The longest input is shorter than the tokens that are added to every text.
    for longest in [1, 2] {
        let mut short = qwen2().config;
        short["max_position_embeddings"] = json!(longest);
        assert_eq!(code(&words(), &short), Err(Code::InvalidTokenizer), "{longest} positions");
    }
}

#[test]
fn a_pipe_in_a_tokenizers_place_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    let config = Config::parse(bert().config.to_string().as_bytes()).unwrap();
    let (answer, answered) = std::sync::mpsc::channel();
    let start = Instant::now();
    let waiting = path.clone();
    std::thread::spawn(move || answer.send(Tokens::read(&waiting, &config).map(drop)));
    let result = answered.recv_timeout(Duration::from_secs(10));
    let error = result.unwrap_or_else(|_| panic!("waited {:?}", start.elapsed())).unwrap_err();
    assert_eq!(error.code(), Code::NotAFile);
}
