//! How Python writes values, where `minijinja` writes them in another way.

use minijinja::Value;
use minijinja::value::ValueKind;

/// A value as a template prints it.
pub fn written(value: &Value) -> String {
    match value.kind() {
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        ValueKind::Undefined => String::new(),
        _ => shown(value),
    }
}

/// Python's `repr()`.
fn shown(value: &Value) -> String {
    let items = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Number => number(value),
        ValueKind::Undefined => "Undefined".to_owned(),
        ValueKind::Seq if value.is_tuple() || is_list(value) => {
            let parts: Vec<String> = items().map(|item| shown(&item)).collect();
            match (value.is_tuple(), parts.as_slice()) {
                (true, [only]) => format!("({only},)"),
                (true, parts) => format!("({})", parts.join(", ")),
                (false, parts) => format!("[{}]", parts.join(", ")),
            }
        }
        ValueKind::Map if is_plain(value) => {
            let pair = |key: Value| {
                let of = value.get_item(&key).unwrap_or_default();
                format!("{}: {}", shown(&key), shown(&of))
            };
            format!("{{{}}}", items().map(pair).collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

/// Views of a dict are printed with their name.
fn is_list(value: &Value) -> bool {
    !value.to_string().starts_with("dict_")
}

fn is_plain(value: &Value) -> bool {
    value.to_string().starts_with('{')
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
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e000}'..='\u{f8ff}')
}
