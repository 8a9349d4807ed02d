//! Jinja's filters of texts, with Python's methods behind them.

use minijinja::value::{Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::budget::{counted, spend, spend_times, take_apart};
use super::escape::replaced;
use super::filters::arguments;
use super::format::{FORMAT, percent};
use super::lazy::is_namespace;
use super::operators::member;
use super::pretty::pretty;
use super::python::written;
use super::tokens::is_space;

/// Puts them into an environment.
pub fn define(environment: &mut Environment<'static>) {
    environment
        .add_filter("upper", |value: &Value| counted(Value::from(written(value)?.to_uppercase())));
    environment
        .add_filter("lower", |value: &Value| counted(Value::from(written(value)?.to_lowercase())));
    environment.add_filter(FORMAT, minijinja::filters::format);
    environment.add_filter("format", |state: &mut State, all: Rest<ValueOrKwargs>| {
        percent(state, &all.into_values())
    });
    environment.add_filter("attr", attribute);
    environment.add_filter("safe", |value: &Value| {
        written(value).map(Value::from_safe_string).and_then(counted)
    });
    environment.add_filter("title", |value: &Value| counted(Value::from(titled(&written(value)?))));
    environment.add_filter("capitalize", |value: &Value| {
        counted(Value::from(capitalized(&written(value)?)))
    });
    environment.add_filter("indent", indent);
    environment.add_filter("join", join);
    environment
        .add_filter("pprint", |value: &Value| pretty(value).map(Value::from).and_then(counted));
    environment.add_filter(
        "replace",
        |value: &Value, from: &Value, to: &Value, count: Rest<ValueOrKwargs>| {
            let [count] = arguments(count, ["count"])?;
            let count = count.filter(|count| !count.is_none()).map(i64::try_from).transpose()?;
            let text = replaced(&written(value)?, &written(from)?, &written(to)?, count)?;
            Ok::<Value, Error>(Value::from(text))
        },
    );
    environment.add_filter("trim", |value: &Value, letters: Rest<ValueOrKwargs>| {
        let [letters] = arguments(letters, ["chars"])?;
        let letters = letters.filter(|letters| !letters.is_none());
        if letters.as_ref().is_some_and(|letters| letters.as_str().is_none()) {
            return Err(Error::new(ErrorKind::InvalidOperation, "trim of what is no text"));
        }
        let text = written(value)?;
        let strips = |one: char| match letters.as_ref().and_then(Value::as_str) {
            Some(letters) => letters.contains(one),
            None => is_space(one),
        };
        counted(Value::from(text.trim_matches(strips)))
    });
}

/// `attr`: a member of an object, and never an item of a dict.
fn attribute(value: &Value, name: &str) -> Result<Value, Error> {
    let found = member(value, name)?;
    Ok(if value.kind() == ValueKind::Map && !is_namespace(value) {
        Value::UNDEFINED
    } else {
        found
    })
}

/// Python's `str.capitalize`. The small form of a letter depends on what stands before it.
pub fn capitalized(text: &str) -> String {
    let lower = text.to_lowercase();
    let Some(first) = text.chars().next() else { return lower };
    capital(first) + &lower[first.to_lowercase().to_string().len()..]
}

/// A letter as a capital. Where that is two, only the first is a capital.
pub fn capital(letter: char) -> String {
    let upper: String = letter.to_uppercase().collect();
    let mut letters = upper.chars();
    let first = letters.next().map(String::from).unwrap_or_default();
    first + &letters.as_str().to_lowercase()
}

/// The lines of a text, as `str.splitlines` finds them, each with what ends it.
pub fn lines(text: &str) -> Vec<(&str, &str)> {
    let ends = |one: char| {
        matches!(
            one,
            '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(ends) {
        let (line, end) = rest.split_at(at);
        let length = match end.starts_with("\r\n") {
            true => 2,
            false => end.chars().next().map_or(1, char::len_utf8),
        };
        let (end, after) = end.split_at(length);
        out.push((line, end));
        rest = after;
    }
    if !rest.is_empty() {
        out.push((rest, ""));
    }
    out
}

fn indent(value: &Value, all: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [width, first, blank] = arguments(all, ["width", "first", "blank"])?;
    let [first, blank] = [first, blank].map(|yes| yes.is_some_and(|yes| yes.is_true()));
    let invalid = |why: &str| Error::new(ErrorKind::InvalidOperation, why.to_owned());
    let text = value.as_str().ok_or_else(|| invalid("indent of a value that is no text"))?;
    let margin = match &width {
        None => "    ".to_owned(),
        Some(width) => match width.as_str() {
            Some(text) => text.to_owned(),
            None => {
                let width = i64::try_from(width.clone())?.max(0);
                spend(usize::try_from(width).unwrap_or(usize::MAX))?;
                " ".repeat(width as usize)
            }
        },
    };
    let whole = format!("{text}\n");
    let lines = lines(&whole);
    spend_times(margin.len() + 1, lines.len())?;
    spend(text.len())?;
    let mut out = if first { margin.clone() } else { String::new() };
    for (at, (line, _)) in lines.iter().enumerate() {
        if at > 0 {
            out.push('\n');
            out.push_str(if blank || !line.is_empty() { &margin } else { "" });
        }
        out.push_str(line);
    }
    Ok(if value.is_safe() { Value::from_safe_string(out) } else { Value::from(out) })
}

fn join(value: &Value, all: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [between, attribute] = arguments(all, ["d", "attribute"])?;
    let attribute = attribute.filter(|attribute| !attribute.is_none());
    let between = between.map_or(Ok(String::new()), |value| written(&value))?;
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "join of none"));
    }
    take_apart(value)?;
    let mut out = String::new();
    for (at, item) in value.try_iter()?.enumerate() {
        if at > 0 {
            out.push_str(&between);
        }
        let item = match &attribute {
            Some(attribute) => super::groups::member(&item, attribute)?,
            None => item,
        };
        let text = written(&item)?;
        spend(text.len().saturating_add(between.len()))?;
        out.push_str(&text);
    }
    counted(Value::from(out))
}

/// A capital at the start of every word, as Jinja cuts words.
fn titled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    for letter in text.chars() {
        match begins {
            true => out.extend(letter.to_uppercase()),
            false => out.extend(letter.to_lowercase()),
        }
        begins = is_space(letter) || "-({[<".contains(letter);
    }
    out
}
