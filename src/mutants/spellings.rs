//! Mutants that read a model's configuration as loaders do that know one spelling only.

use serde_json::{Map, Value, json};

use super::inference::{Found, Misbuilt};
use super::mutant::{Mutant, reference};
use crate::contract::inference::Inference;
use crate::loader::error::Result;
use crate::loader::format::EmbeddedDocuments;
use crate::loader::infer::settings::Settings;
use crate::loader::infer::{RunnableModel, Search};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "deaf-to-top-level-theta",
        lie: "ignores rope_theta and rope_scaling at the top level, where older files have them",
        seen_in: "loaders written after transformers 5, such as that of unsloth issue 11192",
        needs_gpu: false,
        make: || reference(Found(top_level_theta)),
    },
    Mutant {
        name: "deaf-to-nested-theta",
        lie: "ignores rope_theta inside rope_scaling and inside the settings of one type of layers",
        seen_in: "vllm issue 28542, DeepSpeed issue 8345",
        needs_gpu: false,
        make: || reference(Found(nested_theta)),
    },
    Mutant {
        name: "scaling-type-unread",
        lie: "reads only rope_type, and takes a scaling that writes `type` for none",
        seen_in: "loaders that were not tried with older files",
        needs_gpu: false,
        make: || reference(Found(scaling_type)),
    },
    Mutant {
        name: "is-causal-ignored",
        lie: "lets a decoder attend to earlier tokens only, whatever is_causal says",
        seen_in: "embedding models made from decoders",
        needs_gpu: false,
        make: || reference(Found(|search| without(search, &["is_causal"]))),
    },
    Mutant {
        name: "is-decoder-ignored",
        lie: "lets an encoder attend to later tokens, whatever is_decoder says",
        seen_in: "loaders that decide by model_type alone",
        needs_gpu: false,
        make: || reference(Found(|search| without(search, &["is_decoder"]))),
    },
    Mutant {
        name: "position-type-ignored",
        lie: "adds absolute positions, whatever position_embedding_type says",
        seen_in: "loaders that decide by model_type alone",
        needs_gpu: false,
        make: || reference(Found(|search| without(search, &["position_embedding_type"]))),
    },
    Mutant {
        name: "pad-id-ignored",
        lie: "counts the positions of a RoBERTa from the row behind 1, whatever pad_token_id says",
        seen_in: "loaders that were tried with roberta-base alone",
        needs_gpu: false,
        make: || reference(Misbuilt(|model| model.config.padding = 1)),
    },
    Mutant {
        name: "generation-config-ignored",
        lie: "reads no more of generation_config.json than its end tokens",
        seen_in: "verl issue 7270, swift-transformers issue 84",
        needs_gpu: false,
        make: || reference(Misbuilt(|model| model.settings = Settings::default())),
    },
];

/// Finds a model by another configuration than that of its file.
pub(super) fn reread(
    search: &Search,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Result<RunnableModel> {
    let path = search.inference.config.as_ref();
    let text = path.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&text) else { return search.find() };
    change(&mut fields);
    let documents =
        EmbeddedDocuments { config: Value::Object(fields), ..EmbeddedDocuments::default() };
    let inference = Inference { config: None, ..search.inference.clone() };
    let whole = Search { inference: &inference, documents: Some(&documents), ..*search };
    // What is refused still names its file.
    whole.find().map_err(|error| match path {
        Some(path) => error.path(path),
        None => error,
    })
}

fn without(search: &Search, dropped: &[&str]) -> Result<RunnableModel> {
    reread(search, |fields| dropped.iter().for_each(|field| drop(fields.remove(*field))))
}

fn top_level_theta(search: &Search) -> Result<RunnableModel> {
    without(search, &["rope_theta", "rope_scaling", "rotary_emb_base"])
}

fn nested_theta(search: &Search) -> Result<RunnableModel> {
    reread(search, |fields| {
        for (name, value) in fields.iter_mut() {
            let Value::Object(settings) = value else { continue };
            match name.as_str() {
                "rope_scaling" => drop(settings.remove("rope_theta")),
                "rope_parameters" => {
                    for inside in settings.values_mut().filter_map(Value::as_object_mut) {
                        inside.remove("rope_theta");
                    }
                }
                _ => {}
            }
        }
    })
}

fn scaling_type(search: &Search) -> Result<RunnableModel> {
    reread(search, |fields| {
        for name in ["rope_scaling", "rope_parameters"] {
            let Some(Value::Object(settings)) = fields.get_mut(name) else { continue };
            if settings.contains_key("type") && !settings.contains_key("rope_type") {
                settings.retain(|field, _| field == "rope_theta");
                settings.insert("rope_type".to_owned(), json!("default"));
            }
        }
    })
}
