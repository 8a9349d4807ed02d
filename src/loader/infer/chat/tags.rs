//! What `minijinja` reads in another way than Jinja: line ends, escapes of eight digits, and the tag
//! of transformers.

/// The method that a slice of three parts becomes.
pub const SLICE: &str = "slice_of_three";

/// A template as `minijinja` reads it.
pub fn prepared(source: &str) -> String {
    replaced(&source.replace("\r\n", "\n").replace('\r', "\n"))
}

/// A template with `{% generation %}` blocks as blocks with a scope of their own, which is what they
/// are where nobody asks for the assistant's part alone.
fn replaced(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = ["{%", "{{", "{#"].iter().filter_map(|tag| rest.find(tag)).min() {
        let (text, tag) = rest.split_at(at);
        out.push_str(text);
        let length = match &tag[..2] {
            "{#" => tag.find("#}").map(|end| end + 2),
            "{{" => end_of(tag, "}}"),
            _ => end_of(tag, "%}"),
        };
        let Some(length) = length else {
            rest = tag;
            break;
        };
        let (tag, after) = tag.split_at(length);
        let tag = if tag.starts_with("{#") { tag.to_owned() } else { sliced(&unescaped(tag)) };
        rest = after;
        let sign = |one: char| one == '-' || one == '+';
        let inner = tag[2..].trim_start_matches(sign).trim_start();
        let word = inner.split(|one: char| one != '_' && !one.is_alphanumeric()).next();
        match word.filter(|_| tag.starts_with("{%")) {
            Some("generation") => out.push_str(&tag.replacen("generation", "with", 1)),
            Some("endgeneration") => out.push_str(&tag.replacen("endgeneration", "endwith", 1)),
            Some("raw") => {
                out.push_str(&tag);
                let end = after.find("endraw").unwrap_or(after.len());
                let (raw, after) = after.split_at(end);
                out.push_str(raw);
                rest = after;
            }
            _ => out.push_str(&tag),
        }
    }
    out.push_str(rest);
    out
}

/// The length of a tag up to its end, which a quoted text does not hold.
fn end_of(tag: &str, end: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, letter) in tag.char_indices().skip(2) {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if letter == '\\' => escaped = true,
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if letter == '\'' || letter == '"' => quote = Some(letter),
            None if tag[at..].starts_with(end) => return Some(at + end.len()),
            None => {}
        }
    }
    None
}

/// A tag with its escapes of eight digits replaced by their characters.
fn unescaped(tag: &str) -> String {
    let mut out = String::with_capacity(tag.len());
    let mut rest = tag;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let digits = escape.strip_prefix("\\U").and_then(|digits| digits.get(..8));
        let letter = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match letter.and_then(char::from_u32) {
            Some(letter) if !"'\"\\\n".contains(letter) => {
                out.push(letter);
                rest = &escape[10..];
            }
            _ => {
                let next = escape[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&escape[..1 + next]);
                rest = &escape[1 + next..];
            }
        }
    }
    out + rest
}

/// A tag with its slices of three parts as calls of the method [`SLICE`], which stands in the same
/// place. `minijinja` does not count backwards as Python does, and not at all in an empty value.
fn sliced(tag: &str) -> String {
    let mut out = String::with_capacity(tag.len());
    let mut rest = tag;
    while let Some(at) = rest.find(['[', '\'', '"']) {
        let (before, open) = rest.split_at(at);
        out.push_str(before);
        let Some((inner, after)) = enclosed(open) else {
            rest = open;
            break;
        };
        let mark = &open[..1];
        let parts = split_at_colons(inner);
        if mark != "[" {
            out.push_str(&open[..open.len() - after.len()]);
        } else if let [start, stop, step] = parts.as_slice() {
            let [start, stop, step] = [start, stop, step].map(|part| match part.trim() {
                "" => "none".to_owned(),
                part => sliced(part),
            });
            out.push_str(&format!(".{SLICE}({start}, {stop}, {step})"));
        } else {
            out.push_str(&format!("[{}]", sliced(inner)));
        }
        rest = after;
    }
    out + rest
}

/// What a text that begins with a bracket or a quote encloses, and what follows.
fn enclosed(open: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    let mut quote = None;
    let mut escaped = false;
    for (at, letter) in open.char_indices() {
        match (quote, letter) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(mark), letter) if letter == mark => {
                quote = None;
                if depth == 0 {
                    return Some((&open[1..at], &open[at + 1..]));
                }
            }
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '[' | '(' | '{') => depth += 1,
            (None, ']' | ')' | '}') => {
                depth -= 1;
                if depth == 0 {
                    return Some((&open[1..at], &open[at + 1..]));
                }
            }
            _ => {}
        }
    }
    None
}

/// The parts of a subscript between its own colons.
fn split_at_colons(inner: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut begin = 0;
    let mut at = 0;
    while let Some(letter) = inner[at..].chars().next() {
        if let '[' | '(' | '{' | '\'' | '"' = letter
            && let Some((_, after)) = enclosed(&inner[at..])
        {
            at = inner.len() - after.len();
            continue;
        }
        if letter == ':' {
            parts.push(&inner[begin..at]);
            begin = at + 1;
        }
        at += letter.len_utf8();
    }
    parts.push(&inner[begin..]);
    parts
}
