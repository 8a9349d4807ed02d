//! A template's text and tags as `minijinja` reads them: line ends, expressions, and the tag of
//! transformers.

use std::borrow::Cow;

use minijinja::{Error, ErrorKind};

use super::blocks::Blocks;
use super::expression::{DEEPEST, Walk, too_deep};
use super::macros;
use super::operators::{EACH, KEPT, TUPLE, WRITES};
use super::tokens::{Token, invalid, is_space, quoted_length, tokens, unsupported};

/// A template as `minijinja` reads it.
#[derive(Default)]
pub struct Prepared {
    /// The text.
    pub source: String,
    /// The longest piece between two tags for which nothing pays, in bytes.
    pub unpaid: usize,
}

/// Rewrites a template.
///
/// # Errors
/// If it is no Jinja, or uses a construct that is not served.
pub fn prepared(source: &str) -> Result<Prepared, Error> {
    let mut line = 1;
    rewritten(source, &mut line).map_err(|error| match error.kind() {
        ErrorKind::SyntaxError => {
            let what = error.detail().unwrap_or("no Jinja").to_owned();
            invalid(format!("{what} (in chat:{line})"))
        }
        _ => error,
    })
}

/// Longest text between two tags for which nothing pays, in bytes. Steps are counted.
const FREE_TEXT: usize = 32;

/// As above. `line` is that of the last tag that was read.
fn rewritten(source: &str, line: &mut usize) -> Result<Prepared, Error> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut prepared = Prepared::default();
    let mut rest = source.as_str();
    let mut blocks = Blocks::default();
    let macros = macros::with_defaults(&source);
    let (mut counted, mut stripped) = (0, false);
    while let Some(at) = next_tag(rest) {
        let (text, tag) = rest.split_at(at);
        let before = source.len() - tag.len();
        *line += source[counted..before].matches('\n').count();
        counted = before;
        let first = before == text.len();
        prepared.push_text(&only_known_spaces(text, stripped, Stripped::by(tag, first)));
        let out = &mut prepared.source;
        let (open, close) = match &tag[..2] {
            "{#" => ("{#", "#}"),
            "{{" => ("{{", "}}"),
            _ => ("{%", "%}"),
        };
        let length = match open {
            // In `{#}` the comment goes on.
            "{#" => tag[2..].find(close).map(|end| end + 4),
            _ => end_of(tag, close),
        };
        let (tag, after) = tag.split_at(length.ok_or_else(|| invalid("a tag without its end"))?);
        rest = after;
        // One minus sign alone belongs to the beginning.
        stripped = tag.len() > 5 && tag[..tag.len() - 2].ends_with('-');
        if open == "{#" {
            out.push_str(tag);
            continue;
        }
        let inner = &tag[2..tag.len() - 2];
        let (left, inner) = match inner.strip_prefix(['-', '+']) {
            // A plus sign before an expression belongs to the expression.
            Some(without) if open == "{%" || inner.starts_with('-') => (&inner[..1], without),
            _ => ("", inner),
        };
        let (right, inner) = match inner.strip_suffix(['-', '+']) {
            Some(without) if open == "{%" || inner.ends_with('-') => {
                (&inner[inner.len() - 1..], without)
            }
            _ => ("", inner),
        };
        let statement = open == "{%";
        let word = inner.trim_start_matches(is_space);
        let word = word.split(|one: char| one != '_' && !one.is_alphanumeric()).next();
        if statement && word == Some("raw") {
            if inner.trim_matches(is_space) != "raw" {
                return Err(invalid("more than a name in the tag raw"));
            }
            if right == "+" {
                return Err(invalid("a plus sign at the end of the tag raw"));
            }
            let (raw, end) = raw_end(rest).ok_or_else(|| invalid("a raw block without its end"))?;
            prepared.unpaid = prepared.unpaid.max(raw);
            let (content, tag) = rest[..end].split_at(raw);
            let lines = "\n".repeat(rest[..end].matches('\n').count());
            let content = Token::Text(kept_of(content, stripped, tag).to_owned()).written();
            let last = tag[..tag.len() - 2].chars().next_back();
            let right = last.filter(|sign| ['-', '+'].contains(sign));
            let right = right.map(String::from).unwrap_or_default();
            out.push_str(&format!(
                "{{%{left} if true %}}{{{{ {content}{lines} }}}}{{% endif {right}%}}"
            ));
            stripped = right == "-";
            rest = &rest[end..];
            continue;
        }
        let tokens = tokens(inner)?;
        if statement {
            blocks.pass(&tokens)?;
        }
        let walk = Walk::new(&tokens, blocks.is_conditional(), &macros);
        let written = if statement { statement_of(walk)? } else { printed(walk)? };
        // Messages tell lines, so every line stays a line.
        let lines = "\n".repeat(inner.matches('\n').count());
        out.push_str(&format!("{open}{left} {written} {lines}{right}{close}"));
    }
    prepared.push_text(&only_known_spaces(rest, stripped, Stripped::Nothing));
    Ok(prepared)
}

/// What a tag strips of the text before it.
#[derive(Clone, Copy)]
enum Stripped {
    Nothing,
    /// White space that is all of its line so far. `first`: the text begins the template, and so a line.
    Line {
        first: bool,
    },
    All,
}

impl Stripped {
    /// By its sign. A tag that prints leaves its line.
    fn by(tag: &str, first: bool) -> Self {
        match tag.as_bytes().get(2) {
            Some(b'-') => Stripped::All,
            Some(b'+') => Stripped::Nothing,
            _ if tag.starts_with("{{") => Stripped::Nothing,
            _ => Stripped::Line { first },
        }
    }

    /// Where it begins in this text.
    fn begin(self, text: &str) -> usize {
        let line = |first: bool| match text.rfind('\n') {
            Some(at) => Some(at + 1),
            None => first.then_some(0),
        };
        match self {
            Stripped::Nothing => text.len(),
            Stripped::All => text.trim_end_matches(is_space).len(),
            Stripped::Line { first } => {
                line(first).filter(|at| text[*at..].chars().all(is_space)).unwrap_or(text.len())
            }
        }
    }
}

/// Removes the spaces that a tag strips and the library does not know: Python counts the separators U+001C to
/// U+001F as white space. Line ends stay, so that messages tell the right line. `after` says whether a tag with a
/// minus sign stands before the text.
fn only_known_spaces(text: &str, after: bool, behind: Stripped) -> Cow<'_, str> {
    let end = if after { text.len() - text.trim_start_matches(is_space).len() } else { 0 };
    let start = behind.begin(text);
    let unknown = |(at, one): &(usize, char)| {
        (*at < end || *at >= start) && is_space(*one) && !one.is_whitespace()
    };
    match text.char_indices().any(|one| unknown(&one)) {
        true => text.char_indices().filter(|one| !unknown(one)).map(|(_, one)| one).collect(),
        false => Cow::Borrowed(text),
    }
}

/// What is kept of the content of a raw block, whose end is `tag`.
fn kept_of<'t>(content: &'t str, after: bool, tag: &str) -> &'t str {
    let content = if after { content.trim_start_matches(is_space) } else { content };
    &content[..Stripped::by(tag, false).begin(content)]
}

/// Where the content of a raw block ends, and where the tag behind it ends.
fn raw_end(text: &str) -> Option<(usize, usize)> {
    text.match_indices("{%").find_map(|(begin, _)| {
        let inner = &text[begin + 2..];
        let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner).trim_start_matches(is_space);
        let after = inner.strip_prefix("endraw")?.trim_start_matches(is_space);
        let after = after.strip_prefix(['-', '+']).unwrap_or(after).strip_prefix("%}")?;
        Some((begin, text.len() - after.len()))
    })
}

/// Where the next tag begins.
fn next_tag(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let begins = |at: &usize| matches!(bytes.get(at + 1), Some(b'%' | b'{' | b'#'));
    text.match_indices('{').map(|(at, _)| at).find(begins)
}

impl Prepared {
    /// Writes a text between two tags, with what pays for it. That stands behind the first letter of the
    /// first word: white space beside a tag belongs to the tag.
    fn push_text(&mut self, text: &str) {
        let mut words = text.char_indices().filter(|(_, one)| !one.is_whitespace());
        let (first, second) = (words.next(), words.next());
        let (Some((begin, letter)), Some(_), true) = (first, second, text.len() > FREE_TEXT) else {
            self.unpaid = self.unpaid.max(text.len());
            return self.source.push_str(text);
        };
        let (head, tail) = text.split_at(begin + letter.len_utf8());
        // A brace would make another tag with those of the payment.
        if letter == '{' || tail.starts_with('}') {
            self.unpaid = self.unpaid.max(text.len());
            return self.source.push_str(text);
        }
        self.source.push_str(&format!("{head}{{{{{WRITES}({})}}}}{tail}", text.len()));
    }
}

fn printed(mut walk: Walk<'_>) -> Result<String, Error> {
    let out = walk.tuple(true)?;
    walk.end(out)
}

/// Whether a token ends what an assignment or a loop names.
fn ends_target(token: &Token) -> bool {
    match token {
        Token::Sign(sign) => *sign == "=",
        Token::Name(word) => word == "in",
        _ => false,
    }
}

/// What begins a scope in a block: names that are set in it are not known behind it.
const SCOPED: &str = " %}{% with";

/// A statement, rewritten.
fn statement_of(mut walk: Walk<'_>) -> Result<String, Error> {
    let Token::Name(word) = walk.token()? else {
        return Err(invalid("a statement without a name"));
    };
    // What an assignment or a loop names is passed on as it is, and the library nests with its brackets.
    let opens = |token: &&Token| matches!(token, Token::Sign("("));
    let target = walk.tokens.iter().take_while(|token| !ends_target(token));
    if ["set", "for"].contains(&word.as_str()) && target.filter(opens).count() > DEEPEST {
        return Err(too_deep());
    }
    let mut out = format!("{word} ");
    match word.as_str() {
        "if" | "elif" => out.push_str(&walk.tuple(true)?),
        "do" => out.push_str(&walk.tuple(true)?),
        "for" => {
            while !walk.take("in") {
                out.push_str(&walk.token()?.written());
                out.push(' ');
            }
            // Behind a comma, Jinja takes `in` for another name.
            if out.ends_with(", ") {
                return Err(invalid("a comma before the word in"));
            }
            out.push_str(&format!("in {EACH}({})", walk.tuple(false)?));
            if walk.take("if") {
                out.push_str(&format!(" if {}", walk.expression()?));
            }
            if walk.take("recursive") {
                out.push_str(" recursive");
            }
        }
        "set" => {
            let mut block = true;
            while let Some(token) = walk.peek() {
                if walk.take("=") {
                    block = false;
                    let value = walk.tuple(true)?;
                    match out.contains('.') {
                        true => out.push_str(&format!("= {KEPT}({value})")),
                        false => out.push_str(&format!("= {value}")),
                    }
                    break;
                }
                if walk.take("|") {
                    out.push_str(&format!("| {}", walk.filter()?));
                    continue;
                }
                walk.token()?;
                if let (Token::Sign("."), Some(Token::Name(name))) = (token, walk.peek())
                    && name.starts_with('_')
                {
                    return Err(unsupported("a member of a namespace that begins with _"));
                }
                if let (Token::Name(_), Some(Token::Name(_))) = (token, walk.peek()) {
                    return Err(invalid("two names without a comma"));
                }
                // No space around a dot: `ns.field` is one target.
                out.push_str(&token.written());
            }
            if block {
                out.push_str(SCOPED);
            }
        }
        "with" => {
            let (mut names, mut values) = (Vec::new(), Vec::new());
            while walk.peek().is_some() {
                if !names.is_empty() {
                    walk.must(",")?;
                }
                names.push(walk.token()?.written());
                walk.must("=")?;
                values.push(walk.expression()?);
            }
            // No value knows the names of the others.
            if !names.is_empty() {
                let (names, values) = (names.join(", "), values.join(", "));
                out.push_str(&format!("({names},) = {TUPLE}({values})"));
            }
        }
        "macro" => {
            let name = walk.token()?.written();
            out.push_str(&name);
            if walk.take("(") {
                out.push_str(&macros::parameters(&mut walk, &name)?);
            }
        }
        "call" => {
            if walk.take("(") {
                out.push_str(&walk.arguments()?);
            }
            out.push_str(&walk.expression()?);
        }
        "filter" => {
            out.push_str(&walk.filter()?);
            while walk.take("|") {
                out.push_str(&format!(" | {}", walk.filter()?));
            }
            out.push_str(SCOPED);
        }
        "endset" | "endfilter" => out = format!("endwith %}}{{% {word}"),
        // A block with a scope of its own, which it is where nobody asks for the assistant's part alone.
        "generation" => out = "with".to_owned(),
        "endgeneration" => out = "endwith".to_owned(),
        "autoescape" if !(walk.take("false") || walk.take("False")) => {
            return Err(unsupported("autoescape"));
        }
        "autoescape" => out.push_str("false"),
        _ => {
            while let Some(token) = walk.peek() {
                walk.token()?;
                out.push_str(&token.written());
                out.push(' ');
            }
        }
    }
    walk.end(out)
}

/// The length of a tag up to its end, which neither a quoted text nor a bracket holds.
fn end_of(tag: &str, end: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 2;
    while let Some(letter) = tag[at..].chars().next() {
        match letter {
            '\'' | '"' => {
                at += quoted_length(&tag[at..])?;
                continue;
            }
            _ if depth == 0 && tag[at..].starts_with(end) => return Some(at + end.len()),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += letter.len_utf8();
    }
    None
}
