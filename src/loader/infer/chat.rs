//! Converts a conversation to tokens: renders the chat template that was published with a model as
//! transformers renders it, then runs the tokenizer.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDateTime;
use minijinja::{Environment, Error, ErrorKind};
use serde_json::{Map, Value};

use crate::contract::Phase;
use crate::contract::generation::{Role, Turn};
use crate::loader::error::{LoadError, Result, quote};
use crate::loader::format::json_bounds;
use crate::loader::remedies::Remedy;
use crate::loader::remedies::input_and_output::PROMPT_EMPTY;
use crate::loader::remedies::tokenizer_and_template::{
    TEMPLATE_ENDLESS, TEMPLATE_FAILS, TEMPLATE_MISSING, TEMPLATE_NOT_JSON, TEMPLATE_NOT_PARSED,
    TEMPLATE_NOT_SUPPORTED, TEMPLATE_REFUSES, TEMPLATE_TOO_LONG, TOKEN_NOT_ADDED,
};

use super::beside::read_beside;
use super::tokenizer::Tokens;

mod blocks;
mod budget;
mod compare;
mod escape;
mod expression;
mod files;
mod filters;
mod format;
mod groups;
mod jinja;
mod json;
mod lazy;
mod macros;
mod methods;
mod operators;
mod order;
mod postfix;
mod pretty;
mod python;
pub mod special;
mod tags;
mod texts;
mod tokens;
mod vocabulary;

/// A model's chat template.
#[derive(Clone, Debug)]
pub struct Template {
    /// The Jinja environment, with the template.
    pub environment: Environment<'static>,
    /// The special tokens that are set.
    pub special: BTreeMap<String, String>,
    /// Tokens that the files beside the tokenizer add to it.
    added: Vec<String>,
    /// The clock, for templates that tell the date.
    pub now: fn() -> NaiveDateTime,
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
    /// Reads a `tokenizer_config.json` and, in the same folder, templates and special tokens that
    /// have files of their own.
    ///
    /// # Errors
    /// `invalid_template`: missing, without a template, or with one that cannot be parsed; those of
    /// opening and reading.
    pub fn read(path: &Path) -> Result<Template> {
        let bytes = read_beside(path, files::LONGEST, (TEMPLATE_MISSING, TEMPLATE_TOO_LONG))?;
        json_bounds::check(&bytes, special::MEMORY).map_err(|found| {
            invalid(TEMPLATE_TOO_LONG, "tokenizer_config.json takes too much memory")
                .expected("a document whose values take less memory, and nest less deep", found)
        })?;
        let mut config: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|error| {
            invalid(TEMPLATE_NOT_JSON, "tokenizer_config.json is not a JSON object")
                .expected("a JSON object", error)
        })?;
        if let Some(beside) = files::beside(path)? {
            config.insert("chat_template".to_owned(), beside);
        }
        let source = files::chosen(&config)?;
        special::complete(path, &mut config, |name| source.contains(name))?;
        let added = special::added(&config)?;
        Ok(Template { added, ..Template::of(&Value::Object(config))? })
    }

    /// Makes a template from a parsed `tokenizer_config.json`.
    ///
    /// # Errors
    /// As above.
    pub fn of(value: &Value) -> Result<Template> {
        let none = Map::new();
        let config = value.as_object().unwrap_or(&none);
        let source = files::chosen(config)?;
        let environment = jinja::environment(&source).map_err(|error| {
            construct(&error).unwrap_or_else(|| {
                invalid(TEMPLATE_NOT_PARSED, "the chat template cannot be parsed")
                    .expected("a Jinja template that this loader supports", error)
            })
        })?;
        let now = || chrono::Local::now().naive_local();
        Ok(Template { environment, special: special::of(config)?, added: Vec::new(), now })
    }

    /// Renders a conversation as text, followed by the start of the assistant's turn.
    ///
    /// # Errors
    /// `invalid_template` if the template cannot be rendered.
    pub fn render(&self, turns: &[Turn]) -> Result<String> {
        let message = |turn: &Turn| {
            let role = match turn.role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            let content = turn.content.as_str();
            minijinja::Value::from_pairs([("role", role), ("content", content)])
        };
        let messages: Vec<minijinja::Value> = turns.iter().map(message).collect();
        self.rendered(minijinja::context! {
            messages => messages, add_generation_prompt => true, tools => (), documents => (),
        })
    }

    /// Renders with these variables and the special tokens.
    fn rendered(&self, variables: minijinja::Value) -> Result<String> {
        let special = self.special.iter().map(|(name, token)| (name.as_str(), token.as_str()));
        let special = minijinja::Value::from_pairs(special);
        let variables = minijinja::context! { ..variables, ..special };
        let rendered = jinja::render(&self.environment, variables, (self.now)());
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
        let text = self.render(turns)?;
        let lacks = |token: &&String| text.contains(token.as_str()) && !tokens.adds(token);
        if let Some(token) = self.added.iter().find(lacks) {
            let message = "the tokenizer lacks a token of the conversation";
            return Err(LoadError::refused(Phase::Infer, TOKEN_NOT_ADDED, message)
                .expected("a tokenizer with every token of tokenizer_config.json", quote(token)));
        }
        Ok(PreparedTokens(tokens.plain(&text)?))
    }
}

/// The error for a construct that is not supported, if this is one.
fn construct(error: &Error) -> Option<LoadError> {
    let source = std::error::Error::source(error)?;
    let tokens::Unsupported(name) = source.downcast_ref()?;
    let message = "the chat template uses something that is not supported";
    Some(
        invalid(TEMPLATE_NOT_SUPPORTED, message)
            .expected("constructs that this loader renders as Jinja2 does", name),
    )
}

/// Converts an error of rendering.
fn not_rendered(error: &Error) -> LoadError {
    let refusal = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    if let Some(jinja::Refused(words)) = refusal {
        return invalid(TEMPLATE_REFUSES, "the chat template refuses the conversation")
            .expected("turns that the template accepts", quote(words));
    }
    if let Some(unsupported) = construct(error) {
        return unsupported;
    }
    let (cause, message) = match error.kind() {
        ErrorKind::UnknownFunction
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownMethod => {
            (TEMPLATE_NOT_SUPPORTED, "the chat template uses something that is not supported")
        }
        ErrorKind::OutOfFuel => {
            (TEMPLATE_ENDLESS, "the chat template takes too many steps or too much memory")
        }
        _ => (TEMPLATE_FAILS, "the chat template fails"),
    };
    invalid(cause, message).expected("a template that renders the conversation", error)
}

fn invalid(cause: Remedy, message: &str) -> LoadError {
    LoadError::refused(Phase::Open, cause, message)
}

#[cfg(test)]
mod tests;
