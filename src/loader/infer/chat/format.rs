//! Python's `%` of a text with values, and the bounds of its widths.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use super::budget::{counted, look, spend, spend_times};
use super::lazy::{Group, View, is_namespace};
use super::python::written;
use super::tokens::unsupported;

/// The name under which `minijinja`'s own filter `format` stays.
pub const FORMAT: &str = "__format";

/// Longest width or precision, in digits.
const DIGITS: usize = 4;

/// `text % values`, the text first.
///
/// # Errors
/// If the text asks for other values, or for a conversion that is not served.
pub fn percent(state: &mut State, all: &[Value]) -> Result<Value, Error> {
    all.iter().try_for_each(look)?;
    let text = all.first().and_then(Value::as_str);
    let text = text.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "format of no text"))?;
    known(all)?;
    ascii_keys(text, "%(", ')')?;
    let width = |part: &str| {
        let end = |one: char| !(one.is_ascii_digit() || "-+ #.*".contains(one));
        part[..part.find(end).unwrap_or(part.len())].to_owned()
    };
    let widths: Vec<String> = text.split('%').skip(1).map(width).collect();
    widths.iter().try_for_each(|width| bounded(width))?;
    let wanted = wanted(text);
    if all.len() - 1 > wanted
        && !matches!(all, [_, only] if only.kind() == ValueKind::Map || only.is_kwargs())
    {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "format of more values than the text asks for",
        ));
    }
    // `minijinja` counts the bytes of a text, and not its letters.
    let ascii = all.iter().all(|value| value.as_str().is_none_or(str::is_ascii));
    if widths.iter().any(|width| width.contains('*') || !ascii && !width.is_empty()) {
        return Err(unsupported("format with a width, of a text that is not ASCII or with *"));
    }
    spend_fields(text, wanted, &all[1..])?;
    counted(state.apply_filter(FORMAT, all)?)
}

/// Refuses values that the library would print as lists.
fn known(values: &[Value]) -> Result<(), Error> {
    let other = |value: &Value| {
        let view = value.downcast_object_ref::<View>().is_some();
        view || value.downcast_object_ref::<Group>().is_some() || is_namespace(value)
    };
    match values.iter().any(other) {
        true => Err(unsupported("format of a view of a dict, or of a group")),
        false => Ok(()),
    }
}

/// Pays for a text with so many fields before it is made: each may be as wide as a width can be, or as long
/// as the longest value.
fn spend_fields(text: &str, fields: usize, values: &[Value]) -> Result<(), Error> {
    let digits = text.bytes().any(|one| one.is_ascii_digit());
    let mut longest = if digits { 10_usize.pow(DIGITS as u32) } else { 32 };
    for value in values {
        let length = match value.as_str() {
            Some(text) => text.len(),
            // Numbers are short, and lists are written out.
            None if value.len().is_some() => written(value).map_or(0, |text| text.len()),
            None => 64,
        };
        longest = longest.max(length);
    }
    spend(text.len())?;
    spend_times(longest, fields)
}

/// How many values a text asks for.
pub fn wanted(text: &str) -> usize {
    text.replace("%%", "").matches('%').count()
}

/// Refuses a method's format whose fields have a long run of digits, which would be a width.
///
/// # Errors
/// As said.
pub fn fields_bounded(text: &str, values: &[Value]) -> Result<(), Error> {
    ascii_keys(text, "[", ']')?;
    let mut fields = 0;
    for field in text.split('{').skip(1) {
        bounded(field.split('}').next().unwrap_or(""))?;
        fields += 1;
    }
    let mut all: Vec<Value> = Vec::new();
    for value in values {
        // Named values come as a dict.
        match value.kind() {
            ValueKind::Map if !is_namespace(value) => {
                for key in value.try_iter()? {
                    all.push(value.get_item(&key)?);
                }
            }
            _ => all.push(value.clone()),
        }
    }
    known(&all)?;
    spend_fields(text, fields, &all)
}

/// Refuses a key that is not ASCII. `minijinja` walks over a key byte by byte, and panics inside a letter.
fn ascii_keys(text: &str, open: &str, close: char) -> Result<(), Error> {
    let mut keys = text.split(open).skip(1).map(|rest| rest.split(close).next().unwrap_or(rest));
    match keys.all(str::is_ascii) {
        true => Ok(()),
        false => Err(unsupported("format with a key that is not ASCII")),
    }
}

fn bounded(text: &str) -> Result<(), Error> {
    let runs = text.split(|one: char| !one.is_ascii_digit());
    match runs.map(str::len).max() {
        Some(longest) if longest > DIGITS => {
            Err(unsupported(format!("format with a width of more than {DIGITS} digits")))
        }
        _ => Ok(()),
    }
}
