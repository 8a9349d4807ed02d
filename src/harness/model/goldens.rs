//! Chat templates with the texts that transformers renders: `fixtures/templates/goldens.json`,
//! written by the script beside it.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::published::TEMPLATE;
use crate::contract::generation::{Role, Turn};

static TABLE: &str = include_str!("../../../fixtures/templates/goldens.json");

/// A row of the table that a loader can be given.
#[derive(Clone, Debug)]
pub struct Golden {
    /// The conversation.
    pub turns: Vec<Turn>,
    /// The text, if transformers gives one.
    pub text: Option<String>,
    /// Whether it tells the date, so that the text is that of one day.
    pub dated: bool,
    files: Map<String, Value>,
}

impl Golden {
    /// A row by name.
    ///
    /// # Errors
    /// If there is no such row, or if it has more than the contract can carry.
    pub fn named(name: &str) -> Result<Golden, String> {
        let table: Value = serde_json::from_str(TABLE).map_err(|error| error.to_string())?;
        let rows = table["rows"].as_array().into_iter().flatten();
        let row = rows.into_iter().find(|row| row["name"] == name);
        let row = row.ok_or_else(|| format!("no golden template is named {name}"))?;
        let said = &table["conversations"][row["conversation"].as_str().unwrap_or_default()];
        let simple = said["tools"].is_null()
            && said["documents"].is_null()
            && said["add_generation_prompt"] != false;
        let turns = said["messages"].as_array().into_iter().flatten().map(turn);
        let turns: Option<Vec<Turn>> = turns.collect();
        let (true, Some(turns)) = (simple, turns) else {
            return Err(format!("{name}: the contract cannot carry this conversation"));
        };
        let files = match row["files"].as_object() {
            Some(files) => files.clone(),
            None => {
                let tokens = &table["tokens"][row["tokens"].as_str().unwrap_or_default()];
                of_template(&row["template"], tokens)
            }
        };
        if files.contains_key("config.json") || files.contains_key("tokenizer.json") {
            return Err(format!("{name}: the row has a model of its own"));
        }
        let text = row["text"].as_str().map(str::to_owned);
        let dated = row["template"].as_str().is_some_and(|one| one.contains("strftime_now"));
        Ok(Golden { turns, text, dated, files })
    }

    /// Writes its files into a model's folder, in place of those that are there.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        for (name, content) in &self.files {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            match content {
                Value::String(text) => fs::write(path, text)?,
                other => fs::write(path, other.to_string())?,
            }
        }
        Ok(())
    }
}

/// The files of a template with special tokens. Those that are not set are null, so that no class of
/// tokenizers sets them.
fn of_template(template: &Value, tokens: &Value) -> Map<String, Value> {
    let mut config = Map::new();
    config.insert("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast"));
    for name in ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] {
        let name = format!("{name}_token");
        config.insert(name.clone(), tokens[&name].clone());
    }
    config.insert("chat_template".to_owned(), template.clone());
    Map::from_iter([(TEMPLATE.to_owned(), Value::Object(config))])
}

fn turn(said: &Value) -> Option<Turn> {
    let role = match said["role"].as_str()? {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return None,
    };
    let plain = said.as_object().is_some_and(|fields| fields.len() == 2);
    let content = said["content"].as_str().filter(|_| plain)?.to_owned();
    Some(Turn { role, content })
}

#[cfg(test)]
mod tests;
