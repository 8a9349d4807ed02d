//! The functions that every template has: Jinja's own, and those of transformers.

use std::cell::RefCell;
use std::rc::Rc;

use super::arguments::{needed, word};
use super::fault::{Fault, Result, failed, unknown};
use super::held::ITEM;
use super::machine::Machine;
use super::moment::Moment;
use super::scope::Scope;
use super::text::{items, written};
use super::value::{Arguments, Kind, Map, Object, Value};

/// Longest `range` that Jinja's sandbox allows.
const RANGE: i64 = 100_000;

struct Function {
    name: &'static str,
    now: Moment,
}

/// Puts the functions into a scope.
pub fn define(scope: &Scope, now: Moment) {
    let names = [
        "raise_exception",
        "strftime_now",
        "namespace",
        "dict",
        "range",
        "cycler",
        "joiner",
        "lipsum",
    ];
    for name in names {
        scope.set(name, Value::Object(Rc::new(Function { name, now })));
    }
}

impl Object for Function {
    fn name(&self) -> String {
        "function".to_owned()
    }

    fn call(&self, arguments: Arguments, machine: &Machine) -> Result<Value> {
        let name = self.name;
        match name {
            "raise_exception" => {
                let [message] = arguments.bind(name, ["message"])?;
                Err(Fault::Raised(written(&needed(message, name)?, machine)?))
            }
            "strftime_now" => {
                let [form] = arguments.bind(name, ["format"])?;
                match word(form, name)? {
                    Some(form) => self.now.write(&form, machine).map(Value::text),
                    None => failed("strftime_now() expects str"),
                }
            }
            "namespace" => {
                let map = map(arguments, machine)?;
                for (_, value) in &map.0 {
                    refuse_namespace(value)?;
                }
                for (key, _) in &map.0 {
                    refuse_hidden(key)?;
                }
                Ok(Value::Namespace(Rc::new(RefCell::new(map))))
            }
            "dict" => map(arguments, machine).map(Value::map),
            "range" => range(arguments, machine),
            _ => unknown(format!("the function {name}")),
        }
    }
}

/// A namespace that holds itself is never freed, so none may hold another.
pub fn refuse_namespace(value: &Value) -> Result<()> {
    match value {
        Value::Namespace(_) | Value::Object(_) => {
            unknown("a namespace or a function in a namespace")
        }
        Value::Sequence(_, items) => items.iter().try_for_each(refuse_namespace),
        Value::Map(map) => map.0.iter().try_for_each(|(_, value)| refuse_namespace(value)),
        _ => Ok(()),
    }
}

/// transformers allows no member of a namespace that begins with an underscore.
pub fn refuse_hidden(key: &Value) -> Result<()> {
    match key.as_text() {
        Some(name) if name.starts_with('_') => failed(format!(
            "Chat templates cannot store underscore-prefixed attributes on a namespace, but got '{name}'"
        )),
        _ => Ok(()),
    }
}

/// `dict(...)`.
fn map(arguments: Arguments, machine: &Machine) -> Result<Map> {
    let mut map = Map::default();
    match arguments.positional.as_slice() {
        [] => {}
        [Value::Undefined(why)] => return failed(why.to_string()),
        [Value::Map(from)] => {
            machine.spend_times(2 * ITEM, from.0.len())?;
            map = Map::clone(from);
        }
        [pairs] => {
            for pair in items(pairs, machine)? {
                let mut pair = items(&pair, machine)?.into_iter();
                match (pair.next(), pair.next(), pair.next()) {
                    (Some(key), Some(value), None) => {
                        key.hashable()?;
                        machine.spend(map.0.len())?;
                        map.insert(key, value);
                    }
                    _ => return failed("dict() expects pairs"),
                }
            }
        }
        _ => return failed("dict expected at most 1 argument"),
    }
    for (name, value) in arguments.named {
        map.insert(Value::text(name), value);
    }
    Ok(map)
}

fn range(arguments: Arguments, machine: &Machine) -> Result<Value> {
    if !arguments.named.is_empty() {
        return failed("range() takes no keyword arguments");
    }
    let mut numbers = Vec::new();
    for value in &arguments.positional {
        match value.as_int() {
            Some(number) => numbers.push(number),
            None => {
                let kind = value.kind();
                return failed(format!("'{kind}' object cannot be interpreted as an integer"));
            }
        }
    }
    let (start, stop, step) = match numbers.as_slice() {
        [stop] => (0, *stop, 1),
        [start, stop] => (*start, *stop, 1),
        [start, stop, step] => (*start, *stop, *step),
        _ => return failed("range expected 1 to 3 arguments"),
    };
    if step == 0 {
        return failed("range() arg 3 must not be zero");
    }
    let span = if step > 0 { stop.saturating_sub(start) } else { start.saturating_sub(stop) };
    let size = step.saturating_abs();
    let count = span.max(0) / size + i64::from(span.max(0) % size != 0);
    if count > RANGE {
        return failed(format!("Range too big. The sandbox blocks ranges larger than {RANGE}."));
    }
    machine.spend_times(ITEM, usize::try_from(count).unwrap_or(0))?;
    let numbers = (0..count).map(|index| Value::Int(start + index * step));
    Ok(Value::Sequence(Kind::Range, Rc::new(numbers.collect())))
}
