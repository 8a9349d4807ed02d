//! The guides, held to the program: links lead somewhere, every name has its place in the reference, commands
//! are understood, and examples print what the book says.

mod commands;
mod counts;
mod examples;
mod pages;
mod tables;

#[path = "../program/mod.rs"]
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pages::{Page, reference};
use weighbridge::cli::weighing::Embedded;
use weighbridge::mutants;

/// Files at the top, and folders with pages.
const FILES: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"];
const FOLDERS: [&str; 3] = ["docs", "deploy", "adapters"];

/// Pages by their paths.
type Pages = BTreeMap<PathBuf, Page>;

/// Every page that people read, but for those that the program makes.
fn written() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = FILES.iter().map(PathBuf::from).collect();
    for folder in FOLDERS {
        below(Path::new(folder), &mut all);
    }
    all.push(PathBuf::from("fixtures/chat/README.md"));
    all.push(PathBuf::from("spec/README.md"));
    all
}

fn below(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is here").flatten() {
        let path = entry.path();
        let built = ["target", "node_modules", "reference", "lib"];
        if path.is_dir() && !built.iter().any(|name| path.ends_with(name)) {
            below(&path, all);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            all.push(path);
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    let made = reference().iter().map(|page| Path::new("docs/reference").join(page));
    let read = |path: PathBuf| (path.clone(), Page::read(&path));
    let pages: Pages = written().into_iter().chain(made).map(read).collect();
    let mut broken = Vec::new();
    let mut links = 0;
    for (path, page) in &pages {
        for link in page.links.iter().filter(|link| !link.contains("://")) {
            links += 1;
            if let Err(why) = leads(path, link, &pages) {
                broken.push(format!("{}: {link}: {why}", path.display()));
            }
        }
    }
    assert!(links > 5000, "only {links} links were seen");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Whether a link of a page leads somewhere.
fn leads(page: &Path, link: &str, pages: &Pages) -> Result<(), String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() {
        page.to_owned()
    } else {
        pages::plain(&page.parent().unwrap_or(Path::new("")).join(path))
    };
    if page.starts_with("docs") && !target.starts_with("docs") {
        return Err("it leaves the book".to_owned());
    }
    if !pages::place(&target).exists() {
        return Err(format!("no {}", target.display()));
    }
    let has = |page: &Page| page.anchors.contains(anchor);
    match anchor.is_empty() || pages.get(&target).is_some_and(has) {
        true => Ok(()),
        false => Err(format!("{} has no such heading", target.display())),
    }
}

/// A link to a page, an anchor or a place outside of the book that is not there would be seen.
#[test]
fn a_planted_link_is_seen() {
    let page = Path::new("docs/certify.md");
    let all = ["docs/certify.md", "docs/ci.md", "docs/reference/iv.md"].map(PathBuf::from);
    let pages: Pages = all.into_iter().map(|path| (path.clone(), Page::read(&path))).collect();
    assert_eq!(leads(page, "ci.md#4-show-the-results", &pages), Ok(()));
    assert_eq!(leads(page, "reference/iv.md#f-parse-036", &pages), Ok(()));
    for broken in ["no.md", "ci.md#no", "../README.md", "reference/iv.md#f-qual-070", "#no"] {
        assert!(leads(page, broken, &pages).is_err(), "{broken}");
    }
}

/// A file that a page names as code is there.
#[test]
fn every_named_file_is_there() {
    let mut gone = Vec::new();
    for path in written() {
        for code in Page::read(&path).codes {
            let named = FOLDERS.iter().chain(&["spec", "conformance", "src", "tests", ".github"]);
            let inside = named.clone().any(|folder| code.starts_with(&format!("{folder}/")));
            let is_path = code.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            // Made by the program, and linked by hand.
            let absent = ["docs/reference", "adapters/llama_cpp/lib"];
            if inside && is_path && !absent.contains(&code.as_str()) && !Path::new(&code).exists() {
                gone.push(format!("{}: {code}", path.display()));
            }
        }
    }
    assert!(gone.is_empty(), "{}", gone.join("\n"));
}

#[test]
fn the_book_has_every_page_once() {
    let listed = Page::read(Path::new("docs/SUMMARY.md")).links;
    let unique: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), unique.len(), "a page is listed twice");
    let entries = fs::read_dir("docs").expect("docs").flatten().map(|entry| entry.file_name());
    let names = entries.map(|name| name.to_string_lossy().into_owned());
    let own = names.filter(|name| name.ends_with(".md") && name != "SUMMARY.md");
    let made = reference().iter().map(|name| format!("reference/{name}"));
    assert_eq!(unique, own.chain(made).collect());
}

/// Each requirement has its heading, with its sentence, kind, reason, cases and mutants behind it.
#[test]
fn the_reference_has_every_name() {
    let embedded = Embedded::read().map_err(|stop| stop.message).expect("the suite is sound");
    let (spec, cases) = (&embedded.spec, embedded.cases.cases());
    let texts: Vec<String> = reference().iter().map(|name| pages::text(name)).collect();
    for row in spec.requirements() {
        let heading = format!("\n## {}\n", row.id);
        let mut found = texts.iter().filter_map(|text| text.split_once(&heading));
        let (_, behind) = found.next().unwrap_or_else(|| panic!("no heading of {}", row.id));
        assert!(found.next().is_none(), "{} has two headings", row.id);
        let own = behind.split("\n## ").next().unwrap_or_default();
        let kind = spec.kind(&row.id).expect("a kind");
        assert!(own.contains(&format!("**Kind:** {}. ", kind.kind.name())), "{}", row.id);
        for words in [row.sentence.as_str(), &kind.reason] {
            let first = words.split(['_', '*', '`', '<', '>', '|', '[', '&', '#', '\n']).next();
            assert!(own.contains(first.unwrap_or_default()), "{}: no {words:?}", row.id);
        }
        for case in cases.iter().filter(|case| case.requirement == row.id) {
            assert!(own.contains(&format!("\n- `{}`: ", case.name)), "{}", case.id());
            for mutant in &case.kills {
                let link = format!("[{mutant}](mutants.md#{mutant})");
                assert!(own.contains(&link), "{}: {mutant}", case.id());
            }
        }
    }
    let anchors: BTreeSet<String> =
        reference().iter().flat_map(|name| Page::read(&pages::made(name)).anchors).collect();
    let names = spec.resolutions().iter().map(|row| &row.id);
    let names = names.chain(spec.limits().iter().map(|row| &row.id));
    let names = names.chain(spec.excluded().iter().map(|row| &row.id));
    let names = names.chain(spec.error_codes().iter().map(|row| &row.code));
    let names = names.chain(spec.classes().iter().map(|row| &row.name));
    let names = names.chain(spec.profiles().iter().map(|row| &row.name));
    let names = names.map(String::as_str).chain(mutants::names());
    for name in names {
        assert!(anchors.contains(&name.to_lowercase()), "{name} has no place in the reference");
    }
}
