//! The judge's own renderer of chat templates: the part of Jinja2 that published templates use, as
//! transformers sets it up. It shares no library with any loader.
//!
//! `lexer` cuts a template, `statements` and `expressions` make a tree of it, `run` and
//! `eval` run that tree. What Jinja may know and this renderer does not is [`Fault::Unknown`]:
//! then a case is untested, and nobody is blamed.

mod arguments;
mod attributes;
mod checks;
mod document;
mod eval;
mod expressions;
mod fault;
mod filters;
mod functions;
mod held;
mod json;
mod lexer;
mod lists;
mod literal;
mod machine;
mod methods;
mod moment;
mod names;
mod operands;
mod operators;
mod percent;
mod picks;
mod run;
mod scope;
mod splits;
mod statements;
mod text;
mod token;
mod tree;
mod turns;
mod value;

use std::rc::Rc;

use self::machine::Machine;
use self::scope::Scope;

pub use self::fault::{Fault, Result};
pub use self::moment::Moment;
pub use self::value::{Map, Value};

/// What a template gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// Whether it tells a time of the day, so that it is another one a moment later.
    pub timed: bool,
}

/// Renders a template with these variables at this moment.
///
/// # Errors
/// What the template demands, what Jinja refuses, and what this renderer does not know.
pub fn render(source: &str, variables: Vec<(String, Value)>, now: Moment) -> Result<Rendered> {
    let body = statements::parse(source)?;
    let machine = Machine::new();
    let globals = Rc::new(Scope::default());
    functions::define(&globals, now);
    for (name, value) in variables {
        globals.set(&name, value);
    }
    let scope = Scope::inside(&globals);
    let mut out = String::new();
    let ended = run::run(&body, &scope, &mut out, &machine);
    scope.clear();
    if ended? != run::End::Reached {
        return fault::failed("'break' or 'continue' outside of a loop");
    }
    machine.holds(&out)?;
    Ok(Rendered { text: out, timed: machine.timed() })
}

#[cfg(test)]
mod tests;
