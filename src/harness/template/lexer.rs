//! Cuts a template into pieces, with the white space that Jinja takes away: `trim_blocks` and
//! `lstrip_blocks` are on, and one newline at the end is dropped, as transformers has it.

use super::fault::{Fault, Result, failed};
use super::literal::{integer, number_length, unescaped};
use super::text::is_space;
use super::token::{OPERATORS, Spot, Token};

/// Longest template, in bytes: ten times the longest one that was published.
const LONGEST: usize = 1 << 20;

/// Cuts a template.
pub fn cut(source: &str) -> Result<Vec<Spot>> {
    if source.len() > LONGEST {
        return Err(Fault::Limit("text"));
    }
    let mut source = source.replace("\r\n", "\n").replace('\r', "\n");
    if source.ends_with('\n') {
        source.pop();
    }
    let mut lexer =
        Lexer { source: &source, at: 0, line_starting: true, line: (0, 1), spots: Vec::new() };
    while lexer.at < source.len() {
        lexer.outside()?;
    }
    Ok(lexer.spots)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    /// Whether the last tag took the end of its line with it.
    line_starting: bool,
    /// How far lines are counted, and the line there.
    line: (usize, usize),
    spots: Vec<Spot>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn push(&mut self, token: Token) {
        let (counted, line) = self.line;
        let line = line + self.source[counted..self.at].matches('\n').count();
        self.line = (self.at, line);
        self.spots.push((token, line));
    }

    fn fail<T>(&self, message: &str) -> Result<T> {
        let line = self.source[..self.at].matches('\n').count() + 1;
        failed(format!("line {line}: {message}"))
    }

    /// Moves on by a match, and notes whether it ends in a newline.
    fn pass(&mut self, length: usize) {
        let end = self.at + length;
        self.line_starting = self.source[..end].ends_with('\n');
        self.at = end;
    }

    /// Text up to the next tag, and the tag.
    fn outside(&mut self) -> Result<()> {
        let rest = self.rest();
        let begins = |at: &usize| matches!(rest.as_bytes().get(at + 1), Some(b'%' | b'{' | b'#'));
        let Some(found) = rest.match_indices('{').map(|(at, _)| at).find(begins) else {
            self.push(Token::Data(rest.to_owned()));
            self.at = self.source.len();
            return Ok(());
        };
        let (text, tag) = rest.split_at(found);
        let kind = &tag[..2];
        let sign = tag[2..].chars().next().filter(|sign| matches!(sign, '-' | '+'));
        self.data(text, sign, kind != "{{");
        self.at += found;
        let begin = 2 + usize::from(sign.is_some());
        match kind {
            "{#" => {
                self.pass(begin);
                self.comment()
            }
            "{{" => {
                self.push(Token::PrintBegin);
                self.pass(begin);
                self.inside("}}", Token::PrintEnd)
            }
            _ => match raw_begin(&tag[begin..]) {
                Some(length) => {
                    self.pass(begin + length);
                    self.raw()
                }
                None => {
                    self.push(Token::TagBegin);
                    self.pass(begin);
                    self.inside("%}", Token::TagEnd)
                }
            },
        }
    }

    /// Text before a tag, less the white space that the tag takes.
    fn data(&mut self, text: &str, sign: Option<char>, strips: bool) {
        let mut kept = text;
        if sign == Some('-') {
            kept = text.trim_end_matches(is_space);
        } else if sign != Some('+') && strips {
            let line = text.rfind('\n').map_or(0, |newline| newline + 1);
            let blank = !text[line..].is_empty() && text[line..].chars().all(is_space);
            if blank && (line > 0 || self.line_starting) {
                kept = &text[..line];
            }
        }
        if !kept.is_empty() {
            self.push(Token::Data(kept.to_owned()));
        }
    }

    fn comment(&mut self) -> Result<()> {
        let rest = self.rest();
        let Some(end) = rest.find("#}") else { return self.fail("a comment without its end") };
        self.close(end, "#}", rest[..end].chars().next_back());
        Ok(())
    }

    /// The content of a raw block.
    fn raw(&mut self) -> Result<()> {
        let rest = self.rest();
        for (begin, _) in rest.match_indices("{%") {
            let after = &rest[begin + 2..];
            let sign = after.chars().next().filter(|sign| matches!(sign, '-' | '+'));
            let inner = &after[usize::from(sign.is_some())..];
            let Some(tail) = inner.trim_start_matches(is_space).strip_prefix("endraw") else {
                continue;
            };
            let tail = tail.trim_start_matches(is_space);
            let before = tail.chars().next().filter(|sign| matches!(sign, '-' | '+'));
            if !tail[usize::from(before.is_some())..].starts_with("%}") {
                continue;
            }
            self.data(&rest[..begin], sign, true);
            let end = rest.len() - tail.len() + usize::from(before.is_some());
            self.close(end, "%}", before);
            return Ok(());
        }
        self.fail("a raw block without its end")
    }

    /// Passes the end of a tag, with the white space that it takes. `before` is the letter before.
    fn close(&mut self, end: usize, mark: &str, before: Option<char>) {
        let mut length = end + mark.len();
        let after = &self.rest()[length..];
        if before == Some('-') {
            length += after.len() - after.trim_start_matches(is_space).len();
        } else if before != Some('+') && mark != "}}" && after.starts_with('\n') {
            length += 1;
        }
        self.pass(length);
    }

    /// The pieces inside of a tag.
    fn inside(&mut self, mark: &str, end: Token) -> Result<()> {
        let mut open: Vec<&str> = Vec::new();
        loop {
            let rest = self.rest();
            let Some(letter) = rest.chars().next() else {
                return self.fail("a tag without its end");
            };
            if is_space(letter) {
                self.at += letter.len_utf8();
                continue;
            }
            let sign = matches!(letter, '-') || (letter == '+' && mark == "%}");
            let sign = usize::from(sign && rest[1..].starts_with(mark));
            if open.is_empty() && rest[sign..].starts_with(mark) {
                self.push(end);
                self.close(sign, mark, Some(letter).filter(|_| sign == 1));
                return Ok(());
            }
            self.piece(rest, letter, &mut open)?;
        }
    }

    fn piece(&mut self, rest: &str, letter: char, open: &mut Vec<&'static str>) -> Result<()> {
        if let Some((length, is_float)) = number_length(rest) {
            let text = &rest[..length];
            let token = match is_float {
                true => Token::Float(text.replace('_', "").parse().unwrap_or(0.0)),
                false => Token::Int(integer(text)?),
            };
            self.push(token);
            self.at += length;
        } else if letter == '_' || letter.is_alphanumeric() {
            let end = rest.find(|one: char| one != '_' && !one.is_alphanumeric());
            let name = &rest[..end.unwrap_or(rest.len())];
            self.push(Token::Name(name.to_owned()));
            self.at += name.len();
        } else if letter == '\'' || letter == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|one| {
                let ends = one == letter && !escaped;
                escaped = one == '\\' && !escaped;
                ends
            });
            let Some(end) = end else { return self.fail("a text without its end") };
            self.push(Token::Text(unescaped(&rest[1..=end])?));
            self.at += end + 2;
        } else {
            let found = OPERATORS.into_iter().find(|operator| rest.starts_with(operator));
            let Some(operator) = found else {
                return self.fail(&format!("unexpected '{letter}'"));
            };
            match operator {
                "(" => open.push(")"),
                "[" => open.push("]"),
                "{" => open.push("}"),
                ")" | "]" | "}" if open.pop() != Some(operator) => {
                    return self.fail(&format!("unexpected '{operator}'"));
                }
                _ => {}
            }
            self.push(Token::Operator(operator));
            self.at += operator.len();
        }
        Ok(())
    }
}

/// The length of the rest of `{% raw %}`, if the tag is one.
fn raw_begin(inner: &str) -> Option<usize> {
    let tail = inner.trim_start_matches(is_space).strip_prefix("raw")?;
    let tail = tail.trim_start_matches(is_space);
    let left = match tail.strip_prefix("-%}") {
        Some(after) => after.trim_start_matches(is_space),
        None => tail.strip_prefix("%}")?,
    };
    Some(inner.len() - left.len())
}
