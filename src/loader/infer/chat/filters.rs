//! Jinja's filters and tests where `minijinja` has them in another way.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};

use super::python::written;

/// Puts them into an environment.
pub fn define(environment: &mut Environment<'static>) {
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    environment.add_filter("string", |value: &Value| match value.as_str() {
        Some(_) => value.clone(),
        None => Value::from(written(value)),
    });
    for name in ["e", "escape", "forceescape"] {
        environment.add_filter(name, escaped);
    }
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_test("callable", |value: &Value| {
        matches!(value.kind(), ValueKind::Plain | ValueKind::Undefined)
    });
    environment.add_test("iterable", |value: &Value| {
        !matches!(value.kind(), ValueKind::None) && value.try_iter().is_ok()
    });
    environment.add_test("sequence", |value: &Value| {
        matches!(
            value.kind(),
            ValueKind::Undefined | ValueKind::String | ValueKind::Seq | ValueKind::Map
        )
    });
}

fn default(
    value: &Value,
    other: Option<Value>,
    falsely: Option<bool>,
    named: Kwargs,
) -> Result<Value, Error> {
    let other = other.or(named.get("default_value")?).unwrap_or_else(|| Value::from(""));
    let falsely = falsely.or(named.get("boolean")?).unwrap_or(false);
    named.assert_all_used()?;
    let lacks = value.is_undefined() || (falsely && !value.is_true());
    Ok(if lacks { other } else { value.clone() })
}

/// A text escaped for HTML with the entities of `markupsafe`.
fn escaped(value: &Value) -> Value {
    if value.is_safe() {
        return value.clone();
    }
    let entities = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ("\"", "&#34;")];
    let escaped = entities.iter().fold(written(value), |text, (from, to)| text.replace(from, to));
    Value::from_safe_string(escaped)
}

fn length(value: &Value) -> Result<usize, Error> {
    if value.is_undefined() {
        return Ok(0);
    }
    value.len().ok_or_else(|| {
        let why = format!("a value of type {} has no length", value.kind());
        Error::new(ErrorKind::InvalidOperation, why)
    })
}

/// Refuses a value that is not there.
fn there(value: &Value) -> Result<(), Error> {
    if value.is_undefined() { Err(Error::from(ErrorKind::UndefinedError)) } else { Ok(()) }
}

fn int(value: &Value, other: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    there(value)?;
    let other = other.or(named.get("default")?).unwrap_or_else(|| Value::from(0));
    named.assert_all_used()?;
    let read = match (value.as_str(), i64::try_from(value.clone())) {
        (Some(text), _) => {
            let text = text.trim();
            let truncated = || decimal(text).map(|number| number as i64);
            text.parse().ok().or_else(truncated)
        }
        (None, Ok(number)) => Some(number),
        (None, Err(_)) => f64::try_from(value.clone()).ok().map(|number| number as i64),
    };
    Ok(read.map_or(other, Value::from))
}

fn float(value: &Value, other: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    there(value)?;
    let other = other.or(named.get("default")?).unwrap_or_else(|| Value::from(0.0));
    named.assert_all_used()?;
    let read = match value.as_str() {
        Some(text) => decimal(text.trim()),
        None => f64::try_from(value.clone()).ok(),
    };
    Ok(read.map_or(other, Value::from))
}

fn decimal(text: &str) -> Option<f64> {
    let plain = text.chars().all(|one| one.is_ascii_digit() || "+-.eE".contains(one));
    if plain { text.parse().ok() } else { None }
}
