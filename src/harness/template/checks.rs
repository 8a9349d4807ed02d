//! Jinja's tests: `value is defined` and the like.

use super::arguments::needed;
use super::fault::{Result, failed, unknown};
use super::machine::Machine;
use super::names::{TESTS, is_one};
use super::operators::{binary, compare};
use super::text::written;
use super::turns::LOOP;
use super::value::{Arguments, Kind, Value};

/// `value is name(...)`.
pub fn check(name: &str, value: &Value, arguments: Arguments, machine: &Machine) -> Result<bool> {
    machine.step()?;
    let operator = match name {
        "eq" | "equalto" => "==",
        "ne" => "!=",
        "gt" | "greaterthan" => ">",
        "ge" => ">=",
        "lt" | "lessthan" => "<",
        "le" => "<=",
        "in" => "in",
        _ => "",
    };
    if !operator.is_empty() {
        if !arguments.named.is_empty() {
            return unknown(format!("the test {name} with a named argument"));
        }
        let [other] = arguments.bind(name, ["other"])?;
        return compare(operator, value, &needed(other, name)?, machine);
    }
    if let "divisibleby" = name {
        let [number] = arguments.bind(name, ["num"])?;
        return rest(value, &needed(number, name)?, 0, machine);
    }
    if let "sameas" = name {
        let [other] = arguments.bind(name, ["other"])?;
        return match (value, needed(other, name)?) {
            (Value::None, other) => Ok(matches!(other, Value::None)),
            (Value::Bool(one), Value::Bool(two)) => Ok(*one == two),
            (Value::Bool(_), _) | (_, Value::None | Value::Bool(_)) => Ok(false),
            _ => unknown("sameas of other values than none, true and false"),
        };
    }
    arguments.none(name)?;
    machine.look(value.as_text().map_or(1, str::len))?;
    Ok(match name {
        "defined" => !matches!(value, Value::Undefined(_)),
        "undefined" => matches!(value, Value::Undefined(_)),
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "true" => matches!(value, Value::Bool(true)),
        "false" => matches!(value, Value::Bool(false)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => value.as_float().is_some(),
        "string" => matches!(value, Value::Text(_)),
        "mapping" => matches!(value, Value::Map(_)),
        "iterable" => {
            matches!(
                value,
                Value::Undefined(_)
                    | Value::Text(_)
                    | Value::Sequence(..)
                    | Value::Once(_)
                    | Value::Map(_)
            ) || value.kind() == LOOP
        }
        "sequence" => matches!(
            value,
            Value::Undefined(_)
                | Value::Text(_)
                | Value::Sequence(Kind::List | Kind::Tuple | Kind::Range, _)
                | Value::Map(_)
        ),
        // Jinja's own class of undefined values has the method that makes a value callable.
        "callable" => matches!(value, Value::Undefined(_) | Value::Object(_)),
        "escaped" => matches!(value, Value::Text(text) if text.safe),
        "odd" => rest(value, &Value::Int(2), 1, machine)?,
        "even" => rest(value, &Value::Int(2), 0, machine)?,
        "lower" | "upper" => {
            let text = written(value, machine)?;
            let upper = text.chars().any(char::is_uppercase);
            let lower = text.chars().any(char::is_lowercase);
            if name == "lower" { lower && !upper } else { upper && !lower }
        }
        name if is_one(TESTS, name) => return unknown(format!("the test {name}")),
        name => return failed(format!("No test named '{name}'.")),
    })
}

/// Whether `value % by` is this number.
fn rest(value: &Value, by: &Value, wanted: i64, machine: &Machine) -> Result<bool> {
    Ok(binary("%", value, by, machine)?.equals(&Value::Int(wanted)))
}
