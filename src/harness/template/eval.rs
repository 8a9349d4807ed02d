//! Evaluates expressions.

use std::rc::Rc;

use super::attributes::{attribute, item, slice};
use super::checks::check;
use super::fault::{Result, failed, unknown};
use super::filters::apply;
use super::machine::Machine;
use super::operators::{binary, compare, signed};
use super::scope::Scope;
use super::text::written;
use super::tree::{Expr, Filter, Given};
use super::value::{Arguments, Map, Value};

/// The value of an expression.
pub fn evaluate(expr: &Expr, scope: &Rc<Scope>, machine: &Machine) -> Result<Value> {
    machine.step()?;
    let value = machine.inner(|| evaluated(expr, scope, machine))?;
    match expr {
        Expr::Name(_) | Expr::Constant(_) | Expr::Attribute(..) | Expr::Item(..) => Ok(value),
        _ => machine.made(value),
    }
}

fn evaluated(expr: &Expr, scope: &Rc<Scope>, machine: &Machine) -> Result<Value> {
    let value = |expr: &Expr| evaluate(expr, scope, machine);
    match expr {
        Expr::Constant(constant) => Ok(constant.value()),
        Expr::Name(name) => match scope.get(name) {
            Some(value) => Ok(value),
            None if name == "self" => unknown("the name self"),
            None => Ok(Value::undefined(format!("'{name}' is undefined"))),
        },
        Expr::List(items) => {
            Ok(Value::list(items.iter().map(value).collect::<Result<Vec<Value>>>()?))
        }
        Expr::Tuple(items) => {
            Ok(Value::tuple(items.iter().map(value).collect::<Result<Vec<Value>>>()?))
        }
        Expr::Map(pairs) => {
            let mut map = Map::default();
            for (key, of) in pairs {
                let key = value(key)?;
                key.hashable()?;
                machine.spend(map.0.len())?;
                map.insert(key, value(of)?);
            }
            Ok(Value::map(map))
        }
        Expr::Attribute(of, name) => attribute(&value(of)?, name),
        Expr::Item(of, key) => {
            let of = value(of)?;
            // The letters of a text are found by counting.
            machine.look(of.as_text().map_or(1, str::len))?;
            item(&of, &value(key)?)
        }
        Expr::Slice(of, bounds) => {
            let of = value(of)?;
            let mut values = [const { None }; 3];
            for (place, bound) in values.iter_mut().zip(bounds) {
                *place = bound.as_ref().map(|bound| value(bound)).transpose()?;
            }
            slice(&of, values, machine)
        }
        Expr::Call(of, given) => {
            let of = value(of)?;
            let arguments = arguments(given, scope, machine)?;
            call(&of, arguments, machine)
        }
        Expr::Filter(of, name, given) => {
            let of = value(of)?;
            machine.look(of.as_text().map_or(1, str::len))?;
            apply(name, &of, arguments(given, scope, machine)?, machine)
        }
        Expr::Test(of, name, given) => {
            let of = value(of)?;
            Ok(Value::Bool(check(name, &of, arguments(given, scope, machine)?, machine)?))
        }
        Expr::Not(of) => Ok(Value::Bool(!value(of)?.is_true())),
        Expr::Sign(minus, of) => signed(*minus, &value(of)?),
        Expr::And(one, two) => {
            let one = value(one)?;
            if one.is_true() { value(two) } else { Ok(one) }
        }
        Expr::Or(one, two) => {
            let one = value(one)?;
            if one.is_true() { Ok(one) } else { value(two) }
        }
        Expr::Binary(operator, one, two) => binary(operator, &value(one)?, &value(two)?, machine),
        Expr::Compare(first, more) => {
            let mut left = value(first)?;
            for (operator, right) in more {
                let right = value(right)?;
                if !compare(operator, &left, &right, machine)? {
                    return Ok(Value::Bool(false));
                }
                left = right;
            }
            Ok(Value::Bool(true))
        }
        Expr::Concat(parts) => {
            let mut out = String::new();
            for one in parts {
                out.push_str(&written(&value(one)?, machine)?);
                machine.holds(&out)?;
            }
            Ok(Value::text(out))
        }
        Expr::Choice(test, then, otherwise) => match (value(test)?.is_true(), otherwise) {
            (true, _) => value(then),
            (false, Some(otherwise)) => value(otherwise),
            (false, None) => Ok(Value::undefined(
                "the inline if-expression evaluated to false and no else section was defined.",
            )),
        },
    }
}

/// Calls a value.
pub fn call(of: &Value, arguments: Arguments, machine: &Machine) -> Result<Value> {
    match of {
        Value::Object(object) => object.call(arguments, machine),
        Value::Undefined(why) => failed(why.to_string()),
        other => failed(format!("'{}' object is not callable", other.kind())),
    }
}

/// The arguments of a call.
pub fn arguments(given: &Given, scope: &Rc<Scope>, machine: &Machine) -> Result<Arguments> {
    let mut arguments = Arguments::default();
    for expr in &given.positional {
        arguments.positional.push(evaluate(expr, scope, machine)?);
    }
    for (name, expr) in &given.named {
        arguments.named.push((name.clone(), evaluate(expr, scope, machine)?));
    }
    Ok(arguments)
}

/// Applies filters one after the other.
pub fn filtered(
    mut value: Value,
    filters: &[Filter],
    scope: &Rc<Scope>,
    machine: &Machine,
) -> Result<Value> {
    for (name, given) in filters {
        value = apply(name, &value, arguments(given, scope, machine)?, machine)?;
    }
    Ok(value)
}
