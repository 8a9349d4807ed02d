//! Replaces parts of texts: Python's `str.replace`, and the entities of HTML.

use minijinja::{Error, Value};

use super::budget::{spend, spend_times};
use super::python::written;

/// `str.replace`, bounded.
///
/// # Errors
/// If the text becomes too long.
pub fn replaced(text: &str, from: &str, to: &str, count: Option<i64>) -> Result<String, Error> {
    let most = usize::try_from(count.unwrap_or(-1)).unwrap_or(usize::MAX);
    let found = text.matches(from).count().min(most);
    spend_times(to.len(), found)?;
    spend(text.len())?;
    Ok(text.replacen(from, to, most))
}

/// A text escaped for HTML with the entities of `markupsafe`.
///
/// # Errors
/// For a value that cannot be printed.
pub fn escaped(value: &Value) -> Result<Value, Error> {
    if value.is_safe() {
        return Ok(value.clone());
    }
    let entities = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ("\"", "&#34;")];
    let mut text = written(value)?;
    for (from, to) in entities {
        text = replaced(&text, from, to, None)?;
    }
    Ok(Value::from_safe_string(text))
}
