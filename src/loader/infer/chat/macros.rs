//! Defaults of a macro's parameters. To Jinja an argument that is given is there, even if its value is
//! undefined. To `minijinja` it is absent, and takes the default.

use std::collections::HashSet;

use minijinja::value::Object;
use minijinja::{Environment, Error, Value};

use super::expression::Walk;
use super::tokens::{Token, invalid, is_space, tokens};

/// The function that stands around an argument of a macro that has defaults.
pub const GIVEN: &str = "__given";

/// The function that reads a parameter in such a macro.
const TAKEN: &str = "__taken";

/// What an undefined argument is until the macro reads it.
#[derive(Debug)]
struct Undefined;

impl Object for Undefined {}

/// Puts both functions into an environment.
pub fn define(environment: &mut Environment<'static>) {
    environment.add_function(GIVEN, |value: &Value| match value.is_undefined() {
        true => Value::from_object(Undefined),
        false => value.clone(),
    });
    environment.add_function(TAKEN, |value: &Value| {
        match value.downcast_object_ref::<Undefined>().is_some() {
            true => Value::UNDEFINED,
            false => value.clone(),
        }
    });
}

/// The names of a template's macros that have defaults. No part of the template is read twice, as it may be long.
pub fn with_defaults(source: &str) -> HashSet<String> {
    let mut names = HashSet::new();
    let mut rest = source;
    while let Some((_, tag)) = rest.split_once("{%") {
        rest = tag;
        let inner = tag.strip_prefix(['-', '+']).unwrap_or(tag).trim_start_matches(is_space);
        let Some(inner) = inner.strip_prefix("macro").and_then(|one| one.strip_prefix(is_space))
        else {
            continue;
        };
        let Some((inner, after)) = inner.split_once("%}") else { break };
        rest = after;
        let found = tokens(inner.strip_suffix(['-', '+']).unwrap_or(inner)).unwrap_or_default();
        if let Some(Token::Name(name)) = found.first()
            && found.contains(&Token::Sign("="))
        {
            names.insert(name.clone());
        }
    }
    names
}

/// The rest of a macro's tag behind its name, and what gives each parameter its value. One default after the
/// other is looked at, as it may name parameters before it.
///
/// # Errors
/// If they are no parameters.
pub fn parameters(walk: &mut Walk<'_>, name: &str) -> Result<String, Error> {
    let (mut names, mut body) = (Vec::new(), String::new());
    let served = walk.macros.contains(name);
    let mut defaults = false;
    while !walk.take(")") {
        if !names.is_empty() {
            walk.must(",")?;
            if walk.take(")") {
                break;
            }
        }
        let name = walk.token()?.written();
        let default = walk.take("=").then(|| walk.expression()).transpose()?;
        if defaults && default.is_none() {
            return Err(invalid("a parameter without a default behind one that has one"));
        }
        defaults |= default.is_some();
        if served || default.is_some() {
            let default = default.map(|value| format!("({value}) if {name} is undefined else "));
            let default = default.unwrap_or_default();
            body.push_str(&format!(" %}}{{% set {name} = {default}{TAKEN}({name})"));
        }
        names.push(name);
    }
    Ok(format!("({}){body}", names.join(", ")))
}
