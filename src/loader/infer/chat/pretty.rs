//! Python's `pprint.pformat`, with lines of 80 characters and the keys of dicts in order.

use minijinja::value::ValueKind;
use minijinja::{Error, Value};

use super::budget::{SHOWN, exceeded, pay};
use super::lazy::{self, Range, View, is_namespace};
use super::python::{number, shown};
use super::tokens::unsupported;

/// Longest line.
const WIDTH: usize = 80;

/// Deepest nesting.
const DEEPEST: usize = 100;

/// The filter `pprint`.
///
/// # Errors
/// For a text that does not fit in a line, keys that have no order, and what Python prints by its
/// place in memory.
pub fn pretty(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write(value, (0, 0), 0, &mut out)?;
    Ok(out)
}

/// The items of a list or the pairs of a dict, with the brackets.
enum Group {
    Items(&'static str, Vec<Value>, &'static str),
    Pairs(Vec<(Value, Value)>),
    None,
}

fn group(value: &Value) -> Result<Group, Error> {
    let range = value.downcast_object_ref::<Range>().is_some();
    let view = value.downcast_object_ref::<View>().is_some();
    // Python prints a group of `groupby` in one line, as its type has a text of its own.
    let named = value.downcast_object_ref::<lazy::Group>().is_some();
    Ok(match value.kind() {
        ValueKind::Seq if range || view || named => Group::None,
        ValueKind::Seq => {
            let items: Vec<Value> = value.try_iter()?.collect();
            match (value.is_tuple(), items.len()) {
                (true, 1) => Group::Items("(", items, ",)"),
                (true, _) => Group::Items("(", items, ")"),
                (false, _) => Group::Items("[", items, "]"),
            }
        }
        ValueKind::Map if is_namespace(value) => Group::None,
        ValueKind::Map => {
            let mut pairs = Vec::new();
            for key in value.try_iter()? {
                let of = value.get_item(&key)?;
                pairs.push((key, of));
            }
            let kinds = |kind| pairs.iter().all(|(key, _): &(Value, Value)| key.kind() == kind);
            if pairs.len() > 1 && !kinds(ValueKind::String) && !kinds(ValueKind::Number) {
                return Err(unsupported("pprint of a dict with keys of several kinds"));
            }
            pairs.sort_by(|(one, _), (two, _)| one.cmp(two));
            Group::Pairs(pairs)
        }
        _ => Group::None,
    })
}

/// A value in one line.
fn line(value: &Value, level: usize, out: &mut String) -> Result<(), Error> {
    if out.len() > SHOWN {
        return Err(exceeded());
    }
    pay(1 + out.len().min(WIDTH))?;
    if level > DEEPEST {
        return Err(unsupported(format!("pprint of a value nested more than {DEEPEST} deep")));
    }
    let (open, parts, close) = match group(value)? {
        Group::None => return shown(value, out),
        Group::Items(open, items, close) => {
            (open, items.into_iter().map(|item| (None, item)).collect::<Vec<_>>(), close)
        }
        Group::Pairs(pairs) => {
            ("{", pairs.into_iter().map(|(key, of)| (Some(key), of)).collect(), "}")
        }
    };
    out.push_str(open);
    for (at, (key, item)) in parts.iter().enumerate() {
        out.push_str(if at > 0 { ", " } else { "" });
        if let Some(key) = key {
            shown(key, out)?;
            out.push_str(": ");
        }
        line(item, level + 1, out)?;
    }
    out.push_str(close);
    Ok(())
}

/// A value at a column, with characters that must fit behind it in the same line.
fn write(
    value: &Value,
    (column, behind): (usize, usize),
    level: usize,
    out: &mut String,
) -> Result<(), Error> {
    let mut whole = String::new();
    line(value, level, &mut whole)?;
    pay(whole.len())?;
    if whole.chars().count() + column + behind <= WIDTH {
        out.push_str(&whole);
        return Ok(());
    }
    let next = format!(",\n{}", " ".repeat(column + 1));
    match group(value)? {
        Group::Items(open, items, close) if !items.is_empty() => {
            out.push_str(open);
            for (at, item) in items.iter().enumerate() {
                let last = at + 1 == items.len();
                let behind = if last { behind + close.len() } else { 1 };
                write(item, (column + 1, behind), level + 1, out)?;
                out.push_str(if last { close } else { &next });
            }
        }
        Group::Pairs(pairs) if !pairs.is_empty() => {
            out.push('{');
            for (at, (key, of)) in pairs.iter().enumerate() {
                let last = at + 1 == pairs.len();
                let mut name = String::new();
                shown(key, &mut name)?;
                out.push_str(&format!("{name}: "));
                let behind = if last { behind + 1 } else { 1 };
                let column = column + 3 + name.chars().count();
                write(of, (column, behind), level + 1, out)?;
                out.push_str(if last { "}" } else { &next });
            }
        }
        _ if value.kind() == ValueKind::String => {
            return Err(unsupported("pprint of a text longer than a line"));
        }
        _ if value.kind() == ValueKind::Number => out.push_str(&number(value)),
        _ => out.push_str(&whole),
    }
    Ok(())
}
