//! The Jinja environment of transformers, with the library `minijinja`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::NaiveDateTime;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::{filters, json, methods, python, tags};

/// Most steps of a template. It is far more than any conversation needs, and stops a template that
/// never ends.
const FUEL: u64 = 10_000_000;

/// The template's name in the environment.
const NAME: &str = "chat";

/// The template's own `raise_exception`, with its message.
#[derive(Debug)]
pub struct Refused(pub String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// An environment with one template.
///
/// # Errors
/// If the template cannot be parsed.
pub fn environment(source: &str) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(|out, _state, value| {
        out.write_str(&python::written(value)).map_err(Error::from)
    });
    environment.set_unknown_method_callback(methods::call);
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        let error = Error::new(ErrorKind::InvalidOperation, message.clone());
        Err(error.with_source(Refused(message)))
    });
    environment.add_filter("tojson", json::tojson);
    filters::define(&mut environment);
    environment.set_fuel(Some(FUEL));
    environment.add_template_owned(NAME, tags::prepared(source))?;
    Ok(environment)
}

/// Renders the template at this moment.
///
/// # Errors
/// The error of the template.
pub fn render(
    environment: &Environment<'static>,
    variables: Value,
    now: NaiveDateTime,
) -> Result<String, Error> {
    let now = Value::from_function(move |form: String| json::date(now, &form));
    let variables = minijinja::context! { strftime_now => now, ..variables };
    // A fault of the library must not end a program that holds models.
    let render = || environment.get_template(NAME)?.render(variables);
    catch_unwind(AssertUnwindSafe(render)).unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::InvalidOperation, "the template library panicked"))
    })
}
