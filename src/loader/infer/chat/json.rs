//! The functions and filters that transformers adds to Jinja: `tojson` as `json.dumps`, and dates.

use std::fmt::Write;

use chrono::NaiveDateTime;
use chrono::format::{Item, StrftimeItems};
use minijinja::value::{Rest, ValueKind, ValueOrKwargs};
use minijinja::{Error, ErrorKind, Value};

use super::budget::{SHOWN, exceeded, spend};
use super::filters::arguments;
use super::lazy::{Range, View, is_namespace};
use super::order::sorted;
use super::python;
use super::tokens::unsupported;

/// Longest form of a date, and widest indent of JSON, in bytes.
const LONGEST_FORM: usize = 1000;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// `strftime_now(form)`.
///
/// # Errors
/// If the form has a code that this library does not know.
pub fn date(now: NaiveDateTime, form: &str) -> Result<String, Error> {
    if form.len() > LONGEST_FORM {
        return Err(unsupported(format!("strftime_now with more than {LONGEST_FORM} letters")));
    }
    let items: Vec<Item<'_>> = StrftimeItems::new(form).collect();
    let mut out = String::new();
    let unknown = || Error::new(ErrorKind::UnknownFunction, format!("strftime_now('{form}')"));
    if items.contains(&Item::Error) {
        return Err(unknown());
    }
    write!(out, "{}", now.format_with_items(items.iter())).map_err(|_| unknown())?;
    Ok(out)
}

/// How to write JSON.
struct Style {
    ascii: bool,
    indent: Option<String>,
    between: String,
    colon: String,
    sorted: bool,
}

/// The filter `tojson`: `json.dumps(value, ensure_ascii=False, indent, separators, sort_keys)`.
///
/// # Errors
/// If the value is nothing that JSON has, or an argument is unknown.
pub fn tojson(value: &Value, all: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let [ascii, indent, separators, sorted] =
        arguments(all, names)?.map(|given| given.filter(|value| !value.is_none()));
    let indent = match indent {
        None => None,
        Some(indent) => Some(match (indent.as_str(), usize::try_from(indent.clone())) {
            (Some(text), _) if text.len() <= LONGEST_FORM => text.to_owned(),
            (None, Ok(width)) if width <= LONGEST_FORM => " ".repeat(width),
            _ => return Err(invalid("tojson: indent is a number or a text")),
        }),
    };
    let (between, colon) = match separators {
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
        Some(pair) => {
            let parts: Vec<Value> = pair.try_iter()?.collect();
            match parts.as_slice() {
                [one, two] if one.as_str().is_some() && two.as_str().is_some() => {
                    let (one, two) = (python::written(one)?, python::written(two)?);
                    spend(one.len() + two.len())?;
                    (one, two)
                }
                _ => return Err(invalid("tojson: separators are two texts")),
            }
        }
    };
    let style = Style {
        ascii: ascii.is_some_and(|value| value.is_true()),
        indent,
        between,
        colon,
        sorted: sorted.is_some_and(|value| value.is_true()),
    };
    let mut out = String::new();
    style.write(value, 0, &mut out)?;
    spend(out.len())?;
    Ok(out)
}

impl Style {
    fn write(&self, value: &Value, level: usize, out: &mut String) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&number(value)),
            ValueKind::String => self.text(value.as_str().unwrap_or_default(), out),
            ValueKind::Seq if !is_lazy(value) => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.group('[', ']', items.len(), level, out, |at, out| {
                    self.write(&items[at], level + 1, out)
                })?;
            }
            ValueKind::Map if !is_namespace(value) => {
                let mut pairs = Vec::new();
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sorted {
                    keys = sorted(keys)?;
                }
                for key in keys {
                    pairs.push((key_text(&key)?, value.get_item(&key)?));
                }
                self.group('{', '}', pairs.len(), level, out, |at, out| {
                    self.text(&pairs[at].0, out);
                    out.push_str(&self.colon);
                    self.write(&pairs[at].1, level + 1, out)
                })?;
            }
            kind => return Err(invalid(format!("{kind} is not JSON serializable"))),
        }
        Ok(())
    }

    fn group(
        &self,
        open: char,
        close: char,
        count: usize,
        level: usize,
        out: &mut String,
        member: impl Fn(usize, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let line = |level: usize, out: &mut String| {
            if let Some(indent) = &self.indent {
                out.push('\n');
                out.push_str(&indent.repeat(level));
            }
        };
        if level > 100 {
            return Err(invalid("tojson: the value is nested too deep"));
        }
        out.push(open);
        for at in 0..count {
            // A list may hold one value many times, so that its text is far longer than the value.
            if out.len() > SHOWN {
                return Err(exceeded());
            }
            if at > 0 {
                out.push_str(&self.between);
            }
            line(level + 1, out);
            member(at, out)?;
        }
        if count > 0 {
            line(level, out);
        }
        out.push(close);
        Ok(())
    }

    fn text(&self, text: &str, out: &mut String) {
        out.push('"');
        for letter in text.chars() {
            match letter {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
                '\u{7f}'.. if self.ascii => {
                    for unit in letter.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                letter => out.push(letter),
            }
        }
        out.push('"');
    }
}

/// Whether Python has no list here.
fn is_lazy(value: &Value) -> bool {
    value.downcast_object_ref::<Range>().is_some() || value.downcast_object_ref::<View>().is_some()
}

/// A number as JSON writes it.
fn number(value: &Value) -> String {
    match python::number(value).as_str() {
        "nan" => "NaN".to_owned(),
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        written => written.to_owned(),
    }
}

fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(key.to_string().to_lowercase()),
        ValueKind::Number => Ok(number(key)),
        ValueKind::String => Ok(key.to_string()),
        kind => Err(invalid(format!("a key of JSON is a text, not {kind}"))),
    }
}
