//! The Jinja environment of transformers, with the library `minijinja`.

use chrono::NaiveDateTime;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::{
    budget, filters, groups, json, macros, methods, operators, order, python, tags, texts,
};

/// Most steps of a template. It is far more than any conversation needs, and stops a template that
/// never ends.
const FUEL: u64 = 10_000_000;

/// Most text from between the tags that all steps may write and nothing else pays for, in bytes.
const MOST_TEXT: u64 = 320 << 20;

/// Longest template, in bytes: ten times the longest one that was published.
const LONGEST: usize = 1 << 20;

/// The stack for a rendering, in bytes.
const STACK: usize = 64 << 20;

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
        let text = python::written(value)?;
        budget::spend(text.len())?;
        out.write_str(&text).map_err(Error::from)
    });
    environment.set_unknown_method_callback(methods::call);
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        let error = Error::new(ErrorKind::InvalidOperation, message.clone());
        Err(error.with_source(Refused(message)))
    });
    environment.add_filter("tojson", json::tojson);
    filters::define(&mut environment);
    groups::define(&mut environment);
    macros::define(&mut environment);
    operators::define(&mut environment);
    order::define(&mut environment);
    texts::define(&mut environment);
    if source.len() > LONGEST {
        let what = format!("a template of {} bytes, and not of at most {LONGEST}", source.len());
        return Err(super::tokens::unsupported(what));
    }
    let prepared = tags::prepared(source)?;
    // Every step may write the longest of the texts for which nothing pays.
    let unpaid = prepared.unpaid.max(1) as u64;
    environment.set_fuel(Some(FUEL.min(MOST_TEXT / unpaid)));
    // Its parser needs a stack of its own as well.
    on_a_stack(move || {
        environment.add_template_owned(NAME, prepared.source)?;
        Ok(environment)
    })
}

/// Runs what may nest deep on a stack that is large enough for it. A fault of the library does not end a
/// program that holds models.
fn on_a_stack<T: Send>(run: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    let failed = |why: &str| Error::new(ErrorKind::InvalidOperation, why.to_owned());
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("template".to_owned()).stack_size(STACK);
        let thread = thread.spawn_scoped(scope, run);
        let thread = thread.map_err(|error| failed(&format!("no thread for it: {error}")))?;
        thread.join().unwrap_or_else(|_| Err(failed("the template library panicked")))
    })
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
    let now = Value::from_function(move |form: &str| json::date(now, form));
    let variables = minijinja::context! { strftime_now => now, ..variables };
    on_a_stack(|| {
        budget::begin();
        environment.get_template(NAME)?.render(variables)
    })
}
