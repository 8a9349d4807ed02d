//! Python's `%` of a text with values, and the bounds of its widths.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use super::budget::counted;
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
    let text = all.first().and_then(Value::as_str);
    let text = text.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "format of no text"))?;
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
    counted(state.apply_filter(FORMAT, all)?)
}

/// How many values a text asks for.
pub fn wanted(text: &str) -> usize {
    text.replace("%%", "").matches('%').count()
}

/// Refuses a method's format whose fields have a long run of digits, which would be a width.
///
/// # Errors
/// As said.
pub fn fields_bounded(text: &str) -> Result<(), Error> {
    text.split('{').skip(1).try_for_each(|field| bounded(field.split('}').next().unwrap_or("")))
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
