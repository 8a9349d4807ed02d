//! Tokenizer and chat template of a chat model. The judge tokenizes with the `tokenizers` library,
//! and knows the template because it made it, or renders a published one.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::apart::{Apart, Ask, Bounds};
use super::goldens::Golden;
use super::published::{APART, MORE, Published, TEMPLATE, template};
use crate::contract::generation::{Role, Turn};
use crate::harness::regular;
use crate::harness::template::Moment;

/// The files of the small chat model that comes with this project.
pub static SMALL: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/fixtures/chat/model");

/// `tokenizer.json`.
pub const TOKENIZER: &str = "tokenizer.json";
/// `generation_config.json`.
pub const GENERATION: &str = "generation_config.json";

/// A special token of the small chat model that nothing else uses, and its id.
pub const FIRST: (&str, u32) = ("<|endoftext|>", 0);

/// The part of a `tokenizer.json` that adds a token before every text.
pub fn begins_with((name, id): (&str, u32)) -> Value {
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let first = json!({"SpecialToken": {"id": name, "type_id": 0}});
    let second = json!({"Sequence": {"id": "B", "type_id": 1}});
    json!({
        "type": "TemplateProcessing",
        "single": [first, text],
        "pair": [first, text, second],
        "special_tokens": {name: {"id": name, "ids": [id], "tokens": [name]}},
    })
}

/// The tokenizer and the chat template of a model.
#[derive(Clone, Debug)]
pub struct Voice {
    speaker: Speaker,
    template: Template,
}

/// What knows the tokenizer.
#[derive(Clone, Debug)]
enum Speaker {
    /// This process.
    Own(Box<Tokenizer>),
    /// A process of its own.
    Apart(Arc<Apart>),
}

/// How a conversation becomes text.
#[derive(Clone, Debug)]
enum Template {
    Known(Form),
    Published(Published),
    Golden(Golden),
    /// That of the folder, which the process of the tokenizer renders.
    Apart,
    /// None.
    None,
}

/// A template that the judge knows and renders without Jinja.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Text at the start of every conversation.
    begin: String,
    /// Content of the system turn, if the conversation has none.
    system: Option<String>,
    /// Text before a role's name, between the name and the content, and after the content.
    around: [String; 3],
    /// Whether roles are in capitals and contents are trimmed.
    changes: bool,
}

impl Form {
    /// The template of the small chat model.
    pub fn small() -> Form {
        let system = "You are a small model that answers briefly.".to_owned();
        let around = ["<|im_start|>", "\n", "<|im_end|>\n"].map(str::to_owned);
        Form { begin: String::new(), system: Some(system), around, changes: false }
    }

    /// A random template, which a loader cannot know beforehand.
    pub fn made(seed: u64) -> Form {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut word = |least: usize| -> String {
            let length = least + random.random_range(0..4);
            (0..length).map(|_| random.random_range(b'a'..=b'z') as char).collect()
        };
        Form {
            begin: format!("{}\n", word(3)),
            system: Some(word(5)),
            around: [format!("[{}:", word(2)), format!("]{} ", word(1)), format!("/{}\n", word(2))],
            changes: true,
        }
    }

    /// The same template after a text.
    pub fn after(self, first: &str) -> Form {
        Form { begin: format!("{first}{}", self.begin), ..self }
    }

    /// The text of a conversation, followed by the start of the assistant's turn.
    pub fn render(&self, turns: &[Turn]) -> String {
        let [before, between, behind] = &self.around;
        let role = |role: &str| match self.changes {
            true => role.to_uppercase(),
            false => role.to_owned(),
        };
        let one = |name: &str, content: &str| {
            let content = if self.changes { content.trim() } else { content };
            format!("{before}{}{between}{content}{behind}", role(name))
        };
        let mut text = self.begin.clone();
        if let (Some(system), false) =
            (&self.system, turns.first().is_some_and(|turn| turn.role == Role::System))
        {
            text += &one("system", system);
        }
        for turn in turns {
            text += &one(name(turn.role), &turn.content);
        }
        text + before + &role("assistant") + between
    }

    /// The same template in Jinja, written with features that published templates use.
    pub fn jinja(&self) -> String {
        let [before, between, behind] =
            self.around.each_ref().map(|text| text.replace('\n', "\\n"));
        let begin = self.begin.replace('\n', "\\n");
        let system = self.system.clone().unwrap_or_default();
        let (upper, trim) = if self.changes { (" | upper", " | trim") } else { ("", "") };
        let role = if self.changes { "ASSISTANT" } else { "assistant" };
        format!(
            "{{%- set marks = namespace(before='{before}', behind='{behind}') -%}}\n\
             {{{{- '{begin}' }}}}\n\
             {{%- for message in messages %}}\n\
             {{%- if loop.first and message['role'] != 'system' %}}\n\
             {{{{- marks.before + ('system'{upper}) + '{between}' + '{system}' + marks.behind }}}}\n\
             {{%- endif %}}\n\
             {{%- if message.role not in ['system', 'user', 'assistant'] %}}\n\
             {{{{- raise_exception('unknown role') }}}}\n\
             {{%- endif %}}\n\
             {{{{- marks.before ~ (message.role{upper}) ~ '{between}' ~ (message['content']{trim}) \
             ~ marks.behind }}}}\n\
             {{%- endfor %}}\n\
             {{%- if add_generation_prompt %}}\n\
             {{{{- marks.before + '{role}{between}' }}}}\n\
             {{%- endif %}}"
        )
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

impl Voice {
    /// Reads the tokenizer of a model's folder. The judge knows the model's template.
    ///
    /// # Errors
    /// If the tokenizer cannot be read.
    pub fn read(folder: &Path, template: Form) -> Result<Voice, String> {
        Voice::with(folder, Template::Known(template))
    }

    /// Reads the tokenizer and the chat template of a checkpoint's folder.
    ///
    /// # Errors
    /// If the tokenizer or the template cannot be read.
    pub fn published(folder: &Path) -> Result<Voice, String> {
        Voice::with(folder, Template::Published(Published::read(folder)?))
    }

    /// The same in a process of its own, within bounds: the folder is a stranger's. With `template`, the judge
    /// knows the model's template.
    ///
    /// # Errors
    /// As above; that the folder takes too much.
    pub fn apart(
        program: &Path,
        folder: &Path,
        template: Option<Form>,
        bounds: Bounds,
    ) -> Result<Voice, String> {
        let apart = Apart::start(program, folder, template.is_none(), bounds)?;
        let template = template.map_or(Template::Apart, Template::Known);
        Ok(Voice { speaker: Speaker::Apart(Arc::new(apart)), template })
    }

    /// Reads the tokenizer of a folder without its template.
    ///
    /// # Errors
    /// If the tokenizer cannot be read.
    pub fn without_template(folder: &Path) -> Result<Voice, String> {
        Voice::with(folder, Template::None)
    }

    /// Reads the tokenizer of a folder whose template's text is known from transformers. What
    /// depends on the date, the judge renders itself.
    ///
    /// # Errors
    /// As for [`Voice::published`].
    pub fn golden(folder: &Path, golden: Golden) -> Result<Voice, String> {
        match golden.dated {
            true => Voice::published(folder),
            false => Voice::with(folder, Template::Golden(golden)),
        }
    }

    fn with(folder: &Path, template: Template) -> Result<Voice, String> {
        let text = regular::document(&folder.join(TOKENIZER), regular::LARGE);
        let text = text.map_err(|error| format!("{TOKENIZER}: {error}"))?;
        let tokenizer = Tokenizer::from_bytes(text);
        let mut tokenizer = tokenizer.map_err(|error| error.to_string())?;
        // What a training script has left in the file does not count for a conversation.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        Ok(Voice { speaker: Speaker::Own(Box::new(tokenizer)), template })
    }

    /// The tokens that the model must get for a conversation at this moment.
    ///
    /// # Errors
    /// The error of the tokenizer, or of a published template.
    pub fn tokens(&self, turns: &[Turn], now: Moment) -> Result<Vec<u32>, String> {
        match &self.template {
            Template::Known(form) => self.bare(&form.render(turns)),
            Template::Apart => match &self.speaker {
                Speaker::Apart(apart) => apart.tokens(&Ask::Tokens(turns.to_vec(), now.micros())),
                Speaker::Own(_) => Err("the model has no chat template".to_owned()),
            },
            Template::None => Err("the model has no chat template".to_owned()),
            Template::Published(published) => {
                let text = published.render(turns, now)?;
                let Speaker::Own(tokenizer) = &self.speaker else { return self.bare(&text) };
                let known = tokenizer.get_added_tokens_decoder();
                let lacks = |token: &&String| {
                    text.contains(token.as_str())
                        && !known.values().any(|added| added.content == **token)
                };
                match published.added().iter().find(lacks) {
                    Some(token) => Err(format!("{TOKENIZER} lacks the token {token}")),
                    None => self.bare(&text),
                }
            }
            Template::Golden(golden) if golden.turns == turns => match &golden.text {
                Some(text) => self.bare(text),
                // The template refuses this conversation, so no token may reach the model.
                None => Ok(Vec::new()),
            },
            Template::Golden(_) => {
                Err("transformers has not rendered this conversation".to_owned())
            }
        }
    }

    /// The conversation of a golden template.
    pub fn said(&self) -> Option<&[Turn]> {
        match &self.template {
            Template::Golden(golden) => Some(&golden.turns),
            _ => None,
        }
    }

    /// The tokens of a text, without a template and without added special tokens.
    ///
    /// # Errors
    /// The tokenizer's error.
    pub fn bare(&self, text: &str) -> Result<Vec<u32>, String> {
        match &self.speaker {
            Speaker::Apart(apart) => apart.tokens(&Ask::Bare(text.to_owned())),
            Speaker::Own(tokenizer) => {
                let encoded = tokenizer.encode(text, false).map_err(|error| error.to_string())?;
                Ok(encoded.get_ids().to_vec())
            }
        }
    }

    /// The text that tokens must decode to, without special tokens.
    ///
    /// # Errors
    /// The tokenizer's error.
    pub fn text(&self, tokens: &[u32]) -> Result<String, String> {
        match &self.speaker {
            Speaker::Apart(apart) => apart.text(&Ask::Text(tokens.to_vec())),
            Speaker::Own(tokenizer) => {
                tokenizer.decode(tokens, true).map_err(|error| error.to_string())
            }
        }
    }
}

/// Replaces the chat template in a model's folder.
///
/// # Errors
/// If a file cannot be read or written.
pub fn replace_template(folder: &Path, form: &Form) -> Result<(), String> {
    let mut value = template(folder)?;
    value.insert("chat_template".to_owned(), json!(form.jinja()));
    let _none = fs::remove_file(folder.join(APART));
    let _none = fs::remove_dir_all(folder.join(MORE));
    let text = Value::Object(value).to_string();
    fs::write(folder.join(TEMPLATE), text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
