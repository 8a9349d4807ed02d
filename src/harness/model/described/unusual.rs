//! What is unusual in a published folder: fields of `config.json` that the family's publications do not
//! ordinarily have, facts that are left out, settings of generation, and names of tensors.
//!
//! A loader may refuse such a thing by its name: no rule says that it must be served. So an answer is
//! judged, and a refusal that names it is not. A refusal of anything else is wrong.

use serde_json::Value;

use super::facts::Described;
use super::fields::Fields;
use super::settings::{self, tokens};
use super::usual::{self, is_usual};
use super::weights::Naming;
use crate::harness::model::{Architecture, Tensor};

/// Names of the norms' parts in older files.
const OLD_NORMS: [&str; 2] = [".gamma", ".beta"];

/// Fields whose values are token ids.
const TOKENS: [&str; 3] = ["bos_token_id", "eos_token_id", "pad_token_id"];

/// Fields that switch on biases, in the families that have them.
const BIASES: [&str; 2] = ["attention_bias", "mlp_bias"];

/// One unusual thing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Oddity {
    /// Its names. A refusal must have one of them.
    names: Vec<String>,
    /// Where it is and what it is.
    what: String,
}

/// Everything unusual in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unusual(Vec<Oddity>);

impl Unusual {
    /// Looks through the configuration and the tensors.
    pub fn of(config: &Value, described: &Described, naming: &Naming, tensors: &[Tensor]) -> Self {
        let mut unusual = Unusual::default();
        unusual.config(config, described);
        let architecture = described.recipe.architecture;
        for tensor in tensors {
            let name = &tensor.name;
            match naming.own(name) {
                None => unusual.add([name.as_str()], "a tensor that the architecture does not use"),
                Some(own) if !is_usual_name(name, own, architecture) => {
                    unusual.add([name, own], "a tensor under another name than the family's");
                }
                Some(_) => {}
            }
        }
        unusual
    }

    /// Adds the unusual settings of `generation_config.json`.
    pub fn settings(&mut self, settings: &Value, vocabulary: usize) {
        for (name, value) in settings.as_object().into_iter().flatten() {
            if let Some(what) = settings::odd(name, value, vocabulary) {
                self.add([name.as_str()], what);
            }
        }
    }

    /// Adds a file.
    pub fn file(&mut self, name: &str, what: &str) {
        self.add([name], what);
    }

    /// What a text names of all this.
    pub fn named(&self, text: &str) -> Option<String> {
        let found = |odd: &Oddity| odd.names.iter().find(|name| has_word(text, name)).cloned();
        self.0.iter().find_map(|odd| found(odd).map(|name| format!("{name}, {}", odd.what)))
    }

    fn config(&mut self, config: &Value, described: &Described) {
        let (Ok(fields), Some(map)) = (Fields::of(config), config.as_object()) else { return };
        let architecture = described.recipe.architecture;
        let facts = usual::facts(architecture, &fields);
        for fact in facts {
            if fact.stated && fields.value(fact.own).is_none() {
                self.add([fact.own], "a field that the family's configurations state");
            }
        }
        for (name, value) in map {
            if let Some(fact) = facts.iter().find(|fact| fact.others.contains(&name.as_str())) {
                // NomicBERT has a field for each of its two spellings.
                if !is_usual(architecture, &fields, name) {
                    let what = format!("for which the family writes {}", fact.own);
                    self.add([name.as_str(), fact.own], what);
                }
            } else if !facts.iter().any(|fact| fact.own == name)
                && !is_usual(architecture, &fields, name)
            {
                self.add([name.as_str()], "a field that the family's configurations do not have");
            }
            if BIASES.contains(&name.as_str())
                && *value == Value::Bool(true)
                && !described.recipe.decoder.biased
            {
                self.add([name.as_str()], "biases that the family does not have");
            }
            if TOKENS.contains(&name.as_str()) {
                let many = name == "eos_token_id";
                if !tokens(value, described.recipe.sizes.vocabulary, many) {
                    self.add([name.as_str()], "a field with no token of the vocabulary");
                }
            }
        }
        let layers = config["rope_parameters"].as_object().into_iter().flatten();
        for (kind, _) in layers.filter(|(_, value)| value.is_object()) {
            let names = [kind.as_str(), "rope_parameters"];
            self.add(names, "positions by type of layer");
        }
    }

    fn add<'n>(&mut self, names: impl IntoIterator<Item = &'n str>, what: impl Into<String>) {
        let names = names.into_iter().map(str::to_owned).collect();
        self.0.push(Oddity { names, what: what.into() });
    }
}

/// Whether a published name is an ordinary one: the judge's own, and for encoders and GPT-2 the same
/// without the prefix of the body, which only exports with a head have.
fn is_usual_name(name: &str, own: &str, architecture: Architecture) -> bool {
    use Architecture::{Bert, Gpt2, NomicBert, Roberta};
    let prefix = match architecture {
        Bert | NomicBert => "bert.",
        Roberta => "roberta.",
        Gpt2 => "transformer.",
        _ => return name == own,
    };
    let body = |name: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    body(name) == body(own) && !OLD_NORMS.iter().any(|old| name.ends_with(old))
}

/// Whether a text has a name as a whole word.
fn has_word(text: &str, name: &str) -> bool {
    let is_part =
        |sign: Option<char>| sign.is_some_and(|sign| sign.is_alphanumeric() || sign == '_');
    text.match_indices(name).any(|(at, _)| {
        let (before, after) =
            (text[..at].chars().next_back(), text[at + name.len()..].chars().next());
        !is_part(before) && !is_part(after)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::harness::model::{Model, random};

    /// What is unusual about a made model with another configuration.
    fn of(architecture: Architecture, change: impl FnOnce(&mut Model)) -> Unusual {
        let recipe = random::recipe(architecture, None, 3);
        let mut model = Model::build(&recipe);
        change(&mut model);
        let (described, naming) = Described::read(&model.config, &model.tensors).unwrap();
        Unusual::of(&model.config, &described, &naming, &model.tensors)
    }

    #[test]
    fn nothing_is_unusual_about_ordinary_files() {
        for architecture in Architecture::ALL {
            // Made decoders without a head name their tensors as base models do, without `model.`.
            if architecture != Architecture::Projection && !architecture.is_decoder() {
                // A head that only sentence encoders of the suite have is not as published.
                let unusual = of(architecture, |model| {
                    model.tensors.retain(|tensor| !tensor.name.starts_with("projection."));
                });
                assert_eq!(unusual, Unusual::default(), "{}", architecture.model_type());
            }
        }
        let rows = include_str!("../../../../fixtures/published/described.json");
        let rows: Value = serde_json::from_str(rows).unwrap();
        let published = [
            "SmolLM2-135M-Instruct",
            "Llama-3.2-1B",
            "Qwen2.5-1.5B-Instruct",
            "Qwen3-0.6B",
            "Mistral-7B-v0.1",
            "Phi-3-mini-4k",
            "gpt2",
            "bert-base-uncased",
            "all-MiniLM-L6-v2",
            "roberta-base",
        ];
        let mut seen = 0;
        for row in rows["rows"].as_array().unwrap() {
            let (name, config) = (row["name"].as_str().unwrap(), &row["config"]);
            if published.contains(&name) {
                let described = Described::of(config).unwrap();
                let unusual = Unusual::of(config, &described, &Naming::default(), &[]);
                assert_eq!(unusual, Unusual::default(), "{name}");
                seen += 1;
            }
        }
        assert_eq!(seen, published.len());
    }

    #[test]
    fn another_spelling_is_found_by_its_name() {
        type Change = fn(&mut Model);
        let rename = |model: &mut Model, old: &str, new: &str| {
            let value = model.config[old].take();
            model.config.as_object_mut().unwrap().remove(old);
            model.config[new] = value;
        };
        let changes: [(&str, Change, &str); 6] = [
            ("n_embd", |_| (), "hidden_size is missing, and n_embd is there"),
            ("beta_gamma", |model| model.config["beta_gamma"] = json!(2), "beta_gamma = 2"),
            ("eos_token_id", |model| model.config["eos_token_id"] = json!([-1, 7]), "eos_token_id"),
            ("is_causal", |model| model.config["is_causal"] = json!(true), "no is_causal here"),
            (
                "full_attention",
                |model| {
                    let rotary = model.config["rope_parameters"].take();
                    model.config["layer_types"] = json!(vec!["full_attention"; 9]);
                    model.config["rope_parameters"] = json!({"full_attention": rotary});
                },
                "rope_parameters.full_attention.rope_theta",
            ),
            (
                "_orig_mod.model.norm.weight",
                |model| {
                    let norm = |one: &&mut Tensor| one.name == "model.norm.weight";
                    let norm = model.tensors.iter_mut().find(norm).unwrap();
                    norm.name = format!("_orig_mod.{}", norm.name);
                },
                "no model.norm.weight",
            ),
        ];
        for (name, change, said) in changes {
            let unusual = of(Architecture::Llama, |model| {
                if name == "n_embd" {
                    rename(model, "hidden_size", "n_embd");
                }
                if name == "full_attention" {
                    let layers = model.config["num_hidden_layers"].as_u64().unwrap() as usize;
                    change(model);
                    model.config["layer_types"] = json!(vec!["full_attention"; layers]);
                    return;
                }
                change(model);
            });
            assert!(unusual.named(said).is_some(), "{name}: {unusual:?}");
            assert_eq!(unusual.named("num_attention_heads is not supported"), None, "{name}");
            let inside = name.replace('.', "_");
            assert_eq!(unusual.named(&format!("my_{inside}, {inside}s")), None, "{name}");
        }
    }

    #[test]
    fn a_tensor_that_is_not_used_and_a_file_are_found() {
        let mut unusual = of(Architecture::Llama, |model| {
            let mut stray = model.tensors[0].clone();
            stray.name = "extra.weight".to_owned();
            model.tensors.push(stray);
        });
        assert!(unusual.named("extra.weight").is_some());
        assert!(unusual.named("index.json").is_none());
        unusual.file("index.json", "an index");
        assert_eq!(unusual.named("in index.json:"), Some("index.json, an index".to_owned()));
    }

    #[test]
    fn settings_and_biases_that_a_family_does_not_have_are_found() {
        let mut unusual = of(Architecture::Phi3, |model| {
            model.config["attention_bias"] = json!(true);
        });
        let wanted = "attention_bias, biases that the family does not have".to_owned();
        assert_eq!(unusual.named("attention_bias"), Some(wanted));
        let settings = json!({"suppress_tokens": [60], "temperature": 0.7, "num_beams": 4});
        unusual.settings(&settings, 60);
        let wanted = "suppress_tokens, a setting of generation with a value that it cannot have";
        assert_eq!(unusual.named("suppress_tokens"), Some(wanted.to_owned()));
        let wanted = "num_beams, a setting of generation that the judge does not read";
        assert_eq!(unusual.named("num_beams"), Some(wanted.to_owned()));
        assert_eq!(unusual.named("temperature"), None);
    }
}
