//! The filter `tojson` as transformers has it: `json.dumps` with `ensure_ascii=False`.

use super::arguments::word;
use super::fault::{Result, failed, unknown};
use super::machine::Machine;
use super::text::{float, items};
use super::value::{Arguments, Kind, Value};

/// How to write.
struct Style {
    ascii: bool,
    indent: Option<String>,
    between: String,
    colon: String,
    sorted: bool,
}

/// `value | tojson(...)`.
pub fn tojson(value: &Value, arguments: Arguments, machine: &Machine) -> Result<Value> {
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let [ascii, indent, separators, sorted] = arguments.bind("tojson", names)?;
    let indent = match indent {
        None | Some(Value::None) => None,
        Some(Value::Text(text)) if text.text.len() > 1000 => {
            return unknown("tojson with a huge indent");
        }
        Some(Value::Text(text)) => Some(text.text.to_string()),
        Some(other) => match other.as_int() {
            Some(width) if width > 1000 => return unknown("tojson with a huge indent"),
            Some(width) => Some(" ".repeat(usize::try_from(width).unwrap_or(0))),
            None => return failed("tojson() expects an int or a str as indent"),
        },
    };
    let (between, colon) = match separators {
        None | Some(Value::None) => {
            (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned())
        }
        Some(given) => {
            let mut given = items(&given, machine)?.into_iter();
            let pair = (given.next(), given.next(), given.next());
            let (Some(one), Some(two), None) = pair else {
                return failed("tojson() expects two separators");
            };
            let text = |value| word(Some(value), "tojson").map(Option::unwrap_or_default);
            (text(one)?, text(two)?)
        }
    };
    let yes = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    let style = Style { ascii: yes(ascii), indent, between, colon, sorted: yes(sorted) };
    let mut out = String::new();
    style.write(value, 0, &mut out, machine)?;
    Ok(Value::text(out))
}

impl Style {
    fn write(
        &self,
        value: &Value,
        level: usize,
        out: &mut String,
        machine: &Machine,
    ) -> Result<()> {
        machine.step()?;
        machine.holds(out)?;
        match value {
            Value::None => out.push_str("null"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Int(value) => out.push_str(&value.to_string()),
            Value::Float(value) => out.push_str(&number(*value)),
            Value::Text(text) => {
                machine.spend(text.text.len())?;
                self.string(&text.text, out);
            }
            Value::Sequence(Kind::List | Kind::Tuple, items) => {
                let each =
                    |item: &Value, out: &mut String| self.write(item, level + 1, out, machine);
                self.group(('[', ']'), items.iter(), level, out, machine, each)?;
            }
            Value::Map(map) => {
                let mut pairs = Vec::with_capacity(map.0.len());
                for (key, value) in &map.0 {
                    machine.spend(key.as_text().map_or(1, str::len))?;
                    pairs.push((key_text(key)?, value));
                }
                if self.sorted {
                    if map.0.iter().any(|(key, _)| key.as_text().is_none()) {
                        return unknown("tojson with sort_keys over keys that are no texts");
                    }
                    pairs.sort_by(|one, two| one.0.cmp(&two.0));
                }
                let each = |(key, value): &(String, &Value), out: &mut String| {
                    self.string(key, out);
                    out.push_str(&self.colon);
                    self.write(value, level + 1, out, machine)
                };
                self.group(('{', '}'), pairs.iter(), level, out, machine, each)?;
            }
            other => {
                let kind = other.kind();
                return failed(format!("Object of type {kind} is not JSON serializable"));
            }
        }
        Ok(())
    }

    /// Writes the members of a list or a dict.
    fn group<T>(
        &self,
        (open, close): (char, char),
        members: impl ExactSizeIterator<Item = T>,
        level: usize,
        out: &mut String,
        machine: &Machine,
        each: impl Fn(T, &mut String) -> Result<()>,
    ) -> Result<()> {
        out.push(open);
        let empty = members.len() == 0;
        machine.deeper(|| {
            for (index, member) in members.enumerate() {
                machine.holds(out)?;
                if index > 0 {
                    machine.spend(self.between.len())?;
                    out.push_str(&self.between);
                }
                self.line(level + 1, out);
                each(member, out)?;
            }
            Ok(())
        })?;
        if !empty {
            self.line(level, out);
        }
        out.push(close);
        Ok(())
    }

    fn line(&self, level: usize, out: &mut String) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            out.push_str(&indent.repeat(level));
        }
    }

    fn string(&self, text: &str, out: &mut String) {
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
                letter if letter < ' ' || (self.ascii && !(' '..='~').contains(&letter)) => {
                    let mut units = [0; 2];
                    for unit in letter.encode_utf16(&mut units) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                letter => out.push(letter),
            }
        }
        out.push('"');
    }
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        value if value == f64::INFINITY => "Infinity".to_owned(),
        value if value == f64::NEG_INFINITY => "-Infinity".to_owned(),
        value => float(value),
    }
}

/// A key as JSON writes it.
fn key_text(key: &Value) -> Result<String> {
    match key {
        Value::Text(text) => Ok(text.text.to_string()),
        Value::None => Ok("null".to_owned()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Int(value) => Ok(value.to_string()),
        Value::Float(value) => Ok(number(*value)),
        other => {
            failed(format!("keys must be str, int, float, bool or None, not {}", other.kind()))
        }
    }
}
