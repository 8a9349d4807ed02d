//! How Python writes values: `str()` and `repr()`.

use super::fault::{Result, failed, unknown};
use super::held::ITEM;
use super::machine::Machine;
use super::turns::LOOP;
use super::value::{Kind, Text, Value};

/// White space as Python's `str.isspace` has it.
pub fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

/// `str()`, as a template prints a value.
pub fn written(value: &Value, machine: &Machine) -> Result<String> {
    match value {
        Value::Undefined(_) => Ok(String::new()),
        Value::Text(text) => {
            machine.spend(text.text.len())?;
            Ok(text.text.to_string())
        }
        other => shown(other, machine),
    }
}

/// `repr()`.
pub fn shown(value: &Value, machine: &Machine) -> Result<String> {
    machine.deeper(|| {
        let text = match value {
            Value::Undefined(_) => "Undefined".to_owned(),
            Value::None => "None".to_owned(),
            Value::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => float(*value),
            Value::Text(text) if text.safe => return unknown("Markup in a printed list"),
            Value::Text(text) => quoted(&text.text),
            Value::Sequence(kind, items) => {
                machine.spend_times(ITEM, items.len())?;
                let mut parts = Vec::with_capacity(items.len());
                for item in items.iter() {
                    parts.push(shown(item, machine)?);
                }
                let inner = parts.join(", ");
                match kind {
                    Kind::List => format!("[{inner}]"),
                    Kind::Tuple if items.len() == 1 => format!("({inner},)"),
                    Kind::Tuple => format!("({inner})"),
                    Kind::Keys => format!("dict_keys([{inner}])"),
                    Kind::Values => format!("dict_values([{inner}])"),
                    Kind::Items => format!("dict_items([{inner}])"),
                    Kind::Range => return unknown("a range that is printed"),
                }
            }
            Value::Map(map) => {
                let mut parts = Vec::with_capacity(map.0.len());
                for (key, value) in &map.0 {
                    parts.push(format!("{}: {}", shown(key, machine)?, shown(value, machine)?));
                }
                format!("{{{}}}", parts.join(", "))
            }
            other => return unknown(format!("a {} that is printed", other.kind())),
        };
        machine.spend(text.len())?;
        Ok(text)
    })
}

/// `repr()` of a float: the shortest digits that give the same number.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        if plain.contains('.') { plain } else { format!("{plain}.0") }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

/// `repr()` of a text.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::from(quote);
    for letter in text.chars() {
        match letter {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            letter if letter == quote => {
                shown.push('\\');
                shown.push(letter);
            }
            letter if is_printable(letter) => shown.push(letter),
            letter => {
                let code = u32::from(letter);
                shown.push_str(&match code {
                    0..=0xff => format!("\\x{code:02x}"),
                    0x100..=0xffff => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                });
            }
        }
    }
    shown.push(quote);
    shown
}

/// `str.isprintable`, without the characters that Unicode has not assigned.
fn is_printable(letter: char) -> bool {
    letter == ' '
        || !(letter.is_control()
            || is_space(letter)
            || matches!(u32::from(letter),
                0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0x200b..=0x200f
                | 0x202a..=0x202e | 0x2060..=0x2064 | 0x2066..=0x206f | 0xfeff | 0xfff9..=0xfffb
                | 0xe000..=0xf8ff | 0xe0001 | 0xe0020..=0xe007f | 0xf0000..=0x10_ffff))
}

/// The items of something that can be iterated. Every letter of a text becomes a text of its own.
pub fn items(value: &Value, machine: &Machine) -> Result<Vec<Value>> {
    match value {
        Value::Text(text) => machine.spend_times(2 * ITEM, text.text.chars().count())?,
        Value::Sequence(_, items) => machine.spend_times(ITEM, items.len())?,
        Value::Map(map) => machine.spend_times(ITEM, map.0.len())?,
        _ => {}
    }
    match value {
        Value::Undefined(_) => Ok(Vec::new()),
        Value::Text(Text { safe: true, .. }) => unknown("iteration over Markup"),
        Value::Text(text) => {
            Ok(text.text.chars().map(|letter| Value::text(letter.to_string())).collect())
        }
        Value::Sequence(_, items) => Ok(items.to_vec()),
        Value::Map(map) => Ok(map.0.iter().map(|(key, _)| key.clone()).collect()),
        Value::Once(left) => Ok(left.borrow_mut().drain(..).collect()),
        other if other.kind() == LOOP => unknown("the turns of a loop as items"),
        other => failed(format!("'{}' object is not iterable", other.kind())),
    }
}

/// Python's `len()`.
pub fn length(value: &Value) -> Result<usize> {
    match value {
        Value::Undefined(_) => Ok(0),
        Value::Text(text) => Ok(text.text.chars().count()),
        Value::Sequence(_, items) => Ok(items.len()),
        Value::Map(map) => Ok(map.0.len()),
        other if other.kind() == LOOP => unknown("the length of a loop"),
        other => failed(format!("object of type '{}' has no len()", other.kind())),
    }
}
