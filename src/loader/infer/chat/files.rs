//! Finds the template that counts among those that were published.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::contract::Phase;
use crate::loader::error::{LoadError, Result, json_text};
use crate::loader::infer::beside::read_beside;
use crate::loader::remedies::Remedy;
use crate::loader::remedies::files::FILE_NOT_FOUND;
use crate::loader::remedies::tokenizer_and_template::{
    TEMPLATE_NO_DEFAULT, TEMPLATE_NONE, TEMPLATE_NOT_TEXT, TEMPLATE_NOT_UTF8, TEMPLATE_TOO_LONG,
};

/// Longest file, in bytes. `tokenizer_config.json` may list every added token.
pub const LONGEST: u64 = 16 << 20;

/// The file of a template that is separate from `tokenizer_config.json`. If it exists, the templates
/// in `tokenizer_config.json` are ignored. Source: huggingface/transformers, pull request 33957;
/// later versions write only this file.
const APART: &str = "chat_template.jinja";

/// A folder of templates, each in a file with its name.
const MORE: &str = "additional_chat_templates";

/// The template for a plain conversation.
///
/// # Errors
/// `invalid_template`: there is none, or it is not a text.
pub fn chosen(config: &Map<String, Value>) -> Result<String> {
    let (template, count) = match config.get("chat_template") {
        // Several templates with names: `default` is the one for a plain conversation.
        Some(Value::Array(several)) => {
            // Of two with one name, the last counts.
            let default = several.iter().rev().find(|one| one["name"] == "default");
            (default.map(|one| &one["template"]), several.len())
        }
        Some(Value::Object(several)) => (several.get("default"), several.len()),
        Some(Value::Null) | None => {
            return Err(invalid(TEMPLATE_NONE, "the model has no chat template")
                .expected("chat_template.jinja, or a field chat_template", "neither"));
        }
        Some(one) => (Some(one), 1),
    };
    match template {
        Some(Value::String(source)) => Ok(source.clone()),
        Some(other) => Err(invalid(TEMPLATE_NOT_TEXT, "chat_template is not a text")
            .expected("a Jinja template", json_text(other))),
        None => Err(invalid(TEMPLATE_NO_DEFAULT, "no default among the chat templates")
            .expected("one that is named default", format!("{count} others"))),
    }
}

/// The templates in files of their own beside a `tokenizer_config.json`, in the form of its field
/// `chat_template`. If a file exists and cannot be read, this is an error: the template in the other
/// file may be from another revision.
///
/// # Errors
/// `invalid_template`: not UTF-8; those of opening and reading.
pub fn beside(config: &Path) -> Result<Option<Value>> {
    let mut found = Map::new();
    let apart = config.with_file_name(APART);
    match apart.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        _ => {
            found.insert("default".to_owned(), Value::String(text(&apart)?));
        }
    }
    for path in more(&config.with_file_name(MORE)) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        found.insert(name, Value::String(text(&path)?));
    }
    match (found.len(), found.remove("default")) {
        (0, _) => Ok(None),
        (1, Some(only)) => Ok(Some(only)),
        (_, default) => {
            found.extend(default.map(|default| ("default".to_owned(), default)));
            Ok(Some(Value::Object(found)))
        }
    }
}

fn more(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|kind| kind == "jinja")).collect()
}

fn text(path: &Path) -> Result<String> {
    let bytes = read_beside(path, LONGEST, (FILE_NOT_FOUND, TEMPLATE_TOO_LONG))?;
    String::from_utf8(bytes).map_err(|error| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        invalid(TEMPLATE_NOT_UTF8, &format!("{name} is not UTF-8"))
            .expected("a Jinja template", error)
            .path(path)
    })
}

fn invalid(cause: Remedy, message: &str) -> LoadError {
    LoadError::refused(Phase::Open, cause, message)
}
