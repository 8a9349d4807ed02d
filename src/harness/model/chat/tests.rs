//! Tests that the judge's own templates render alike with and without Jinja, and of what a voice cannot say.

use super::*;
use crate::harness::template::{self, Value as Said};

fn turn(role: Role, content: &str) -> Turn {
    Turn { role, content: content.to_owned() }
}

/// The small model's folder.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    SMALL.extract(folder.path()).expect("written");
    folder
}

fn now() -> Moment {
    Moment::of_micros(0).expect("a moment")
}

#[test]
fn the_judges_templates_render_alike_in_jinja() {
    let system = turn(Role::System, " You are \n terse. ");
    let user = turn(Role::User, "  Hello, Zo\u{eb}\n");
    let conversations = [
        vec![user.clone()],
        vec![system.clone(), user.clone()],
        vec![user.clone(), turn(Role::Assistant, "Good day"), user, system],
    ];
    let forms = (0..20).map(Form::made).chain([Form::small(), Form::small().after("<s>\n")]);
    for form in forms {
        for turns in &conversations {
            let message = |turn: &Turn| json!({"role": name(turn.role), "content": turn.content});
            let messages: Vec<Value> = turns.iter().map(message).collect();
            let messages: Said = serde_json::from_value(json!(messages)).expect("values");
            let variables = vec![
                ("messages".to_owned(), messages),
                ("add_generation_prompt".to_owned(), Said::Bool(true)),
            ];
            let rendered = template::render(&form.jinja(), variables, now());
            let rendered = rendered.map(|rendered| rendered.text);
            assert_eq!(rendered, Ok(form.render(turns)), "{form:?}");
        }
    }
}

#[test]
fn a_voice_without_a_template_says_so() {
    let folder = folder();
    let voice = Voice::without_template(folder.path()).expect("a tokenizer");
    let told = voice.tokens(&[turn(Role::User, "hello")], now());
    assert_eq!(told, Err("the model has no chat template".to_owned()));
    assert_eq!(voice.said(), None);
    let bare = voice.bare("hello").expect("tokens");
    assert_eq!(voice.text(&bare).expect("a text"), "hello");
}

#[test]
fn a_golden_voice_knows_its_own_conversation_alone() {
    let folder = folder();
    let golden = Golden::named("raised").expect("a row");
    let voice = Voice::golden(folder.path(), golden.clone()).expect("a tokenizer");
    assert_eq!(voice.said(), Some(golden.turns.as_slice()));
    // The template refuses the conversation, so the model gets nothing.
    assert_eq!(voice.tokens(&golden.turns, now()), Ok(Vec::new()));
    let other = voice.tokens(&[turn(Role::User, "something else")], now());
    assert_eq!(other, Err("transformers has not rendered this conversation".to_owned()));

    let golden = Golden::named("printed_tuple").expect("a row");
    let voice = Voice::golden(folder.path(), golden.clone()).expect("a tokenizer");
    let wanted = voice.bare("(1, 'a') ()").expect("tokens");
    assert_eq!(voice.tokens(&golden.turns, now()), Ok(wanted));
}

#[test]
fn a_published_voice_speaks_by_its_template_and_misses_no_token() {
    let folder = folder();
    let hello = [turn(Role::User, "hello")];
    let known = Voice::read(folder.path(), Form::small()).expect("a tokenizer");
    let published = Voice::published(folder.path()).expect("a template");
    assert_eq!(published.tokens(&hello, now()), known.tokens(&hello, now()));

    let config =
        json!({"bos_token": "<new>", "chat_template": "{{ bos_token }}{{ messages[0].content }}"});
    fs::write(folder.path().join(TEMPLATE), config.to_string()).expect("written");
    let voice = Voice::published(folder.path()).expect("a template");
    let told = voice.tokens(&hello, now());
    assert_eq!(told, Err("tokenizer.json lacks the token <new>".to_owned()));
}

#[test]
fn a_replaced_template_is_the_only_one() {
    let folder = folder();
    fs::write(folder.path().join(APART), "another").expect("written");
    fs::create_dir(folder.path().join(MORE)).expect("made");
    let form = Form::made(7);
    replace_template(folder.path(), &form).expect("replaced");
    let left: Vec<bool> =
        [APART, MORE].iter().map(|name| folder.path().join(name).exists()).collect();
    assert_eq!(left, [false, false]);
    let turns = [turn(Role::User, " hi ")];
    let known = Voice::read(folder.path(), form).expect("a tokenizer");
    let published = Voice::published(folder.path()).expect("a template");
    assert_eq!(published.tokens(&turns, now()), known.tokens(&turns, now()));
}

#[test]
fn a_folder_without_a_tokenizer_is_named() {
    let empty = tempfile::tempdir().expect("a folder");
    let why = Voice::without_template(empty.path()).expect_err("no file");
    assert!(why.starts_with("tokenizer.json: "), "{why}");
    fs::write(empty.path().join(TOKENIZER), "{}").expect("written");
    Voice::without_template(empty.path()).expect_err("no tokenizer");
}
