//! Converts a conversation to tokens: renders the chat template of `chat_template.jinja` or
//! `tokenizer_config.json`, then runs the tokenizer.

use std::io;
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::contract::Phase;
use crate::contract::generation::Turn;
use crate::loader::error::{LoadError, Result, json_text, quote};
use crate::loader::remedies::Remedy;
use crate::loader::remedies::files::FILE_NOT_FOUND;
use crate::loader::remedies::input_and_output::PROMPT_EMPTY;
use crate::loader::remedies::tokenizer_and_template::{
    TEMPLATE_ENDLESS, TEMPLATE_FAILS, TEMPLATE_MISSING, TEMPLATE_NO_DEFAULT, TEMPLATE_NONE,
    TEMPLATE_NOT_JSON, TEMPLATE_NOT_PARSED, TEMPLATE_NOT_SUPPORTED, TEMPLATE_NOT_TEXT,
    TEMPLATE_NOT_UTF8, TEMPLATE_REFUSES, TEMPLATE_TOO_LONG,
};

use super::beside::read_beside;
use super::tokenizer::Tokens;

/// The file of a template that is separate from `tokenizer_config.json`. If it exists, the template
/// in `tokenizer_config.json` is ignored. Source: huggingface/transformers, pull request 33957;
/// later versions write only this file.
const APART: &str = "chat_template.jinja";

/// Longest `tokenizer_config.json`, in bytes. The file may list every added token.
const LONGEST: u64 = 16 << 20;

/// Most steps of a template. It is far more than any conversation needs, and stops a template that
/// never ends.
const FUEL: u64 = 10_000_000;

/// The template's name in the Jinja environment.
const NAME: &str = "chat";

/// A model's chat template.
#[derive(Clone, Debug)]
pub struct Template {
    environment: Environment<'static>,
    special: Value,
}

/// Tokens for a model. Text can become such tokens only through a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedTokens(Vec<u32>);

impl PreparedTokens {
    /// Wraps ids that the request gave as ids.
    pub fn given(ids: Vec<u32>) -> Self {
        PreparedTokens(ids)
    }

    /// The ids.
    pub fn ids(&self) -> &[u32] {
        &self.0
    }
}

impl Template {
    /// Reads a `tokenizer_config.json`, and `chat_template.jinja` in the same folder if it exists.
    ///
    /// # Errors
    /// `invalid_template`: missing, without a template, or with one that cannot be parsed; those of
    /// opening and reading.
    pub fn read(path: &Path) -> Result<Template> {
        let bytes = read_beside(path, LONGEST, (TEMPLATE_MISSING, TEMPLATE_TOO_LONG))?;
        let mut value: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|error| {
            invalid(TEMPLATE_NOT_JSON, "tokenizer_config.json is not a JSON object")
                .expected("a JSON object", error)
        })?;
        if let Some(apart) = apart(path)? {
            value.insert("chat_template".to_owned(), Value::String(apart));
        }
        Template::of(&Value::Object(value))
    }

    /// Makes a template from a parsed `tokenizer_config.json`.
    ///
    /// # Errors
    /// As above.
    pub fn of(value: &Value) -> Result<Template> {
        let source = match value.get("chat_template") {
            Some(Value::String(source)) => source.clone(),
            // Several templates with names: `default` is the one for a plain conversation.
            Some(Value::Array(several)) => several
                .iter()
                .find(|one| one["name"] == "default")
                .and_then(|one| one["template"].as_str())
                .ok_or_else(|| {
                    invalid(TEMPLATE_NO_DEFAULT, "no default among the chat templates")
                        .expected("one that is named default", format!("{} others", several.len()))
                })?
                .to_owned(),
            Some(other) => {
                return Err(invalid(TEMPLATE_NOT_TEXT, "chat_template is not a text")
                    .expected("a Jinja template", json_text(other)));
            }
            None => {
                return Err(invalid(TEMPLATE_NONE, "the model has no chat template")
                    .expected("chat_template.jinja, or a field chat_template", "neither"));
            }
        };
        // Use the Jinja settings of transformers.
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| LoadError::internal(error.to_string()))?);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |message: String| -> std::result::Result<String, Error> {
                Err(Error::new(ErrorKind::InvalidOperation, message.clone())
                    .with_source(Refused(message)))
            },
        );
        environment.set_fuel(Some(FUEL));
        environment.add_template_owned(NAME, source).map_err(|error| {
            invalid(TEMPLATE_NOT_PARSED, "the chat template cannot be parsed")
                .expected("a Jinja template that this loader supports", error)
        })?;
        let token = |name: &str| match value.get(name) {
            Some(Value::Object(token)) => token.get("content").cloned().unwrap_or(Value::Null),
            other => other.cloned().unwrap_or(Value::Null),
        };
        let special = serde_json::json!({
            "bos_token": token("bos_token"), "eos_token": token("eos_token"),
            "pad_token": token("pad_token"), "unk_token": token("unk_token"),
        });
        Ok(Template { environment, special })
    }

    /// Renders a conversation as text, followed by the start of the assistant's turn.
    ///
    /// # Errors
    /// `invalid_template` if the template cannot be rendered.
    pub fn render(&self, turns: &[Turn]) -> Result<String> {
        let mut values = self.special.clone();
        values["messages"] = serde_json::json!(turns);
        values["add_generation_prompt"] = Value::Bool(true);
        values["tools"] = Value::Null;
        values["documents"] = Value::Null;
        let values = minijinja::Value::deserialize(values)
            .map_err(|error| LoadError::internal(error.to_string()))?;
        let rendered = self.environment.get_template(NAME).and_then(|one| one.render(values));
        rendered.map_err(|error| not_rendered(&error))
    }

    /// Converts a conversation to tokens.
    ///
    /// # Errors
    /// As above; `invalid_input` for a conversation without a turn, `invalid_tokenizer`.
    pub fn prepare(&self, turns: &[Turn], tokens: &Tokens) -> Result<PreparedTokens> {
        if turns.last().is_none_or(|last| last.content.trim().is_empty()) {
            return Err(LoadError::refused(Phase::Infer, PROMPT_EMPTY, "an empty prompt")
                .expected("a conversation whose last turn has a text", "no text"));
        }
        // The template has already written every special token, so the tokenizer adds none.
        Ok(PreparedTokens(tokens.plain(&self.render(turns)?)?))
    }
}

/// Reads `chat_template.jinja` in the folder of `path`, if it exists. If it exists and cannot be
/// read, this is an error: the template in the other file may be from another revision.
fn apart(path: &Path) -> Result<Option<String>> {
    let path = path.with_file_name(APART);
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        _ => {}
    }
    let bytes = read_beside(&path, LONGEST, (FILE_NOT_FOUND, TEMPLATE_TOO_LONG))?;
    String::from_utf8(bytes).map(Some).map_err(|error| {
        invalid(TEMPLATE_NOT_UTF8, "chat_template.jinja is not UTF-8")
            .expected("a Jinja template", error)
            .path(&path)
    })
}

/// The template's own `raise_exception`, with its message.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

/// Converts an error of rendering.
fn not_rendered(error: &Error) -> LoadError {
    let refusal = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    if let Some(Refused(words)) = refusal {
        return invalid(TEMPLATE_REFUSES, "the chat template refuses the conversation")
            .expected("turns that the template accepts", quote(words));
    }
    let (cause, message) = match error.kind() {
        ErrorKind::UnknownFunction
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownMethod => {
            (TEMPLATE_NOT_SUPPORTED, "the chat template uses something that is not supported")
        }
        ErrorKind::OutOfFuel => (TEMPLATE_ENDLESS, "the chat template takes too many steps"),
        _ => (TEMPLATE_FAILS, "the chat template fails"),
    };
    invalid(cause, message).expected("a template that renders the conversation", error)
}

fn invalid(cause: Remedy, message: &str) -> LoadError {
    LoadError::refused(Phase::Open, cause, message)
}

#[cfg(test)]
mod tests;
