//! `value.name`, `value[key]` and slices, in the order in which Jinja looks.

use std::rc::Rc;

use super::fault::{Result, failed, unknown};
use super::machine::Machine;
use super::methods::call;
use super::names::{CHANGING_LIST, CHANGING_MAP, OF_LIST, OF_MAP, OF_NUMBER, OF_TEXT, is_one};
use super::value::{Arguments, Kind, Object, Text, Value};

/// A method of a value.
struct Method {
    of: Value,
    name: String,
}

impl Object for Method {
    fn name(&self) -> String {
        "builtin_function_or_method".to_owned()
    }

    fn call(&self, arguments: Arguments, machine: &Machine) -> Result<Value> {
        call(&self.of, &self.name, arguments, machine)
    }
}

/// What Python itself finds under a name: a method, or a member of an object.
fn python(of: &Value, name: &str) -> Result<Option<Value>> {
    let (methods, changing): (&str, &str) = match of {
        Value::Text(_) => (OF_TEXT, ""),
        Value::Map(_) => (OF_MAP, CHANGING_MAP),
        Value::Sequence(Kind::List, _) => (OF_LIST, CHANGING_LIST),
        // Pairs of `groupby` have these names, other pairs have not. Nothing tells them apart here.
        Value::Sequence(Kind::Tuple, _) if is_one("grouper list", name) => {
            return unknown(format!("the attribute {name} of a pair"));
        }
        Value::Sequence(Kind::Tuple, _) => ("count index", ""),
        Value::Sequence(..) if is_one("start step stop mapping isdisjoint", name) => {
            return unknown(format!("the attribute {name} of a {}", of.kind()));
        }
        Value::Sequence(Kind::Range, _) => ("count index", ""),
        Value::Sequence(..) => ("", ""),
        Value::Int(_) | Value::Bool(_) | Value::Float(_) => {
            return match is_one(OF_NUMBER, name) {
                true => unknown(format!("the attribute {name} of a number")),
                false => Ok(None),
            };
        }
        Value::Once(_) => ("close send throw", ""),
        Value::Object(object) => return object.attribute(name),
        Value::Namespace(map) => return Ok(map.borrow().named(name).cloned()),
        Value::Undefined(_) | Value::None => ("", ""),
    };
    if is_one(changing, name) {
        let kind = of.kind();
        let why = format!("access to attribute '{name}' of '{kind}' object is unsafe.");
        return Ok(Some(Value::undefined(why)));
    }
    Ok(is_one(methods, name).then(|| {
        let method = Method { of: of.clone(), name: name.to_owned() };
        Value::Object(Rc::new(method))
    }))
}

/// `of.name`: first Python's own attributes, then the member of that name.
pub fn attribute(of: &Value, name: &str) -> Result<Value> {
    if let Value::Undefined(why) = of {
        return failed(why.to_string());
    }
    if name.starts_with("__") {
        return unknown(format!("the attribute {name}"));
    }
    if let Some(value) = python(of, name)? {
        return Ok(value);
    }
    if let Value::Map(map) = of
        && let Some(value) = map.named(name)
    {
        return Ok(value.clone());
    }
    let kind = of.kind();
    Ok(Value::undefined(format!("'{kind} object' has no attribute '{name}'")))
}

/// `of[key]`: first the member, then Python's own attributes.
pub fn item(of: &Value, key: &Value) -> Result<Value> {
    if let Value::Undefined(why) = of {
        return failed(why.to_string());
    }
    let found = match of {
        Value::Map(map) => map.get(key).cloned(),
        Value::Sequence(Kind::List | Kind::Tuple | Kind::Range, items) => {
            key.as_int().and_then(|index| place(index, items.len())).map(|at| items[at].clone())
        }
        Value::Text(Text { safe: true, .. }) => return unknown("a subscript of Markup"),
        Value::Text(text) => key.as_int().and_then(|index| {
            let at = place(index, text.text.chars().count())?;
            text.text.chars().nth(at).map(|letter| Value::text(letter.to_string()))
        }),
        _ => None,
    };
    if let Some(value) = found {
        return Ok(value);
    }
    let kind = of.kind();
    match key.as_text() {
        Some(name) => match python(of, name)? {
            Some(value) => Ok(value),
            None => Ok(Value::undefined(format!("'{kind} object' has no attribute '{name}'"))),
        },
        None => Ok(Value::undefined(format!("{kind} object has no such element"))),
    }
}

fn place(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let at = if index < 0 { index + length } else { index };
    usize::try_from(at).ok().filter(|_| at < length)
}

/// `of[start:stop:step]`.
pub fn slice(of: &Value, bounds: [Option<Value>; 3], machine: &Machine) -> Result<Value> {
    let mut numbers = [None; 3];
    for (number, bound) in numbers.iter_mut().zip(bounds) {
        *number = match bound {
            None | Some(Value::None) => None,
            Some(Value::Undefined(why)) => return failed(why.to_string()),
            Some(bound) => match bound.as_int() {
                Some(value) => Some(value),
                None => return unknown(format!("a slice with a {}", bound.kind())),
            },
        };
    }
    let [start, stop, step] = numbers;
    let step = step.unwrap_or(1);
    if step == 0 {
        return failed("slice step cannot be zero");
    }
    match of {
        Value::Undefined(why) => failed(why.to_string()),
        Value::Text(text) => {
            machine.spend(text.text.len())?;
            let letters: Vec<char> = text.text.chars().collect();
            let chosen: String =
                chosen(letters.len(), start, stop, step).map(|at| letters[at]).collect();
            Ok(Value::Text(Text { text: chosen.into(), safe: text.safe }))
        }
        Value::Sequence(kind @ (Kind::List | Kind::Tuple | Kind::Range), items) => {
            machine.spend(items.len())?;
            let chosen = chosen(items.len(), start, stop, step).map(|at| items[at].clone());
            Ok(Value::Sequence(*kind, Rc::new(chosen.collect())))
        }
        // Jinja gives another answer where it knows the value beforehand.
        other => unknown(format!("a slice of a {}", other.kind())),
    }
}

/// The places that a slice names.
fn chosen(
    length: usize,
    start: Option<i64>,
    stop: Option<i64>,
    step: i64,
) -> impl Iterator<Item = usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let (least, most) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let bound = |value: Option<i64>, default: i64| match value {
        None => default,
        Some(value) if value < 0 => value.saturating_add(length).max(least),
        Some(value) => value.min(most),
    };
    let (start, stop) = match step > 0 {
        true => (bound(start, 0), bound(stop, length)),
        false => (bound(start, length - 1), bound(stop, -1)),
    };
    std::iter::successors(Some(start), move |at| at.checked_add(step))
        .take_while(move |at| if step > 0 { *at < stop } else { *at > stop })
        .filter_map(|at| usize::try_from(at).ok())
}
