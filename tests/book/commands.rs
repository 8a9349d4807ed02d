//! Every command in the pages is one that the program understands: its subcommand, its options, their values.

use std::path::Path;

use clap::error::ErrorKind;

use crate::pages::{Block, Page};
use crate::written;

/// Languages of blocks that hold command lines.
const SHELL: [&str; 4] = ["", "sh", "bash", "console"];

/// The command lines of a block: those behind `$ ` where there is one, else all.
pub fn lines(block: &Block) -> Vec<String> {
    if !SHELL.contains(&block.language.as_str()) {
        return Vec::new();
    }
    let whole = block.text.replace("\\\n", " ");
    let typed: Vec<String> =
        whole.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect();
    if typed.is_empty() { whole.lines().map(str::to_owned).collect() } else { typed }
}

/// The words of each `weighbridge` in a command line, without what is around it.
fn ours(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word = String::new();
    let mut quote = None;
    let mut quoted = false;
    for c in line.chars().chain([' ']) {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, quoted) = (Some(c), true),
            (None, '#') if word.is_empty() => break,
            (None, '|' | ';' | '&') => commands.push(Vec::new()),
            (None, ' ') => {
                if !word.is_empty() || quoted {
                    commands.last_mut().expect("one at least").push(std::mem::take(&mut word));
                }
                quoted = false;
            }
            (None, c) => word.push(c),
        }
    }
    commands.into_iter().filter_map(|words| program(&words)).collect()
}

/// The words behind the program's name, if it is ours.
fn program(words: &[String]) -> Option<Vec<String>> {
    let at = match words.first()?.as_str() {
        "weighbridge" => 1,
        "cargo" if words.get(1)? == "run" && !words.iter().any(|word| word.starts_with("--ex")) => {
            words.iter().position(|word| word == "--")? + 1
        }
        _ => return None,
    };
    let behind = words[at..].iter().take_while(|word| !word.starts_with(['>', '<']));
    Some(behind.cloned().collect())
}

/// Why the program would not understand these words.
fn refused(words: &[String]) -> Option<String> {
    let line = std::iter::once("weighbridge".to_owned()).chain(words.iter().cloned());
    match weighbridge::cli::command().try_get_matches_from(line) {
        Ok(_) => None,
        Err(error)
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn every_command_in_a_block_is_understood() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in written() {
        let page = Page::read(&path);
        let typed = page.blocks.iter().flat_map(lines);
        for words in typed.flat_map(|line| ours(&line)) {
            seen += 1;
            if let Some(why) = refused(&words) {
                wrong.push(format!("{}: {}: {why}", path.display(), words.join(" ")));
            }
        }
    }
    assert!(seen > 60, "only {seen} commands were seen");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// In running text a command may be shortened; what it names must exist.
#[test]
fn every_command_in_a_sentence_names_what_exists() {
    let program = weighbridge::cli::command();
    let mut wrong = Vec::new();
    for path in written() {
        for code in Page::read(&path).codes {
            for words in ours(&code) {
                let mut at = &program;
                let mut options = Vec::new();
                for word in &words {
                    match at.find_subcommand(word) {
                        Some(inner) => at = inner,
                        None => options.extend(word.strip_prefix("--")),
                    }
                }
                let known = |name: &str| {
                    at.get_arguments().any(|one| one.get_long() == Some(name)) || name == "help"
                };
                let named = !words.is_empty() && at.get_name() == program.get_name();
                if named || options.iter().any(|name| !name.is_empty() && !known(name)) {
                    wrong.push(format!("{}: {code}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_planted_command_is_refused() {
    let planted = |line: &str| {
        let block = Block { language: "console".to_owned(), text: format!("$ {line}\nanswer\n") };
        let words: Vec<_> = lines(&block).iter().flat_map(|line| ours(line)).collect();
        words.iter().filter_map(|words| refused(words)).count()
    };
    for wrong in [
        "weighbridge weigh",
        "weighbridge certify --gpu",
        "echo x | weighbridge list --sections IV",
        "cargo run --release -- init perl x",
    ] {
        assert_eq!(planted(wrong), 1, "{wrong}");
    }
    assert_eq!(planted("weighbridge run MODEL --prompt \"2 | 2 # 4\" > file # a comment"), 0);
    assert!(Path::new("docs/certify.md").exists());
}
