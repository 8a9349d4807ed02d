//! Pages as Markdown: their links, anchors, code and fenced blocks. The pages that the program makes are made
//! once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::program::weighbridge;

/// A fenced block.
pub struct Block {
    /// Its language, empty where it has none.
    pub language: String,
    /// Its text.
    pub text: String,
}

/// What a page consists of, as far as tests ask.
#[derive(Default)]
pub struct Page {
    pub links: Vec<String>,
    pub anchors: BTreeSet<String>,
    pub codes: Vec<String>,
    pub blocks: Vec<Block>,
    /// Cells of tables, row by row, as plain text.
    pub rows: Vec<Vec<String>>,
}

impl Page {
    /// Reads a page; one below `docs/reference` is the program's.
    pub fn read(path: &Path) -> Page {
        let file = place(path);
        let text = fs::read_to_string(&file);
        Page::of(&text.unwrap_or_else(|error| panic!("{}: {error}", file.display())))
    }

    fn of(text: &str) -> Page {
        let mut page = Page::default();
        let mut heading: Option<String> = None;
        let mut cell: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. }) => page.links.push(dest_url.to_string()),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.anchors.extend(heading.take().map(|text| anchor(&text)));
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => language.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    page.blocks.push(Block { language, text: String::new() });
                    cell = Some(String::new());
                }
                Event::End(TagEnd::CodeBlock) => {
                    let text = cell.take().unwrap_or_default();
                    page.blocks.last_mut().expect("it has begun").text = text;
                }
                Event::Start(Tag::TableRow | Tag::TableHead) => page.rows.push(Vec::new()),
                Event::Start(Tag::TableCell) => cell = Some(String::new()),
                Event::End(TagEnd::TableCell) => {
                    let text = cell.take().unwrap_or_default();
                    page.rows.last_mut().expect("a row has begun").push(text);
                }
                Event::Code(words) => {
                    for text in [&mut heading, &mut cell].into_iter().flatten() {
                        text.push_str(&words);
                    }
                    page.codes.push(words.to_string());
                }
                Event::Text(words) => {
                    for text in [&mut heading, &mut cell].into_iter().flatten() {
                        text.push_str(&words);
                    }
                }
                Event::Html(words) | Event::InlineHtml(words) => {
                    let ids =
                        words.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next());
                    page.anchors.extend(ids.map(str::to_owned));
                }
                _ => {}
            }
        }
        page
    }
}

/// The anchor of a heading, as mdBook and GitHub make it.
fn anchor(heading: &str) -> String {
    let kept = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || "-_".contains(c) => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    heading.trim().chars().filter_map(kept).collect()
}

/// The names of the pages that the program makes.
pub fn reference() -> &'static [String] {
    &generated().1
}

/// The text of one of them.
pub fn text(name: &str) -> String {
    fs::read_to_string(place(&made(name))).expect("it was written")
}

/// Its place in the book.
pub fn made(name: &str) -> PathBuf {
    Path::new("docs/reference").join(name)
}

/// Where a page of the book is on disk.
pub fn place(page: &Path) -> PathBuf {
    match page.strip_prefix("docs/reference") {
        Ok(name) => generated().0.join(name),
        Err(_) => page.to_owned(),
    }
}

/// A path without `.` and `..`.
pub fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if out.file_name().is_some() => drop(out.pop()),
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

fn generated() -> &'static (PathBuf, Vec<String>) {
    static MADE: OnceLock<(PathBuf, Vec<String>)> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reference");
        // Pages of an earlier build would be taken for pages of this one.
        let _absent = fs::remove_dir_all(&folder);
        let out = folder.display().to_string();
        let told = weighbridge(&["explain", "--all", "--out", &out, "--json"]);
        assert_eq!(told.code, Some(0), "{}", told.err);
        let told: serde_json::Value = serde_json::from_str(&told.out).expect("JSON");
        let files = told["files"].as_array().expect("a list");
        let names = files.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect();
        (folder, names)
    })
}
