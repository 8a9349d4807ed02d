//! The tokens of Jinja's expressions, as Jinja2 reads them.

use minijinja::{Error, ErrorKind};

/// A token.
#[derive(Debug, PartialEq)]
pub enum Token {
    /// A name or a word.
    Name(String),
    /// A number, as it is written.
    Number(String),
    /// A text without its quotes, with its escapes resolved.
    Text(String),
    /// An operator or a bracket.
    Sign(&'static str),
}

/// Operators and brackets, the longer ones first.
const SIGNS: [&str; 26] = [
    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "|", ".", ",",
    ":", "(", ")", "[", "]", "{", "}", ";",
];

/// The error for a template that is no Jinja.
pub fn invalid(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::SyntaxError, why.into())
}

/// A construct that this loader does not render.
#[derive(Debug)]
pub struct Unsupported(pub String);

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsupported {}

/// The error for such a construct.
pub fn unsupported(construct: impl Into<String>) -> Error {
    let construct = construct.into();
    let error = Error::new(ErrorKind::InvalidOperation, construct.clone());
    error.with_source(Unsupported(construct))
}

impl Token {
    /// The token as `minijinja` reads it.
    pub fn written(&self) -> String {
        match self {
            Token::Name(text) | Token::Number(text) => text.clone(),
            Token::Sign(sign) => (*sign).to_owned(),
            Token::Text(text) => {
                let mut out = String::from('"');
                for letter in text.chars() {
                    match letter {
                        '"' | '\\' => out.extend(['\\', letter]),
                        '\n' => out.push_str("\\n"),
                        '\r' => out.push_str("\\r"),
                        _ => out.push(letter),
                    }
                }
                out.push('"');
                out
            }
        }
    }
}

/// Whether a letter is white space to Python.
pub fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\x1c'..='\x1f').contains(&letter)
}

/// The tokens of a tag without its braces.
///
/// # Errors
/// If a character begins no token, or an escape is not served.
pub fn tokens(inner: &str) -> Result<Vec<Token>, Error> {
    let mut out = Vec::new();
    let mut rest = inner.trim_start_matches(is_space);
    while let Some(first) = rest.chars().next() {
        let after_dot = matches!(out.last(), Some(Token::Sign(".")));
        let length = match first {
            '\'' | '"' => {
                let length =
                    quoted_length(rest).ok_or_else(|| invalid("a text without its end"))?;
                out.push(Token::Text(resolved(&rest[1..length - 1])?));
                length
            }
            '0'..='9' => {
                let length = if after_dot { digits(rest) } else { number_length(rest) };
                let number = &rest[..length];
                let zeros = !after_dot
                    && number.starts_with('0')
                    && number.bytes().all(|one| one.is_ascii_digit());
                if number.contains("__")
                    || number.ends_with('_')
                    || zeros && !number.trim_matches('0').is_empty()
                {
                    return Err(invalid(format!("the number {number}")));
                }
                out.push(Token::Number(rest[..length].to_owned()));
                length
            }
            _ if first == '_' || first.is_alphabetic() => {
                let end = |one: char| one != '_' && !one.is_alphanumeric();
                let length = rest.find(end).unwrap_or(rest.len());
                let name = &rest[..length];
                // The functions that operators become have such names.
                if name.starts_with("__") {
                    return Err(unsupported(format!("the name {name}")));
                }
                out.push(Token::Name(name.to_owned()));
                length
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign = sign.ok_or_else(|| invalid(format!("unexpected {first}")))?;
                out.push(Token::Sign(sign));
                sign.len()
            }
        };
        rest = rest[length..].trim_start_matches(is_space);
    }
    Ok(out)
}

fn digits(text: &str) -> usize {
    let end = |one: char| one != '_' && !one.is_ascii_digit();
    text.find(end).unwrap_or(text.len())
}

/// The length of a number: an integer of any base, or a float.
fn number_length(text: &str) -> usize {
    let second = text.as_bytes().get(1).map(u8::to_ascii_lowercase);
    if text.starts_with('0') && matches!(second, Some(b'x' | b'o' | b'b')) {
        let end = |one: char| one != '_' && !one.is_ascii_hexdigit();
        return text[2..].find(end).map_or(text.len(), |at| at + 2);
    }
    let mut length = digits(text);
    let follows = |text: &str| text.starts_with(|one: char| one.is_ascii_digit());
    if text[length..].starts_with('.') && follows(&text[length + 1..]) {
        length += 1 + digits(&text[length + 1..]);
    }
    if text[length..].starts_with(['e', 'E']) {
        let sign = usize::from(text[length + 1..].starts_with(['+', '-']));
        if follows(&text[length + 1 + sign..]) {
            length += 1 + sign + digits(&text[length + 1 + sign..]);
        }
    }
    length
}

/// The length of a quoted text with both quotes, at which it begins.
pub fn quoted_length(text: &str) -> Option<usize> {
    let mut letters = text.char_indices();
    let (_, quote) = letters.next()?;
    let mut escaped = false;
    for (at, letter) in letters {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// A text with Python's escapes resolved.
fn resolved(text: &str) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let kind = rest.chars().next().unwrap_or('\\');
        let plain = match kind {
            '\n' => Some(""),
            '\\' => Some("\\"),
            '\'' => Some("'"),
            '"' => Some("\""),
            'a' => Some("\x07"),
            'b' => Some("\x08"),
            'f' => Some("\x0c"),
            'n' => Some("\n"),
            'r' => Some("\r"),
            't' => Some("\t"),
            'v' => Some("\x0b"),
            _ => None,
        };
        if let Some(plain) = plain {
            out.push_str(plain);
            rest = rest.get(kind.len_utf8()..).unwrap_or_default();
            continue;
        }
        let (skipped, base, most) = match kind {
            'x' => (1, 16, 2),
            'u' => (1, 16, 4),
            'U' => (1, 16, 8),
            '0'..='7' => (0, 8, 3),
            'N' => {
                let name = rest.find('}').map_or(rest, |end| &rest[..=end]);
                return Err(unsupported(format!("the escape \\{name}")));
            }
            // Python keeps the backslash before a letter that it does not know.
            _ => {
                out.push('\\');
                continue;
            }
        };
        let digits: String =
            rest[skipped..].chars().take(most).take_while(|one| one.is_digit(base)).collect();
        if base == 16 && digits.len() < most {
            return Err(invalid(format!("the escape \\{kind} needs {most} digits")));
        }
        let letter = u32::from_str_radix(&digits, base).ok().and_then(char::from_u32);
        let letter = letter.ok_or_else(|| unsupported(format!("the escape \\{kind}{digits}")))?;
        out.push(letter);
        rest = &rest[skipped + digits.len()..];
    }
    Ok(out + rest)
}
