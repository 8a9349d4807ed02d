//! Renders a chat template that was published with a checkpoint. The judge uses the same Jinja
//! library as the reference loader, because no other is available (`spec/limits.yaml`), but
//! configures it with its own code.

use std::fs;
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, context};
use minijinja_contrib::pycompat;
use serde::Deserialize;
use serde_json::Map;

use crate::contract::generation::Turn;

/// `tokenizer_config.json`.
pub const TEMPLATE: &str = "tokenizer_config.json";
/// `chat_template.jinja`. If it exists, it replaces the template in `tokenizer_config.json`.
pub const APART: &str = "chat_template.jinja";

/// A template and the special tokens that it may name.
#[derive(Clone, Debug)]
pub struct Published {
    source: String,
    special: serde_json::Value,
}

impl Published {
    /// Reads the template from a folder's `chat_template.jinja` or `tokenizer_config.json`.
    ///
    /// # Errors
    /// If the folder has no template.
    pub fn read(folder: &Path) -> Result<Published, String> {
        let special = serde_json::Value::Object(template(folder)?);
        let field = &special["chat_template"];
        let named = field.as_array().into_iter().flatten();
        let default = named.filter(|one| one["name"] == "default").map(|one| &one["template"]);
        let source = default.chain([field]).find_map(serde_json::Value::as_str);
        let source = source.ok_or("the model of --model has no chat template")?.to_owned();
        Ok(Published { source, special })
    }

    /// The text of a conversation, followed by the start of the assistant's turn.
    ///
    /// # Errors
    /// The template's error.
    pub fn render(&self, turns: &[Turn]) -> Result<String, String> {
        let told = |error: Error| format!("the chat template of --model: {error:#}");
        let mut jinja = Environment::new();
        let blocks = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        jinja.set_syntax(blocks.map_err(told)?);
        jinja.set_undefined_behavior(UndefinedBehavior::Lenient);
        jinja.set_unknown_method_callback(pycompat::unknown_method_callback);
        jinja.add_function("raise_exception", |why: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, why))
        });
        let token = |name: &str| {
            let value = &self.special[name];
            let content = value.as_str().or_else(|| value["content"].as_str());
            content.map_or_else(|| Value::from(()), Value::from)
        };
        let messages = serde_json::json!(turns);
        let messages = Value::deserialize(messages).map_err(|error| error.to_string())?;
        let values = context! {
            messages => messages, add_generation_prompt => true, tools => (), documents => (),
            bos_token => token("bos_token"), eos_token => token("eos_token"),
            pad_token => token("pad_token"), unk_token => token("unk_token"),
        };
        jinja.render_str(&self.source, values).map_err(told)
    }
}

/// The content of a folder's `tokenizer_config.json`. If the folder has a `chat_template.jinja`,
/// `chat_template` holds its text.
///
/// # Errors
/// If the file cannot be read or is not a JSON object.
pub fn template(folder: &Path) -> Result<Map<String, serde_json::Value>, String> {
    let text = fs::read(folder.join(TEMPLATE)).map_err(|error| error.to_string())?;
    let mut value: Map<String, serde_json::Value> =
        serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if let Ok(apart) = fs::read_to_string(folder.join(APART)) {
        value.insert("chat_template".to_owned(), serde_json::Value::from(apart));
    }
    Ok(value)
}
