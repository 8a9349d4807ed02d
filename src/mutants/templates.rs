//! Mutants of chat templates: special tokens, templates by name, and the functions of transformers.

use serde_json::Value;

use super::inference::Found;
use super::mutant::{Mutant, reference};
use crate::loader::error::Result;
use crate::loader::infer::chat::{Template, special};
use crate::loader::infer::{RunnableModel, Search};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "none-as-word",
        lie: "prints the word None for a special token that is not set",
        seen_in: "sglang, issue 7466",
        needs_gpu: false,
        make: || reference(Found(none_as_word)),
    },
    Mutant {
        name: "html-escaped-json",
        lie: "sorts the keys of tojson and escapes its text for HTML",
        seen_in: "transformers, issue 31100",
        needs_gpu: false,
        make: || reference(Found(json_escaped)),
    },
    Mutant {
        name: "first-template-wins",
        lie: "uses the first of several chat templates, whatever its name is",
        seen_in: "loaders that read chat_template as a list of one",
        needs_gpu: false,
        make: || reference(Found(first_template)),
    },
    Mutant {
        name: "sep-token-lost",
        lie: "gives a chat template only the beginning, end, padding and unknown tokens",
        seen_in: "loaders written for decoders alone",
        needs_gpu: false,
        make: || reference(Found(separator_lost)),
    },
    Mutant {
        name: "special-tokens-map-ignored",
        lie: "reads special tokens from tokenizer_config.json only",
        seen_in: "loaders that know one of the two files",
        needs_gpu: false,
        make: || reference(Found(map_ignored)),
    },
    Mutant {
        name: "date-frozen",
        lie: "tells a chat template the date at which the program was written",
        seen_in: "templates with a date in place of strftime_now",
        needs_gpu: false,
        make: || reference(Found(date_frozen)),
    },
];

/// Changes the template of a model that has one.
fn changed(search: &Search, change: impl FnOnce(&mut Template)) -> Result<RunnableModel> {
    let mut model = search.find()?;
    if let Some(template) = &mut model.template {
        change(template);
    }
    Ok(model)
}

fn none_as_word(search: &Search) -> Result<RunnableModel> {
    changed(search, |template| {
        for name in special::NAMES {
            template.special.entry(name.to_owned()).or_insert_with(|| "None".to_owned());
        }
    })
}

fn json_escaped(search: &Search) -> Result<RunnableModel> {
    changed(search, |template| {
        template.environment.add_filter("tojson", minijinja::filters::tojson);
    })
}

/// The content of the template's file, if the request names one.
fn config(search: &Search) -> Option<Value> {
    let text = std::fs::read(search.inference.template.as_ref()?).ok()?;
    serde_json::from_slice(&text).ok()
}

fn first_template(search: &Search) -> Result<RunnableModel> {
    let mut model = search.find()?;
    if let Some(mut config) = config(search)
        && let Some(first) = config["chat_template"].as_array().and_then(|several| several.first())
    {
        config["chat_template"] = first["template"].clone();
        model.template = Some(Template::of(&config)?);
    }
    Ok(model)
}

fn separator_lost(search: &Search) -> Result<RunnableModel> {
    changed(search, |template| {
        for name in ["sep_token", "cls_token", "mask_token"] {
            template.special.remove(name);
        }
    })
}

fn map_ignored(search: &Search) -> Result<RunnableModel> {
    let own = config(search).and_then(|config| special::of(config.as_object()?).ok());
    changed(search, |template| {
        if let Some(own) = own {
            template.special = own;
        }
    })
}

fn date_frozen(search: &Search) -> Result<RunnableModel> {
    changed(search, |template| template.now = chrono::NaiveDateTime::default)
}
