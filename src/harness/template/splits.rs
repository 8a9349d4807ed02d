//! Python's ways to split a text.

use super::text::is_space;

/// `str.split`. A negative limit is none.
pub fn split(text: &str, sep: Option<&str>, most: i64) -> Vec<String> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    match sep {
        Some(sep) => text.splitn(most.saturating_add(1), sep).map(str::to_owned).collect(),
        None => {
            let mut parts = Vec::new();
            let mut rest = text.trim_start_matches(is_space);
            while !rest.is_empty() {
                let end = rest.find(is_space).filter(|_| parts.len() < most);
                let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
                parts.push(part.to_owned());
                rest = after.trim_start_matches(is_space);
            }
            parts
        }
    }
}

/// How many parts a split has at most.
pub fn parts_of(text: &str, sep: Option<&str>) -> usize {
    match sep {
        Some(sep) => text.matches(sep).count() + 1,
        None => text.split(is_space).count(),
    }
}

/// How many line ends a text has at most.
pub fn line_ends(text: &str) -> usize {
    text.chars().filter(|one| one.is_control() || one.is_whitespace()).count()
}

/// `str.rsplit`.
pub fn split_right(text: &str, sep: Option<&str>, most: i64) -> Vec<String> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut parts: Vec<String> = match sep {
        Some(sep) => text.rsplitn(most.saturating_add(1), sep).map(str::to_owned).collect(),
        None => {
            let mut parts = Vec::new();
            let mut rest = text.trim_end_matches(is_space);
            while !rest.is_empty() {
                let at = rest.char_indices().rev().find(|(_, letter)| is_space(*letter));
                let begin = at.filter(|_| parts.len() < most);
                let begin = begin.map_or(0, |(at, letter)| at + letter.len_utf8());
                parts.push(rest[begin..].to_owned());
                rest = rest[..begin].trim_end_matches(is_space);
            }
            parts
        }
    };
    parts.reverse();
    parts
}

/// `str.splitlines`.
pub fn split_lines(text: &str, keep: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    let ends = |letter: char| {
        matches!(
            letter,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'
                ..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    while !rest.is_empty() {
        let Some(at) = rest.find(ends) else {
            lines.push(rest.to_owned());
            break;
        };
        let first = rest[at..].chars().next().map_or(0, char::len_utf8);
        let length = if rest[at..].starts_with("\r\n") { 2 } else { first };
        lines.push(rest[..if keep { at + length } else { at }].to_owned());
        rest = &rest[at + length..];
    }
    lines
}
