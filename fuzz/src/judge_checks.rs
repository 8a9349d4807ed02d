//! What must hold of any bytes that the judge reads: case files, manifests, lines of a loader,
//! reports and chat templates. Shared by the fuzz targets and by `tests/fuzz.rs`.

#![allow(dead_code)] // each fuzz target runs one of them

use std::path::PathBuf;

use serde_json::json;
use weighbridge::contract::generation::{Role, Turn};
use weighbridge::contract::reply::{Done, Holdings, Introduction, Loaded};
use weighbridge::contract::request::{Hello, Load, Stat, Unload};
use weighbridge::contract::serve::converse;
use weighbridge::contract::wire::{Line, Question};
use weighbridge::contract::{Class, Code, Failure, Loader, Phase};
use weighbridge::harness::case::read::{CaseSet, ReadError};
use weighbridge::harness::manifest::Manifest;
use weighbridge::harness::record::{Report, Stored};
use weighbridge::harness::report::{Format, Titles, render, terminal};
use weighbridge::harness::template;
use weighbridge::loader::infer::chat::Template;
use weighbridge::mutants;

/// Any bytes as a case file: no panic, a refusal names the file and says why, and everything that
/// is derived from an accepted case can be derived. Returns whether it was accepted.
pub fn case_file(text: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("case.yaml"), text).expect("written");
    match CaseSet::from_dir(folder.path(), &mutants::names()) {
        Ok(set) => {
            let mut ids: Vec<String> = set.cases().iter().map(|case| case.id()).collect();
            for case in set.cases() {
                assert!(!case.steps.is_empty(), "{} has no step", case.id());
                case.capabilities(None);
                case.relies(None);
                case.must_be_alone();
            }
            let all = ids.len();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), all, "two cases with one id");
            true
        }
        Err(ReadError::Case { path, message, .. }) => {
            assert!(path.as_os_str() == "case.yaml" && !message.is_empty(), "{path:?}: {message}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// Any bytes as a manifest: no panic, and a refusal names the file. Returns whether it was accepted.
pub fn manifest(text: &[u8]) -> bool {
    let file = written(text);
    match Manifest::load(&file.0) {
        Ok(manifest) => {
            assert!(!manifest.name().is_empty() && manifest.program.is_absolute());
            true
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(&file.0.display().to_string()), "{said}");
            false
        }
    }
}

/// Any bytes as lines of the contract, read by both sides: what the judge accepts from a loader says
/// the same after it was written and read again, and a loader answers each line that it is asked.
/// Returns whether the first line was one of a loader.
pub fn wire_line(text: &[u8]) -> bool {
    let mut said = Vec::new();
    converse(&mut Idle, &mut &text[..], &mut said).expect("answered");
    let asked = text.split_inclusive(|byte| *byte == b'\n').count();
    let answers: Vec<Line> = said
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| serde_json::from_slice(line).expect("an answer is a line of the contract"))
        .collect();
    assert!(answers.len() <= asked, "{} answers to {asked} lines", answers.len());
    for (answer, asked) in answers.iter().zip(text.split(|byte| *byte == b'\n')) {
        if let Ok(question) = serde_json::from_slice::<Question>(asked) {
            assert_eq!(answer.id, question.id);
            let again = serde_json::to_vec(&question).expect("written");
            assert_eq!(serde_json::from_slice::<Question>(&again).expect("read again"), question);
        }
    }
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(line) = serde_json::from_slice::<Line>(first) else { return false };
    let again = serde_json::to_vec(&line).expect("written");
    assert_eq!(serde_json::from_slice::<Line>(&again).expect("read again"), line);
    true
}

/// Any bytes as a report, a record or a journal: no panic, every form can be made of what is
/// accepted, and the JUnit form is XML that a reader of JUnit accepts. Returns whether it was
/// accepted.
pub fn report(text: &[u8]) -> bool {
    let file = written(text);
    let stored = match Stored::read(&file.0) {
        Ok(stored) => stored,
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(&file.0.display().to_string()), "{said}");
            return false;
        }
    };
    stored.verify();
    let report = Report::of(stored.into_record());
    let titles = Titles::new();
    terminal::summary(&report, &titles, true);
    for format in [Format::Json, Format::Markdown, Format::Terminal] {
        render(&report, &titles, format).expect("made");
    }
    let xml = render(&report, &titles, Format::Junit).expect("made");
    let read = quick_junit::Report::deserialize_from_str(&xml);
    read.unwrap_or_else(|error| panic!("JUnit that cannot be read: {error}\n{xml}"));
    true
}

/// Any text as a chat template, rendered by the loader and by the judge: no panic, and where both
/// give a text and no clock is read it is the same. Returns whether both gave one.
pub fn chat_template(source: &[u8]) -> bool {
    let Ok(source) = std::str::from_utf8(source) else { return false };
    let turns = [(Role::System, " short "), (Role::User, "<b>it's</b>\n"), (Role::User, "")];
    let turns = turns.map(|(role, content)| Turn { role, content: content.to_owned() });
    let special = [("bos_token", "<s>"), ("eos_token", "</s>")];
    let mut config = json!({ "chat_template": source });
    for (name, token) in special {
        config[name] = token.into();
    }
    let theirs = Template::of(&config).and_then(|template| template.render(&turns));
    let rendered = template::render(source, variables(&turns, &special), template::Moment::now());
    let (Ok(ours), Ok(theirs)) = (rendered, theirs) else { return false };
    let timed = ours.timed || source.contains("strftime_now");
    assert!(timed || ours.text == theirs, "{source:?}: {:?} and {theirs:?}", ours.text);
    true
}

fn variables(turns: &[Turn], special: &[(&str, &str)]) -> Vec<(String, template::Value)> {
    let text = |text: &str| template::Value::text(text);
    let role = |turn: &Turn| match turn.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let turn = |turn: &Turn| {
        let pairs = [("role", role(turn)), ("content", turn.content.as_str())];
        template::Value::map(template::Map(
            pairs.map(|(name, value)| (text(name), text(value))).to_vec(),
        ))
    };
    let mut variables = vec![
        ("messages".to_owned(), template::Value::list(turns.iter().map(turn).collect())),
        ("tools".to_owned(), template::Value::None),
        ("documents".to_owned(), template::Value::None),
        ("add_generation_prompt".to_owned(), template::Value::Bool(true)),
    ];
    variables.extend(special.iter().map(|(name, token)| ((*name).to_owned(), text(token))));
    variables
}

/// A file with these bytes, and the folder that goes with it.
fn written(bytes: &[u8]) -> (PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("any");
    std::fs::write(&path, bytes).expect("written");
    (path, folder)
}

/// A loader that refuses everything.
struct Idle;

fn refused<T>() -> Result<T, Failure> {
    Err(Failure::new(Class::Refused, Phase::Request, Code::InvalidRequest, "idle"))
}

impl Loader for Idle {
    fn hello(&mut self, _: Hello) -> Result<Introduction, Failure> {
        refused()
    }

    fn load(&mut self, _: Load) -> Result<Loaded, Failure> {
        refused()
    }

    fn stat(&mut self, _: Stat) -> Result<Holdings, Failure> {
        refused()
    }

    fn unload(&mut self, _: Unload) -> Result<Done, Failure> {
        refused()
    }
}
