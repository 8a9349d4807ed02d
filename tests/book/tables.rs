//! Tables and snippets of the book, held to what the program has: exit codes, verbs, verdicts, fields.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use weighbridge::contract::PROTOCOL;
use weighbridge::contract::request::Request;
use weighbridge::contract::wire::{Line, Question};
use weighbridge::harness::case::read::CaseSet;
use weighbridge::harness::manifest::Written;
use weighbridge::harness::record::Verdict;
use weighbridge::mutants;

use crate::pages::Page;
use crate::program::weighbridge;

fn page(name: &str) -> Page {
    Page::read(&Path::new("docs").join(name))
}

/// Every subcommand that does something, with the sentence of its help about exit codes.
fn helps(command: &clap::Command, name: &str, all: &mut Vec<(String, Option<String>)>) {
    for inner in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        let name = format!("{name} {}", inner.get_name()).trim_start().to_owned();
        if inner.has_subcommands() {
            helps(inner, &name, all);
            continue;
        }
        let help = inner.clone().render_long_help().to_string();
        // The help wraps lines, and paragraphs end with an empty one.
        let paragraphs = help.split("\n\n").map(|one| one.replace('\n', " "));
        let sentence = paragraphs.filter_map(|one| {
            let (_, rest) = one.split_once("Exit codes: ")?;
            Some(rest.split(". ").next()?.trim_end_matches('.').to_owned())
        });
        all.push((name, sentence.into_iter().next()));
    }
}

#[test]
fn the_table_of_exit_codes_is_the_programs() {
    let mut told = Vec::new();
    helps(&weighbridge::cli::command(), "", &mut told);
    let mut rows = page("exit-codes.md").rows;
    let plain = rows.pop().expect("the row of all others");
    let table: BTreeSet<(String, String)> =
        rows[1..].iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let own = told.iter().filter_map(|(name, words)| Some((name.clone(), words.clone()?)));
    // In a table of Markdown a name of an option in code has no marks of code.
    let own = own.map(|(name, words)| (name, words.replace('`', "")));
    assert_eq!(table, own.collect());
    let others: BTreeSet<&str> = plain[0].split(", ").collect();
    let silent = told.iter().filter(|(_, words)| words.is_none()).map(|(name, _)| name.as_str());
    assert_eq!(others, silent.collect());
    // What all of them have in common, seen.
    for (name, _) in &told {
        let words: Vec<&str> = name.split(' ').chain(["--no-such-option"]).collect();
        assert_eq!(weighbridge(&words).code, Some(2), "{name}");
    }
}

/// Each line of the page is one that judge or loader reads, and every verb is there.
#[test]
fn the_lines_of_the_protocol_are_read() {
    let page = page("protocol.md");
    let (mut asked, mut answered) = (BTreeSet::new(), BTreeSet::new());
    for block in page.blocks.iter().filter(|block| block.language == "json") {
        for line in block.text.lines() {
            let value: Value =
                serde_json::from_str(line).unwrap_or_else(|why| panic!("{line}: {why}"));
            if value.get("request").is_some() {
                let question: Question = serde_json::from_str(line)
                    .unwrap_or_else(|why| panic!("no request: {line}: {why}"));
                asked.insert(question.request.verb());
            } else {
                let answer: Line = serde_json::from_str(line)
                    .unwrap_or_else(|why| panic!("no answer: {line}: {why}"));
                answered.extend(answer.reply.map(|reply| reply.verb()));
            }
        }
    }
    let unknown = serde_json::from_value::<Request>(json!({"no": {}})).expect_err("no verb");
    let unknown = unknown.to_string();
    let verbs: BTreeSet<&str> = unknown.split('`').skip(3).step_by(2).collect();
    assert!(verbs.len() > 10, "{unknown}");
    assert_eq!(asked, verbs);
    assert_eq!(answered, verbs);
    let listed = page.rows.iter().map(|row| row[0].as_str()).filter(|name| verbs.contains(name));
    assert_eq!(listed.collect::<BTreeSet<_>>(), verbs, "the table of verbs");
    let number = format!("This is protocol **{PROTOCOL}**.");
    assert!(fs::read_to_string("docs/protocol.md").expect("a page").contains(&number));
    let manifest = page.blocks.iter().find(|block| block.language == "yaml").expect("a manifest");
    serde_yaml::from_str::<Written>(&manifest.text).expect("a manifest");
}

#[test]
fn the_fields_of_the_report_are_in_its_schema() {
    let schema = fs::read_to_string("reports/report.schema.json").expect("the schema");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let page = page("report-json.md");
    let mut seen = 0;
    for code in page.codes.iter().filter(|code| code.contains('.') && !code.contains([' ', '/'])) {
        let parts: Vec<&str> = code.split('.').collect();
        if !["judgement", "record"].contains(&parts[0]) {
            continue;
        }
        let mut at = &schema;
        for part in parts {
            let name = part.trim_end_matches("[]");
            at = resolved(&schema, &at["properties"][name]);
            assert!(at.is_object(), "{code}: the schema has no {name}");
            if part.ends_with("[]") {
                at = resolved(&schema, &at["items"]);
            }
        }
        seen += 1;
    }
    assert!(seen > 8, "only {seen} fields");
    let verdicts: Vec<&str> = Verdict::ALL.iter().map(|one| one.name()).collect();
    let first: Vec<&str> = page.rows.iter().map(|row| row[0].as_str()).collect();
    let listed: Vec<&str> = first.into_iter().filter(|name| verdicts.contains(name)).collect();
    assert_eq!(listed, verdicts, "from best to worst");
}

fn resolved<'a>(schema: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str().and_then(|path| schema.pointer(path.trim_start_matches('#'))) {
        Some(there) => there,
        None => value,
    }
}

/// The case that the guide shows is one that the suite reads.
#[test]
fn the_case_of_the_guide_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = page("extend.md");
    let block = page.blocks.iter().find(|block| block.language == "yaml").expect("a case");
    fs::write(folder.path().join("my_cases.yaml"), &block.text).expect("a file");
    let read = CaseSet::from_dir(folder.path(), &mutants::names()).expect("a case");
    assert_eq!(read.cases()[0].id(), "F-PARSE-043::one_byte_left");
}
