//! The judge reads the tokenizer and the template of a folder that strangers have published in a process of its
//! own, and what is beyond the bounds of that ends with a code.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use weighbridge::contract::generation::{Role, Turn};
use weighbridge::harness::model::apart::{Bounds, CODE};
use weighbridge::harness::model::chat::{SMALL, TOKENIZER, Voice};
use weighbridge::harness::template::Moment;

const PROGRAM: &str = env!("CARGO_BIN_EXE_weighbridge");

/// The small chat model's documents, with a change.
fn folder(change: impl FnOnce(&mut Value, &Path)) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in SMALL.files() {
        let name = file.path().file_name().expect("a name");
        fs::write(folder.path().join(name), file.contents()).expect("written");
    }
    let path = folder.path().join(TOKENIZER);
    let mut tokenizer = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
    change(&mut tokenizer, folder.path());
    fs::write(path, tokenizer.to_string()).expect("written");
    folder
}

fn said(text: &str) -> Vec<Turn> {
    vec![Turn { role: Role::User, content: text.to_owned() }]
}

/// What the judge says of a folder and a conversation, in a process with little memory.
fn judged(folder: &TempDir, text: &str) -> Result<Vec<u32>, String> {
    let bounds = Bounds { memory: 1 << 30, patience: Duration::from_secs(60) };
    let voice = Voice::apart(Path::new(PROGRAM), folder.path(), None, bounds)?;
    voice.tokens(&said(text), Moment::now())
}

#[test]
fn a_sound_folder_has_the_tokens_that_it_has_in_this_process() {
    let folder = folder(|_, _| {});
    let own = Voice::published(folder.path()).expect("read here");
    let apart = Voice::apart(Path::new(PROGRAM), folder.path(), None, Bounds::default());
    let apart = apart.expect("read there");
    let now = Moment::now();
    for text in ["Hello!", "one\ntwo \u{e9} \0 \"three\"", ""] {
        let tokens = own.tokens(&said(text), now).expect("tokens");
        assert_eq!(apart.tokens(&said(text), now), Ok(tokens.clone()));
        assert_eq!(apart.bare(text), own.bare(text));
        assert_eq!(apart.text(&tokens), own.text(&tokens));
    }
}

#[test]
fn a_folder_that_takes_too_much_memory_ends_with_a_code_in_time() {
    let step = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(400)});
    let steps = vec![step; 6];
    let long = folder(|all, _| {
        all["normalizer"] = json!({"type": "Sequence", "normalizers": steps});
    });
    let began = Instant::now();
    let why = super::bounded("a text that grows", || judged(&long, "banana")).expect_err("refused");
    assert!(why.contains(CODE), "{why}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn an_answer_that_comes_late_ends_the_process() {
    let sound = folder(|_, _| {});
    // No program starts and reads a file in this time.
    let bounds = Bounds { memory: 1 << 30, patience: Duration::from_micros(1) };
    let late = Voice::apart(Path::new(PROGRAM), sound.path(), None, bounds);
    let why = late.expect_err("late");
    assert!(why.contains(CODE) && why.contains("took more than"), "{why}");
}

#[test]
fn a_document_that_is_too_large_is_refused_before_it_is_parsed() {
    let nested = folder(|_, _| {});
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(5000), "]".repeat(5000));
    fs::write(nested.path().join("tokenizer_config.json"), deep).expect("written");
    let why = judged(&nested, "Hello!").expect_err("refused");
    assert!(why.contains("nests"), "{why}");
    let sparse = folder(|_, _| {});
    let file = fs::File::create(sparse.path().join(TOKENIZER)).expect("made");
    file.set_len(1 << 40).expect("a sparse file");
    let why = judged(&sparse, "Hello!").expect_err("refused");
    assert!(why.contains("longer than"), "{why}");
}

#[test]
fn a_process_that_was_ended_is_not_asked_again() {
    let endless = folder(|all, _| {
        all["normalizer"] =
            json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(1 << 20)});
    });
    let bounds = Bounds { memory: 1 << 30, patience: Duration::from_secs(20) };
    let voice = Voice::apart(Path::new(PROGRAM), endless.path(), None, bounds).expect("read");
    let first = voice.bare(&"a".repeat(4000)).expect_err("too long");
    assert!(first.contains(CODE), "{first}");
    let began = Instant::now();
    assert_eq!(voice.bare("b"), Err(first));
    assert!(began.elapsed() < Duration::from_secs(1));
}
