//! Runs the statements of a template.

use std::cell::RefCell;
use std::rc::Rc;

use super::eval::{arguments, call, evaluate, filtered};
use super::fault::{Result, failed, unknown};
use super::functions::{refuse_hidden, refuse_namespace};
use super::machine::Machine;
use super::scope::Scope;
use super::text::{items, written};
use super::tree::{Expr, Loop, Macro, Node, Target};
use super::turns::Turn;
use super::value::{Arguments, Map, Object, Value};

/// How a body ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At its end.
    Reached,
    /// By `{% break %}`.
    Break,
    /// By `{% continue %}`.
    Continue,
}

/// Runs a body, which writes to `out`.
pub fn run(body: &[Node], scope: &Rc<Scope>, out: &mut String, machine: &Machine) -> Result<End> {
    machine.inner(|| within(body, scope, out, machine))
}

fn within(body: &[Node], scope: &Rc<Scope>, out: &mut String, machine: &Machine) -> Result<End> {
    for node in body {
        machine.step()?;
        machine.holds(out)?;
        match node {
            Node::Data(text) => {
                machine.spend(text.len())?;
                out.push_str(text);
            }
            Node::Print(expr) => out.push_str(&written(&evaluate(expr, scope, machine)?, machine)?),
            Node::If(branches, otherwise) => {
                let mut chosen = otherwise;
                for (condition, body) in branches {
                    if evaluate(condition, scope, machine)?.is_true() {
                        chosen = body;
                        break;
                    }
                }
                let end = run(chosen, scope, out, machine)?;
                if end != End::Reached {
                    return Ok(end);
                }
            }
            Node::For(repetition) => {
                let end = repeat(repetition, scope, out, machine)?;
                if end != End::Reached {
                    return Ok(end);
                }
            }
            Node::Set(target, expr) => {
                assign(target, evaluate(expr, scope, machine)?, scope, machine)?
            }
            Node::SetBlock(target, filters, body) => {
                let text = captured(body, scope, machine)?;
                assign(target, filtered(text, filters, scope, machine)?, scope, machine)?;
            }
            Node::Macro(definition) => {
                scope.set(&definition.name, routine(definition, scope));
            }
            Node::CallBlock(expr, body) => {
                let Expr::Call(of, given) = expr else { return failed("expected call") };
                let of = evaluate(of, scope, machine)?;
                let mut arguments = arguments(given, scope, machine)?;
                arguments.named.push(("caller".to_owned(), routine(body, scope)));
                out.push_str(&written(&call(&of, arguments, machine)?, machine)?);
            }
            Node::With(values, body) => {
                let inside = Scope::inside(scope);
                for (target, expr) in values {
                    assign(target, evaluate(expr, scope, machine)?, &inside, machine)?;
                }
                let end = run(body, &inside, out, machine)?;
                if end != End::Reached {
                    return Ok(end);
                }
            }
            Node::Filtered(filters, body) => {
                let text = captured(body, scope, machine)?;
                out.push_str(&written(&filtered(text, filters, scope, machine)?, machine)?);
            }
            Node::Break => return Ok(End::Break),
            Node::Continue => return Ok(End::Continue),
        }
    }
    Ok(End::Reached)
}

/// The text of a body with a scope of its own.
fn captured(body: &[Node], scope: &Rc<Scope>, machine: &Machine) -> Result<Value> {
    let mut out = String::new();
    match run(body, &Scope::inside(scope), &mut out, machine)? {
        End::Reached => Ok(Value::text(out)),
        _ => unknown("a break in a block that is no loop"),
    }
}

fn repeat(
    repetition: &Loop,
    scope: &Rc<Scope>,
    out: &mut String,
    machine: &Machine,
) -> Result<End> {
    let mut chosen = Vec::new();
    for value in items(&evaluate(&repetition.over, scope, machine)?, machine)? {
        machine.step()?;
        if let Some(condition) = &repetition.condition {
            let inside = Scope::inside(scope);
            assign(&repetition.target, value.clone(), &inside, machine)?;
            if !evaluate(condition, &inside, machine)?.is_true() {
                continue;
            }
        }
        chosen.push(value);
    }
    let items = Rc::new(chosen);
    let asked = Rc::new(RefCell::new(None));
    // Jinja runs `else` unless a turn reached its end: after `break` in the first turn as well.
    let mut reached = false;
    for (at, value) in items.iter().enumerate() {
        let inside = Scope::inside(scope);
        let turn = Turn { items: Rc::clone(&items), at, depth: 0, asked: Rc::clone(&asked) };
        inside.set("loop", Value::Object(Rc::new(turn)));
        assign(&repetition.target, value.clone(), &inside, machine)?;
        match run(&repetition.body, &inside, out, machine)? {
            End::Break => break,
            End::Reached => reached = true,
            End::Continue => {}
        }
    }
    match reached {
        true => Ok(End::Reached),
        false => run(&repetition.otherwise, &Scope::inside(scope), out, machine),
    }
}

fn assign(target: &Target, value: Value, scope: &Scope, machine: &Machine) -> Result<()> {
    match target {
        Target::Name(name) => {
            scope.set(name, value);
            Ok(())
        }
        Target::Member(of, name) => match scope.get(of) {
            Some(Value::Namespace(map)) => {
                let name = Value::text(name.as_str());
                refuse_hidden(&name)?;
                refuse_namespace(&value)?;
                map.borrow_mut().insert(name, value);
                Ok(())
            }
            _ => failed("cannot assign attribute on non-namespace object"),
        },
        Target::Tuple(targets) => {
            let values = items(&value, machine)?;
            if values.len() != targets.len() {
                let (wanted, found) = (targets.len(), values.len());
                return failed(format!("expected {wanted} values to unpack, got {found}"));
            }
            targets
                .iter()
                .zip(values)
                .try_for_each(|(target, value)| assign(target, value, scope, machine))
        }
    }
}

/// A macro with the block in which it was defined.
struct Routine {
    definition: Rc<Macro>,
    around: Rc<Scope>,
}

fn routine(definition: &Rc<Macro>, around: &Rc<Scope>) -> Value {
    let routine = Routine { definition: Rc::clone(definition), around: Rc::clone(around) };
    Value::Object(Rc::new(routine))
}

impl Object for Routine {
    fn name(&self) -> String {
        "Macro".to_owned()
    }

    fn attribute(&self, name: &str) -> Result<Option<Value>> {
        match name {
            "name" => Ok(Some(Value::text(self.definition.name.as_str()))),
            "arguments" | "caller" | "catch_kwargs" | "catch_varargs" | "explicit_caller" => {
                unknown(format!("the attribute {name} of a macro"))
            }
            _ => Ok(None),
        }
    }

    fn call(&self, arguments: Arguments, machine: &Machine) -> Result<Value> {
        let definition = &*self.definition;
        let name = &definition.name;
        let scope = Scope::inside(&self.around);
        let mut given: Vec<Option<Value>> = arguments.positional.into_iter().map(Some).collect();
        let count = definition.parameters.len();
        let rest = given.split_off(given.len().min(count));
        given.resize(count, None);
        let [caller, variable, keyed] = definition.extras;
        let mut keywords = Map::default();
        let mut called = None;
        for (key, value) in arguments.named {
            let place = definition.parameters.iter().position(|(parameter, _)| *parameter == key);
            match place {
                Some(place) if given[place].is_none() => given[place] = Some(value),
                Some(_) => {
                    return failed(format!("macro '{name}' got multiple values for '{key}'"));
                }
                None if caller && key == "caller" => called = Some(value),
                None if keyed => keywords.insert(Value::text(key), value),
                None if key == "caller" => {
                    return failed(format!(
                        "macro '{name}' was invoked with two values for the \
                        special caller argument or takes none"
                    ));
                }
                None => {
                    return failed(format!("macro '{name}' takes no keyword argument '{key}'"));
                }
            }
        }
        if !rest.is_empty() && !variable {
            return failed(format!("macro '{name}' takes not more than {count} argument(s)"));
        }
        machine.deeper(|| {
            for ((parameter, default), value) in definition.parameters.iter().zip(given) {
                let value = match (value, default) {
                    (Some(value), _) => value,
                    (None, Some(default)) => evaluate(default, &scope, machine)?,
                    (None, None) => {
                        Value::undefined(format!("parameter '{parameter}' was not provided"))
                    }
                };
                scope.set(parameter, value);
            }
            if caller {
                let none = || Value::undefined("No caller defined");
                scope.set("caller", called.unwrap_or_else(none));
            }
            if variable {
                scope.set("varargs", Value::tuple(rest.into_iter().flatten().collect()));
            }
            if keyed {
                scope.set("kwargs", Value::map(keywords));
            }
            let mut out = String::new();
            match run(&definition.body, &scope, &mut out, machine)? {
                End::Reached => Ok(Value::text(out)),
                _ => failed("'break' or 'continue' outside of a loop"),
            }
        })
    }
}
