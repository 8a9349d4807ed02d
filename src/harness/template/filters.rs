//! Jinja's filters of one value: `value | name(...)`.

use super::arguments::{integer, needed, word};
use super::attributes::attribute;
use super::fault::{Result, failed, unknown};
use super::held::ITEM;
use super::json::tojson;
use super::lists;
use super::machine::Machine;
use super::methods::{capitalized, replaced, stripped};
use super::names::{FILTERS, is_one};
use super::operators::{beyond, escaped};
use super::percent::percent;
use super::picks;
use super::splits::{line_ends, split_lines};
use super::text::{is_space, items, length, written};
use super::value::{Arguments, Text, Value};

/// `value | name(...)`.
pub fn apply(name: &str, value: &Value, given: Arguments, machine: &Machine) -> Result<Value> {
    machine.step()?;
    if let Some(done) = picks::apply(name, value, &given, machine, &apply)? {
        return Ok(done);
    }
    if let Some(done) = lists::apply(name, value, given.clone(), machine)? {
        return Ok(done);
    }
    let safe = matches!(value, Value::Text(Text { safe: true, .. }));
    let text = || written(value, machine);
    let plain = |given: Arguments, text: String| {
        given.none(name)?;
        if safe { unknown(format!("the filter {name} of Markup")) } else { Ok(Value::text(text)) }
    };
    match name {
        "default" | "d" => {
            let [default, falsely] = given.bind(name, ["default_value", "boolean"])?;
            let falsely = falsely.is_some_and(|falsely| falsely.is_true());
            match value {
                Value::Undefined(_) => {}
                value if falsely && !value.is_true() => {}
                value => return Ok(value.clone()),
            }
            Ok(default.unwrap_or_else(|| Value::text("")))
        }
        "upper" => plain(given, text()?.to_uppercase()),
        "lower" => plain(given, text()?.to_lowercase()),
        "capitalize" => plain(given, capitalized(&text()?)?),
        "title" => plain(given, titled(&text()?)),
        "trim" => {
            let [letters] = given.bind(name, ["chars"])?;
            let stripped = stripped(&text()?, name, word(letters, name)?);
            Ok(Value::Text(Text { text: stripped.into(), safe }))
        }
        "replace" => {
            let [old, new, count] = given.bind(name, ["old", "new", "count"])?;
            if safe {
                return unknown("the filter replace of Markup");
            }
            let old = written(&needed(old, name)?, machine)?;
            let new = written(&needed(new, name)?, machine)?;
            replaced(&text()?, &old, &new, integer(count, name)?, machine)
        }
        "indent" => {
            let [width, first, blank] = given.bind(name, ["width", "first", "blank"])?;
            match value {
                Value::Undefined(why) => return failed(why.to_string()),
                Value::Text(_) if safe => return unknown("the filter indent of Markup"),
                Value::Text(_) => {}
                other => return failed(format!("indent() expects str, not {}", other.kind())),
            }
            let indent = match width {
                None => "    ".to_owned(),
                Some(Value::Text(text)) => text.text.to_string(),
                Some(width) => {
                    let Some(width) = width.as_int() else {
                        return failed(format!("indent() cannot indent by a {}", width.kind()));
                    };
                    let width = usize::try_from(width).unwrap_or(0);
                    machine.spend(width)?;
                    " ".repeat(width)
                }
            };
            let yes = |value: Option<Value>| value.is_some_and(|value| value.is_true());
            indented(value, &indent, yes(first), yes(blank), machine)
        }
        "length" | "count" => {
            given.none(name)?;
            Ok(Value::Int(length(value)? as i64))
        }
        "string" => {
            given.none(name)?;
            if let Value::Text(_) = value { Ok(value.clone()) } else { text().map(Value::text) }
        }
        "safe" => {
            given.none(name)?;
            Ok(Value::safe(text()?))
        }
        "escape" | "e" | "forceescape" => {
            given.none(name)?;
            let done = safe && name != "forceescape";
            Ok(Value::safe(if done { text()? } else { escaped(&text()?) }))
        }
        "int" => whole(value, given),
        "float" => {
            let [default] = given.bind(name, ["default"])?;
            let read = match value {
                Value::Undefined(why) => return failed(why.to_string()),
                Value::Text(text) => number(&text.text)?,
                other => other.as_float(),
            };
            Ok(read.map_or_else(|| default.unwrap_or(Value::Float(0.0)), Value::Float))
        }
        "abs" => {
            given.none(name)?;
            match (value, value.as_int()) {
                (_, Some(value)) => {
                    value.checked_abs().map_or_else(beyond, |value| Ok(Value::Int(value)))
                }
                (Value::Float(value), _) => Ok(Value::Float(value.abs())),
                _ => failed(format!("bad operand type for abs(): '{}'", value.kind())),
            }
        }
        "round" => rounded(value, given),
        "tojson" => tojson(value, given, machine),
        "attr" => {
            let [name] = given.bind(name, ["name"])?;
            match (value, needed(name, "attr")?.as_text()) {
                (Value::Map(_), _) => unknown("the filter attr of a dict"),
                (_, Some(name)) => attribute(value, name),
                _ => failed("attr() expects str"),
            }
        }
        "format" if given.named.is_empty() && !safe => {
            percent(&text()?, &Value::tuple(given.positional), machine)
        }
        "wordcount" => unknown("the filter wordcount"),
        "join" => {
            let [between, of] = given.bind(name, ["d", "attribute"])?;
            let between = between.map(|between| written(&between, machine)).transpose()?;
            let between = between.unwrap_or_default();
            let mut out = String::new();
            for (index, item) in items(value, machine)?.iter().enumerate() {
                if index > 0 {
                    out.push_str(&between);
                }
                out.push_str(&match &of {
                    None | Some(Value::None) => written(item, machine)?,
                    Some(path) => written(&lists::member(item, path)?, machine)?,
                });
                machine.spend(between.len())?;
                machine.holds(&out)?;
            }
            Ok(Value::text(out))
        }
        name if is_one(FILTERS, name) => unknown(format!("the filter {name}")),
        name => failed(format!("No filter named '{name}'.")),
    }
}

/// `title`: what follows white space, a hyphen or an opening bracket begins with a capital.
fn titled(text: &str) -> String {
    let mut out = String::new();
    let mut begins = true;
    for letter in text.chars() {
        if begins {
            out.extend(letter.to_uppercase())
        } else {
            out.extend(letter.to_lowercase())
        }
        begins = is_space(letter) || "-({[<".contains(letter);
    }
    out
}

fn indented(
    value: &Value,
    indent: &str,
    first: bool,
    blank: bool,
    machine: &Machine,
) -> Result<Value> {
    let text = written(value, machine)?;
    machine.spend_times(ITEM, line_ends(&text) + 1)?;
    let lines = split_lines(&format!("{text}\n"), false);
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        machine.spend(indent.len() + line.len())?;
        if index > 0 {
            out.push('\n');
        }
        let indents = if index == 0 { first } else { blank || !line.is_empty() };
        if indents {
            out.push_str(indent);
        }
        out.push_str(line);
    }
    Ok(Value::text(out))
}

/// A text as Python's `float()` reads it; `None` if it is no number.
fn number(text: &str) -> Result<Option<f64>> {
    let text = text.trim_matches(is_space);
    let plain =
        !text.is_empty() && text.chars().all(|one| one.is_ascii_digit() || "+-.eE".contains(one));
    if plain {
        return Ok(text.parse().ok());
    }
    let word = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    let named = ["inf", "infinity", "nan"].contains(&word.as_str());
    if named || text.chars().any(|one| one == '_' || (!one.is_ascii() && one.is_numeric())) {
        return unknown("float of such a text");
    }
    Ok(None)
}

fn whole(value: &Value, given: Arguments) -> Result<Value> {
    let [default, base] = given.bind("int", ["default", "base"])?;
    let base = integer(base, "int")?.unwrap_or(10);
    let read = match value {
        Value::Undefined(why) => return failed(why.to_string()),
        Value::Text(text) => {
            let trimmed = text.text.trim_matches(is_space);
            let radix = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
            let Some(radix) = radix else { return unknown(format!("int with base {base}")) };
            let strange = |one: char| one == '_' || (!one.is_ascii() && one.is_numeric());
            let digits = trimmed.trim_start_matches(['+', '-']).to_ascii_lowercase();
            let mark = [(2, "0b"), (8, "0o"), (16, "0x")].into_iter().find(|one| one.0 == radix);
            if trimmed.contains(strange) || mark.is_some_and(|(_, mark)| digits.starts_with(mark)) {
                return unknown("int of such a text");
            }
            match i64::from_str_radix(trimmed, radix) {
                Ok(value) => Some(value),
                Err(error) if is_overflow(&error) => return beyond(),
                Err(_) => {
                    number(trimmed)?.filter(|value| value.is_finite()).map(whole_of).transpose()?
                }
            }
        }
        Value::Float(value) if value.is_infinite() => {
            return failed("cannot convert float infinity to integer");
        }
        Value::Float(value) if value.is_finite() => Some(whole_of(*value)?),
        other => other.as_int(),
    };
    Ok(read.map_or_else(|| default.unwrap_or(Value::Int(0)), Value::Int))
}

fn is_overflow(error: &std::num::ParseIntError) -> bool {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    matches!(error.kind(), PosOverflow | NegOverflow)
}

/// The whole part of a number, which Python does not bound.
fn whole_of(value: f64) -> Result<i64> {
    let bound = 9_223_372_036_854_775_808.0;
    if (-bound..bound).contains(&value) { Ok(value as i64) } else { beyond() }
}

fn rounded(value: &Value, given: Arguments) -> Result<Value> {
    let [precision, method] = given.bind("round", ["precision", "method"])?;
    if let Value::Undefined(why) = value {
        return failed(why.to_string());
    }
    if let Some(Value::None) = precision {
        return unknown("round to none");
    }
    let precision = integer(precision, "round")?.unwrap_or(0);
    let method = word(method, "round")?.unwrap_or_else(|| "common".to_owned());
    let Some(number) = value.as_float() else { return failed("round() expects a number") };
    let places = usize::try_from(precision).ok().filter(|places| *places < 16);
    let Some(places) = places else { return unknown(format!("round to {precision} places")) };
    let scale = 10f64.powi(places as i32);
    match method.as_str() {
        "common" if matches!(value, Value::Int(_) | Value::Bool(_)) => {
            Ok(Value::Int(value.as_int().unwrap_or(0)))
        }
        "common" => {
            let written = format!("{number:.places$}");
            Ok(Value::Float(written.parse().unwrap_or(number)))
        }
        "ceil" => Ok(Value::Float((number * scale).ceil() / scale)),
        "floor" => Ok(Value::Float((number * scale).floor() / scale)),
        _ => failed("method must be common, ceil or floor"),
    }
}
