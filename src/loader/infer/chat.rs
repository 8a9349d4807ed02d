//! From a conversation to the tokens that a model reads: its chat template, as `chat_template.jinja` or
//! `tokenizer_config.json` has it, then its tokenizer.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::contract::generation::Turn;
use crate::contract::{Code, Phase};
use crate::loader::error::{LoadError, Result, quote};

use super::beside::read_beside;
use super::tokenizer::Tokens;

/// The template by itself, beside `tokenizer_config.json`: where it is, the other one does not count. Source:
/// huggingface/transformers, pull request 33957; its later versions write no other.
const APART: &str = "chat_template.jinja";

/// Longest `tokenizer_config.json`, in bytes: it may list every added token.
const LONGEST: u64 = 16 << 20;

/// Most steps that a template may take: far beyond any conversation's, so that one that never ends is
/// stopped.
const FUEL: u64 = 10_000_000;

/// The template's name among an environment's.
const NAME: &str = "chat";

/// A model's chat template.
#[derive(Clone, Debug)]
pub struct Template {
    environment: Environment<'static>,
    special: Value,
}

/// Tokens that a model may be given. Text becomes such tokens through a [`Template`] alone:
/// there is no other way to make them of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedTokens(Vec<u32>);

impl PreparedTokens {
    /// Ids that came as ids.
    pub fn given(ids: Vec<u32>) -> Self {
        PreparedTokens(ids)
    }

    /// The ids.
    pub fn ids(&self) -> &[u32] {
        &self.0
    }
}

impl Template {
    /// Reads a `tokenizer_config.json` and the template beside it, where there is one.
    ///
    /// # Errors
    /// `invalid_template`: missing, without a template, or with one that is no template.
    pub fn read(path: &Path) -> Result<Template> {
        let bytes = read_beside(path, LONGEST).map_err(|error| {
            let reason = &error.failure().message;
            invalid("tokenizer_config.json cannot be read").expected("a JSON object", reason)
        })?;
        let mut value: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|error| {
            invalid("tokenizer_config.json is no JSON object").expected("a JSON object", error)
        })?;
        if let Some(apart) = apart(path)? {
            value.insert("chat_template".to_owned(), Value::String(apart));
        }
        Template::of(&Value::Object(value))
    }

    /// Reads the same, parsed.
    ///
    /// # Errors
    /// As above.
    pub fn of(value: &Value) -> Result<Template> {
        let source = match value.get("chat_template") {
            Some(Value::String(source)) => source.clone(),
            // Several, by name: the one that is called default is for a plain conversation.
            Some(Value::Array(several)) => several
                .iter()
                .find(|one| one["name"] == "default")
                .and_then(|one| one["template"].as_str())
                .ok_or_else(|| {
                    invalid("no default among the chat templates")
                        .expected("one that is named default", format!("{} others", several.len()))
                })?
                .to_owned(),
            Some(other) => {
                return Err(invalid("chat_template is no text")
                    .expected("a Jinja template", quote(&other.to_string())));
            }
            None => {
                return Err(invalid("the model has no chat template")
                    .expected("chat_template.jinja, or a field chat_template", "neither"));
            }
        };
        // As transformers sets Jinja up for these templates.
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| LoadError::internal(error.to_string()))?);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |message: String| -> std::result::Result<String, Error> {
                Err(Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment.set_fuel(Some(FUEL));
        environment.add_template_owned(NAME, source).map_err(|error| {
            invalid("chat_template cannot be parsed").expected("a Jinja template", told(&error))
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

    /// The text of a conversation, with the assistant's turn opened behind it.
    ///
    /// # Errors
    /// `invalid_template` where the template refuses the conversation.
    pub fn render(&self, turns: &[Turn]) -> Result<String> {
        let mut values = self.special.clone();
        values["messages"] = serde_json::json!(turns);
        values["add_generation_prompt"] = Value::Bool(true);
        values["tools"] = Value::Null;
        values["documents"] = Value::Null;
        let values = minijinja::Value::deserialize(values)
            .map_err(|error| LoadError::internal(error.to_string()))?;
        let rendered = self.environment.get_template(NAME).and_then(|one| one.render(values));
        rendered.map_err(|error| {
            invalid("the chat template does not take the conversation")
                .expected("turns that the template takes", told(&error))
        })
    }

    /// The tokens of a conversation.
    ///
    /// # Errors
    /// As above; `invalid_input` for a conversation without a turn, `invalid_tokenizer`.
    pub fn prepare(&self, turns: &[Turn], tokens: &Tokens) -> Result<PreparedTokens> {
        if turns.last().is_none_or(|last| last.content.trim().is_empty()) {
            return Err(LoadError::refused(Phase::Infer, Code::InvalidInput, "an empty prompt")
                .expected("a conversation whose last turn says something", "nothing")
                .remedy("say something"));
        }
        // The template has written every special token that is to be there.
        Ok(PreparedTokens(tokens.plain(&self.render(turns)?)?))
    }
}

/// The template that stands by itself beside a file. One that is there and cannot be read is not passed over:
/// what the other file says may be of another revision.
fn apart(path: &Path) -> Result<Option<String>> {
    let bad = |found: &dyn std::fmt::Display| {
        invalid("chat_template.jinja cannot be read").expected("a Jinja template", found)
    };
    match read_beside(&path.with_file_name(APART), LONGEST) {
        Err(error) if error.code() == Code::NotFound => Ok(None),
        Err(error) => Err(bad(&error.failure().message)),
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|error| bad(&error)),
    }
}

/// An error with what it came from.
fn told(error: &Error) -> String {
    quote(&error.to_string())
}

fn invalid(message: impl Into<String>) -> LoadError {
    LoadError::refused(Phase::Open, Code::InvalidTemplate, message)
        .remedy("put tokenizer_config.json of the same revision beside the weights")
}
