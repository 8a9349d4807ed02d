//! What pages are written with: names of files, anchors, links, items and sentences.

use crate::harness::report::text::{code, markdown};
use crate::harness::spec::Spec;

/// One page: its file's name and its text.
pub struct Page {
    pub name: String,
    pub text: String,
}

/// The file of a section's page.
pub fn file_of(section: &str) -> String {
    format!("{}.md", section.to_lowercase())
}

/// The anchor of a heading that is one name.
pub fn anchor(name: &str) -> String {
    name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c), "")
}

/// A link to a requirement.
pub fn requirement(id: &str, spec: &Spec) -> String {
    match spec.requirement(id) {
        Some(row) => format!("[{id}]({}#{})", file_of(&row.section), anchor(id)),
        None => markdown(id),
    }
}

/// Links to requirements, with commas.
pub fn requirements<'a>(ids: impl IntoIterator<Item = &'a String>, spec: &Spec) -> String {
    let links: Vec<String> = ids.into_iter().map(|id| requirement(id, spec)).collect();
    links.join(", ")
}

/// Names as code, with commas.
pub fn names<S: AsRef<str>>(all: impl IntoIterator<Item = S>) -> String {
    let all: Vec<String> = all.into_iter().map(|name| code(name.as_ref())).collect();
    all.join(", ")
}

/// `- **Label:** text`, and nothing where there is no text. The text is Markdown.
pub fn item(label: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("- **{label}:** {text}\n") }
}

/// Running text, with what it has in backquotes as code.
pub fn prose(text: &str) -> String {
    let pieces: Vec<&str> = text.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return markdown(text);
    }
    let as_code = |(at, piece): (usize, &&str)| match at % 2 {
        0 => markdown(piece),
        _ => code(piece),
    };
    pieces.iter().enumerate().map(as_code).collect()
}

/// A sentence with its stop.
pub fn sentence(text: &str) -> String {
    let text = prose(text.trim());
    if text.ends_with(['.', '?', '!']) { text } else { format!("{text}.") }
}
