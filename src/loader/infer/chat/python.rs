//! How Python writes values, where `minijinja` writes them in another way.

use minijinja::value::ValueKind;
use minijinja::{Error, Value};

use super::budget::{SHOWN, exceeded};
use super::compare::is_tuple;
use super::lazy::{Range, View, is_namespace};
use super::tokens::unsupported;

/// A value as a template prints it.
///
/// # Errors
/// For what Python prints by its place in memory, and for a text without bound.
pub fn written(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Undefined => Ok(String::new()),
        _ => {
            let mut out = String::new();
            shown(value, &mut out)?;
            Ok(out)
        }
    }
}

/// Writes Python's `repr()`.
///
/// # Errors
/// As above.
pub fn shown(value: &Value, out: &mut String) -> Result<(), Error> {
    // A list may hold one value many times, so that its text is far longer than the value.
    if out.len() > SHOWN {
        return Err(exceeded());
    }
    let between = |at: usize| if at > 0 { ", " } else { "" };
    match value.kind() {
        ValueKind::String if value.is_safe() => {
            let text = quoted(value.as_str().unwrap_or_default());
            out.push_str(&format!("Markup({text})"));
        }
        ValueKind::String => out.push_str(&quoted(value.as_str().unwrap_or_default())),
        ValueKind::Number => out.push_str(&number(value)),
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::Seq if value.downcast_object_ref::<Range>().is_none() => {
            let view = value.downcast_object_ref::<View>();
            let tuple = is_tuple(value);
            if let Some(view) = view {
                out.push_str(view.name);
                out.push('(');
            }
            out.push(if tuple { '(' } else { '[' });
            let mut count = 0;
            for item in value.try_iter()? {
                out.push_str(between(count));
                shown(&item, out)?;
                count += 1;
            }
            out.push_str(if tuple && count == 1 { "," } else { "" });
            out.push(if tuple { ')' } else { ']' });
            out.push_str(if view.is_some() { ")" } else { "" });
        }
        ValueKind::Map if is_namespace(value) => {
            return Err(unsupported("a namespace or a loop that is printed"));
        }
        ValueKind::Map => {
            out.push('{');
            for (at, key) in value.try_iter()?.enumerate() {
                out.push_str(between(at));
                shown(&key, out)?;
                out.push_str(": ");
                shown(&value.get_item(&key).unwrap_or_default(), out)?;
            }
            out.push('}');
        }
        ValueKind::Iterable => return Err(unsupported("a generator that is printed")),
        ValueKind::Plain => {
            return Err(unsupported("a function that is printed"));
        }
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

/// A number, with floats as `repr()` writes them.
pub fn number(value: &Value) -> String {
    match f64::try_from(value.clone()) {
        Ok(number) if !value.is_integer() => float(number),
        _ => value.to_string(),
    }
}

fn float(number: f64) -> String {
    if !number.is_finite() {
        let sign = if number < 0.0 { "-" } else { "" };
        return if number.is_nan() { "nan".to_owned() } else { format!("{sign}inf") };
    }
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    if number.fract() == 0.0 { format!("{number:.1}") } else { number.to_string() }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if letter == quote => out.extend(['\\', letter]),
            _ if hidden(letter) => out.push_str(&match u32::from(letter) {
                code @ ..=0xff => format!("\\x{code:02x}"),
                code @ ..=0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
            _ => out.push(letter),
        }
    }
    out.push(quote);
    out
}

/// What `repr()` escapes: control and format characters, and spaces other than the usual one.
fn hidden(letter: char) -> bool {
    letter != ' ' && (letter.is_control() || letter.is_whitespace())
        || matches!(u32::from(letter), 0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e
            | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb
            | 0xe000..=0xf8ff | 0xe0001 | 0xe0020..=0xe007f | 0xf0000..=0x10_ffff)
}
