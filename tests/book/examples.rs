//! Runs the examples of the pages, each page in a folder of its own, and compares what they print.
//!
//! An example is a block of the language `console`. A line `...` stands for any lines, and `...` inside of a line
//! for any text. What a page shows must come in this order.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::pages::Page;

/// Runs a command line in a folder; stdout and stderr together.
fn shell(line: &str, folder: &Path, program: &Path) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec 2>&1; {line}")]).current_dir(folder);
    shell.env("PATH", format!("{}:{path}", program.display()));
    let output = shell.output().expect("sh starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether a text has the pieces of a pattern, which `...` separates, in their order.
fn fits(pattern: &str, text: &str) -> bool {
    let pieces: Vec<&str> = pattern.split("...").collect();
    let [first, middle @ .., last] = pieces.as_slice() else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    for piece in middle {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The first line of an example that did not come.
fn missing<'a>(shown: &'a str, told: &str) -> Option<&'a str> {
    let mut told = told.lines();
    let mut skips = false;
    for line in shown.lines() {
        if line == "..." {
            skips = true;
            continue;
        }
        let found = match skips {
            true => told.any(|one| fits(line, one)),
            false => told.next().is_some_and(|one| fits(line, one)),
        };
        if !found {
            return Some(line);
        }
        skips = false;
    }
    // Without `...` at the end, nothing may follow.
    (!skips && told.next().is_some()).then_some("(the end)")
}

/// Runs the examples of a page. Returns how many there were, and what is not as the page says.
fn page(path: &Path) -> (usize, String) {
    let folder = tempfile::tempdir().expect("a folder");
    // A name on the PATH, as a reader types it.
    let program = tempfile::tempdir().expect("a folder");
    let exe = env!("CARGO_BIN_EXE_weighbridge");
    std::os::unix::fs::symlink(exe, program.path().join("weighbridge")).expect("a link");
    // README's readers are in a checkout.
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    std::os::unix::fs::symlink(fixtures, folder.path().join("fixtures")).expect("a link");
    let (mut number, mut wrong) = (0, String::new());
    let page = Page::read(path);
    for block in page.blocks.iter().filter(|block| block.language == "console") {
        for example in format!("\n{}", block.text).split("\n$ ").skip(1) {
            let (line, shown) = example.split_once('\n').unwrap_or((example, ""));
            let told = shell(line, folder.path(), program.path());
            number += 1;
            if let Some(missing) = missing(shown, &told) {
                let _ =
                    writeln!(wrong, "{}: {line}\nno line {missing:?} in:\n{told}", path.display());
            }
        }
    }
    (number, wrong)
}

#[test]
fn examples_print_what_the_pages_say() {
    let pages = crate::written();
    let told: Vec<(usize, String)> = thread::scope(|scope| {
        let all: Vec<_> = pages.iter().map(|path| scope.spawn(|| page(path))).collect();
        all.into_iter().map(|one| one.join().expect("a page")).collect()
    });
    let number: usize = told.iter().map(|(number, _)| number).sum();
    assert!(number >= 11, "only {number} examples were run");
    let wrong: String = told.into_iter().map(|(_, wrong)| wrong).collect();
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn other_output_is_seen() {
    let told = "one\ntwo 22\nthree\n";
    for fine in ["one\ntwo ...\nthree\n", "one\n...\n", "...\nthree\n", "...\ntwo 2...\n...\n"] {
        assert_eq!(missing(fine, told), None, "{fine}");
    }
    for wrong in
        ["one\n", "two 22\n...\n", "...\ntwo 3...\n...\n", "one\n...\none\n", "...\ntwo 22\n"]
    {
        assert!(missing(wrong, told).is_some(), "{wrong}");
    }
}
