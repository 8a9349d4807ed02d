//! A strict JSON reader (RFC 8259, no extensions) over text that is already UTF-8.
//!
//! Reasons not to use `serde_json`: its derived structs accept arrays in place of objects, and maps
//! in place of enum names. Its `Value` keeps the last of two equal keys. To turn off each of these
//! takes more code than the grammar itself. Here, [`Cursor`] reads by the grammar and refuses
//! duplicate keys at every level. It has readers for the types that a safetensors header has, and
//! [`check`] reads any value.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::loader::error::quote;

/// Deepest nesting that is accepted; the format itself needs three.
pub const MAX_DEPTH: usize = 128;

/// Keys of an object that are compared one by one: a tensor's entry has three.
const FEW: usize = 4;

/// The reason why a text is not strict JSON, with the byte offset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The grammar is broken.
    #[error("{what} at byte {at}")]
    Syntax {
        /// Byte offset.
        at: usize,
        /// What was wrong there.
        what: &'static str,
    },
    /// A key occurs twice in one object.
    #[error("key given twice at byte {at}: {}", quote(key))]
    Duplicate {
        /// Byte offset of the second one.
        at: usize,
        /// The key, escapes decoded.
        key: String,
    },
}

impl JsonError {
    /// Formats the error with line and column in `text`, for files that people edit.
    pub fn shown(&self, text: &str) -> String {
        let at = match self {
            JsonError::Syntax { at, .. } | JsonError::Duplicate { at, .. } => *at,
        };
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let what = match self {
            JsonError::Syntax { what, .. } => (*what).to_owned(),
            JsonError::Duplicate { key, .. } => format!("{} a second time", quote(key)),
        };
        format!("line {line}, column {column}: {what}")
    }
}

/// Reads one JSON value at the start of `text`. Returns its length in bytes.
///
/// # Errors
/// If the grammar is broken or a key is repeated.
pub fn check(text: &str) -> Result<usize, JsonError> {
    let mut cursor = Cursor::new(text);
    cursor.skip_value(0)?;
    Ok(cursor.at)
}

/// A position in JSON text.
#[derive(Clone, Debug)]
pub struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

/// The type of a value, known from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    Text,
    /// A digit or `-`.
    Number,
    /// `true`, `false` or `null`, or anything that is not JSON.
    Word,
}

impl<'t> Cursor<'t> {
    /// Starts at the first byte.
    pub fn new(text: &'t str) -> Self {
        Cursor { text, at: 0 }
    }

    /// How far it has read, in bytes.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The type of the value that comes next.
    pub fn kind(&mut self) -> Kind {
        self.skip_space();
        match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::Text,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            _ => Kind::Word,
        }
    }

    /// Skips a value, checking all of it.
    ///
    /// # Errors
    /// If the grammar is broken or a key is repeated.
    pub fn skip_value(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        match self.kind() {
            Kind::Object => self.object(|cursor, _| cursor.skip_value(depth + 1)),
            Kind::Array => self.array(|cursor| cursor.skip_value(depth + 1)),
            Kind::Text => self.string().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::Word => self.word(),
        }
    }

    /// Reads an object. Passes each key to `member`, which must read the value.
    ///
    /// # Errors
    /// If the grammar is broken or a key is repeated, and those of `member`.
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'t, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{', "expected `{`")?;
        self.skip_space();
        if self.take(b'}') {
            return Ok(());
        }
        let mut keys = Keys::default();
        loop {
            self.skip_space();
            let at = self.at;
            let key = self.string()?;
            self.skip_space();
            self.expect(b':', "expected `:`")?;
            if !keys.add(key.clone()) {
                return Err(JsonError::Duplicate { at, key: key.into_owned() }.into());
            }
            member(self, key)?;
            self.skip_space();
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',', "expected `,` or `}`")?;
        }
    }

    /// Reads an array; `element` must read one value.
    ///
    /// # Errors
    /// If the grammar is broken, and those of `element`.
    pub fn array<E: From<JsonError>>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'[', "expected `[`")?;
        self.skip_space();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            element(self)?;
            self.skip_space();
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',', "expected `,` or `]`")?;
        }
    }

    /// Reads a string and decodes its escapes.
    ///
    /// # Errors
    /// Unterminated strings, raw control characters, unknown escapes, lone surrogates.
    pub fn string(&mut self) -> Result<Cow<'t, str>, JsonError> {
        self.expect(b'"', "expected a string")?;
        let mut decoded: Option<String> = None;
        let mut start = self.at;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let special = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            self.at += special.unwrap_or(rest.len());
            match self.peek() {
                None => return Err(self.error("string without an end")),
                Some(b'"') => {
                    let rest = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(match decoded {
                        None => Cow::Borrowed(rest),
                        Some(text) => Cow::Owned(text + rest),
                    });
                }
                Some(b'\\') => {
                    let text = decoded.get_or_insert_default();
                    text.push_str(&self.text[start..self.at]);
                    self.at += 1;
                    let escaped = self.escape()?;
                    decoded.get_or_insert_default().push(escaped);
                    start = self.at;
                }
                Some(_) => return Err(self.error("raw control character in a string")),
            }
        }
    }

    /// Reads a number and returns it as written.
    ///
    /// # Errors
    /// Leading zeros, missing digits.
    pub fn number(&mut self) -> Result<&'t str, JsonError> {
        let start = self.at;
        self.take(b'-');
        if self.take(b'0') {
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.error("number with a leading zero"));
            }
        } else {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn word(&mut self) -> Result<(), JsonError> {
        for word in ["true", "false", "null"] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        Err(self.error("expected a JSON value"))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.error("expected a digit")) } else { Ok(()) }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let escaped = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.error("unknown escape")),
        };
        self.at += 1;
        Ok(escaped)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self.hex4()?;
        let point = match first {
            0xd800..=0xdbff => {
                self.expect(b'\\', "lone surrogate")?;
                self.expect(b'u', "lone surrogate")?;
                let second = self.hex4()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(self.error("lone surrogate"));
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            other => other,
        };
        char::from_u32(point).ok_or_else(|| self.error("lone surrogate"))
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            value = value * 16 + digit.ok_or_else(|| self.error("expected four hex digits"))?;
            self.at += 1;
        }
        Ok(value)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        if self.take(byte) { Ok(()) } else { Err(self.error(what)) }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error(&self, what: &'static str) -> JsonError {
        JsonError::Syntax { at: self.at, what }
    }
}

/// The keys of an object that were read.
#[derive(Default)]
struct Keys<'t> {
    /// The first of them. To make a set for every object would take longer than to read it.
    few: [Option<Cow<'t, str>>; FEW],
    /// The others.
    many: HashSet<Cow<'t, str>>,
}

impl<'t> Keys<'t> {
    /// Adds a key. Returns false if it was there.
    fn add(&mut self, key: Cow<'t, str>) -> bool {
        for place in &mut self.few {
            match place {
                Some(known) if *known == key => return false,
                Some(_) => {}
                None => {
                    *place = Some(key);
                    return true;
                }
            }
        }
        self.many.insert(key)
    }
}

#[cfg(test)]
mod tests;
