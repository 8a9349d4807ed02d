//! The filters that use another filter or a test on every item: `map`, `select` and their kin.

use super::checks::check;
use super::fault::{Result, failed};
use super::lists::{keyed, member};
use super::machine::Machine;
use super::text;
use super::value::{Arguments, Value};

/// How another filter is applied.
type Apply<'a> = &'a dyn Fn(&str, &Value, Arguments, &Machine) -> Result<Value>;

/// Applies a filter, if it is one of these.
pub fn apply(
    name: &str,
    value: &Value,
    given: &Arguments,
    machine: &Machine,
    other: Apply<'_>,
) -> Result<Option<Value>> {
    match name {
        "map" => map(value, given, machine, other).map(Some),
        "select" | "reject" => pick(name == "select", false, value, given, machine).map(Some),
        "selectattr" | "rejectattr" => {
            pick(name == "selectattr", true, value, given, machine).map(Some)
        }
        _ => Ok(None),
    }
}

/// The items of a value. These filters do not look into a value that is false.
fn items(value: &Value, machine: &Machine) -> Result<Vec<Value>> {
    if value.is_true() { text::items(value, machine) } else { Ok(Vec::new()) }
}

fn map(value: &Value, given: &Arguments, machine: &Machine, other: Apply<'_>) -> Result<Value> {
    let mut out = Vec::new();
    let named = |name: &str| {
        given.named.iter().find(|(one, _)| one == name).map(|(_, value)| value.clone())
    };
    if let (true, Some(path)) = (given.positional.is_empty(), named("attribute")) {
        let default = named("default").filter(|default| !matches!(default, Value::None));
        if let Some((name, _)) =
            given.named.iter().find(|(name, _)| !["attribute", "default"].contains(&&**name))
        {
            return failed(format!("Unexpected keyword argument '{name}'"));
        }
        for item in items(value, machine)? {
            machine.step()?;
            out.push(match (keyed(&item, Some(&path))?, &default) {
                (Value::Undefined(_), Some(default)) => default.clone(),
                (found, _) => found,
            });
        }
        return Ok(Value::once(out));
    }
    let Some((filter, rest)) = given.positional.split_first() else {
        return failed("map requires a filter argument");
    };
    let Some(filter) = filter.as_text() else { return failed("map requires a filter's name") };
    for item in items(value, machine)? {
        let given = Arguments { positional: rest.to_vec(), named: given.named.clone() };
        out.push(other(filter, &item, given, machine)?);
    }
    Ok(Value::once(out))
}

fn pick(
    keeps: bool,
    by_member: bool,
    value: &Value,
    given: &Arguments,
    machine: &Machine,
) -> Result<Value> {
    let (path, rest) = match (by_member, given.positional.split_first()) {
        (true, Some((path, rest))) => (Some(path), rest),
        (true, None) => return failed("Missing parameter for attribute name"),
        (false, _) => (None, given.positional.as_slice()),
    };
    let mut kept = Vec::new();
    for item in items(value, machine)? {
        machine.step()?;
        let tried = match path {
            Some(path) => member(&item, path)?,
            None => item.clone(),
        };
        let held = match rest.split_first() {
            None => tried.is_true(),
            Some((test, rest)) => {
                let Some(test) = test.as_text() else { return failed("a test's name is a str") };
                let test = match test {
                    "==" => "eq",
                    "!=" => "ne",
                    ">" => "gt",
                    ">=" => "ge",
                    "<" => "lt",
                    "<=" => "le",
                    other => other,
                };
                let given = Arguments { positional: rest.to_vec(), named: given.named.clone() };
                check(test, &tried, given, machine)?
            }
        };
        if held == keeps {
            kept.push(item);
        }
    }
    Ok(Value::once(kept))
}
