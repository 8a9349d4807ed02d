//! The chat template that was published with a checkpoint. The judge reads it by the rules of
//! transformers and renders it with a renderer of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use super::special::Special;
use crate::contract::generation::{Role, Turn};
use crate::harness::regular;
use crate::harness::template::{self, Moment};

/// `tokenizer_config.json`.
pub const TEMPLATE: &str = "tokenizer_config.json";
/// `chat_template.jinja`. If it exists, it replaces the template in `tokenizer_config.json`.
pub const APART: &str = "chat_template.jinja";
/// A folder of more templates, `NAME.jinja`. If it has any, those in `tokenizer_config.json` do not
/// count.
pub const MORE: &str = "additional_chat_templates";

/// A template and the special tokens that it may name.
#[derive(Clone, Debug)]
pub struct Published {
    source: String,
    special: Vec<(String, String)>,
    added: Vec<String>,
}

impl Published {
    /// Reads the template and the special tokens of a folder.
    ///
    /// # Errors
    /// If the folder has no template for plain conversations, or leaves open what its template
    /// needs.
    pub fn read(folder: &Path) -> Result<Published, String> {
        let config = template(folder)?;
        let source = match config.get("chat_template") {
            Some(Value::String(source)) => source.clone(),
            Some(Value::Object(named)) => match named.get("default") {
                Some(Value::String(source)) => source.clone(),
                _ => return Err("none of several chat templates is named default".to_owned()),
            },
            Some(Value::Null) | None => return Err("the model has no chat template".to_owned()),
            Some(_) => return Err("chat_template is not a text".to_owned()),
        };
        let special = Special::read(folder, &config)?;
        match special.open.iter().find(|name| source.contains(**name)) {
            Some(name) => Err(format!(
                "the chat template may print {name}, which the class of the tokenizer decides"
            )),
            None => {
                let listed = config.get("added_tokens_decoder").and_then(Value::as_object);
                let listed = listed.into_iter().flatten().map(|(_, token)| &token["content"]);
                let set = special.set.iter().map(|(_, token)| token.as_str());
                let added = set.chain(listed.filter_map(Value::as_str));
                let added = added.filter(|token| !token.is_empty()).map(str::to_owned).collect();
                Ok(Published { source, special: special.set, added })
            }
        }
    }

    /// The text of a conversation, followed by the start of the assistant's turn.
    ///
    /// # Errors
    /// The template's error; a construct that the judge does not know; a time of the day, because
    /// no two programs read the clock at once.
    pub fn render(&self, turns: &[Turn], now: Moment) -> Result<String, String> {
        let rendered = template::render(&self.source, self.variables(turns), now);
        let rendered = rendered.map_err(|fault| fault.to_string())?;
        match rendered.timed {
            true => Err("the chat template tells the time of the day".to_owned()),
            false => Ok(rendered.text),
        }
    }

    /// The tokens that the files beside the tokenizer add to it, where it does not have them.
    pub fn added(&self) -> &[String] {
        &self.added
    }

    fn variables(&self, turns: &[Turn]) -> Vec<(String, template::Value)> {
        let text = |text: &str| template::Value::text(text);
        let turn = |turn: &Turn| {
            let role = match turn.role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            let pairs = [("role", role), ("content", turn.content.as_str())];
            let pairs = pairs.map(|(name, value)| (text(name), text(value)));
            template::Value::map(template::Map(pairs.to_vec()))
        };
        let mut variables = vec![
            ("messages".to_owned(), template::Value::list(turns.iter().map(turn).collect())),
            ("tools".to_owned(), template::Value::None),
            ("documents".to_owned(), template::Value::None),
            ("add_generation_prompt".to_owned(), template::Value::Bool(true)),
        ];
        variables.extend(self.special.iter().map(|(name, token)| (name.clone(), text(token))));
        variables
    }
}

/// The content of a folder's `tokenizer_config.json`, with the templates that count: a text, or
/// several by name.
///
/// # Errors
/// If the file cannot be read or is not a JSON object.
pub fn template(folder: &Path) -> Result<Map<String, Value>, String> {
    let text = regular::document(&folder.join(TEMPLATE), regular::SMALL);
    let text = text.map_err(|error| format!("{TEMPLATE}: {error}"))?;
    let mut value: Map<String, Value> =
        serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let named = beside(folder)?;
    if let (1, Some(only)) = (named.len(), named.get("default")) {
        value.insert("chat_template".to_owned(), only.clone());
    } else if !named.is_empty() {
        value.insert("chat_template".to_owned(), Value::Object(named.into_iter().collect()));
    } else if let Some(Value::Array(listed)) = value.get("chat_template") {
        let named = listed.iter().map(|one| match one["name"].as_str() {
            Some(name) => Ok((name.to_owned(), one["template"].clone())),
            None => Err("a chat template of several has no name".to_owned()),
        });
        let named: Map<String, Value> = named.collect::<Result<_, String>>()?;
        value.insert("chat_template".to_owned(), Value::Object(named));
    }
    Ok(value)
}

/// The templates in files of their own, by name.
fn beside(folder: &Path) -> Result<BTreeMap<String, Value>, String> {
    let mut named = BTreeMap::new();
    let mut read = |name: &str, path: &Path| match regular::read(path)
        .map(|text| String::from_utf8_lossy(&text).into_owned())
    {
        Ok(text) => {
            named.insert(name.to_owned(), Value::from(text));
            Ok(())
        }
        Err(error) => Err(format!("{}: {error}", path.display())),
    };
    let apart = folder.join(APART);
    if apart.exists() {
        read("default", &apart)?;
    }
    let Ok(more) = fs::read_dir(folder.join(MORE)) else { return Ok(named) };
    for entry in more.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        if let Some(name) = file.strip_suffix(".jinja") {
            read(name, &entry.path())?;
        }
    }
    Ok(named)
}
