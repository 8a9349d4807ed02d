//! Other spellings of a made model's configuration. The model and its truth stay as the recipe has
//! them; only the files state them in another way.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::chat::GENERATION;
use super::file::CONFIG;
use super::recipe::{HeadKind, Recipe};

/// How a made model's files state its configuration. A text `$NAME` stands for what the model was
/// made with: `$hidden`, `$layers`, `$heads`, `$key_heads`, `$head_dim`, `$inner`, `$positions`,
/// `$vocabulary`, `$types`, `$padding`, `$rope_theta`, `$norm_eps`, `$window`; of Llama 3's scaling
/// `$factor`, `$low`, `$high`, `$original`; `$low_half` is a list of the tokens in the lower half of the
/// vocabulary, and in generation_config.json `$end` is the end token of config.json.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spelled {
    /// What the model is made with, in place of what chance gives, by the names of the
    /// configuration that the harness writes.
    #[serde(default)]
    pub truth: Map<String, Value>,
    /// Fields that are left out of config.json.
    #[serde(default)]
    pub drop: Vec<String>,
    /// Fields that are written into config.json.
    #[serde(default)]
    pub set: Map<String, Value>,
    /// The content of generation_config.json; without content there is no such file.
    #[serde(default)]
    pub generation: Map<String, Value>,
}

impl Spelled {
    /// Makes the truth that of the recipe.
    ///
    /// # Errors
    /// Where a value is not of its kind.
    pub fn settle(&self, recipe: &mut Recipe) -> Result<(), String> {
        for (name, value) in &self.truth {
            let value = filled(value, recipe)?;
            let size = || match value.as_u64() {
                Some(size) => Ok(size as usize),
                None => Err(format!("{name} is no size: {value}")),
            };
            let number = || value.as_f64().ok_or_else(|| format!("{name} is no number: {value}"));
            let sizes = &mut recipe.sizes;
            match name.as_str() {
                "rope_theta" => sizes.rotary_base = number()?,
                "norm_eps" => sizes.epsilon = number()?,
                "num_attention_heads" => sizes.heads = size()?,
                "num_key_value_heads" => sizes.key_heads = size()?,
                "head_dim" => sizes.head_size = size()?,
                "intermediate_size" => sizes.inner = size()?,
                "pad_token_id" => sizes.padding = size()?,
                "hidden_size" => {
                    sizes.hidden = size()?;
                    if recipe.projection.is_none() && recipe.output != HeadKind::Logits {
                        sizes.dimension = sizes.hidden;
                    }
                }
                "sliding_window" if value.is_null() => recipe.decoder.window = None,
                "sliding_window" => recipe.decoder.window = Some(size()?),
                "rope_scaling" if value.is_null() => recipe.decoder.scaling = None,
                "original_max_position_embeddings" => {
                    let scaling = recipe.decoder.scaling.as_mut();
                    scaling.ok_or("no scaling")?.original_max_position_embeddings = size()?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes the truth that no size of the recipe holds into the model's own configuration.
    ///
    /// # Errors
    /// Where a value names something that the model does not have.
    pub fn state(&self, recipe: &Recipe, config: &mut Value) -> Result<(), String> {
        const IN_RECIPE: [&str; 10] = [
            "rope_theta",
            "norm_eps",
            "num_attention_heads",
            "num_key_value_heads",
            "head_dim",
            "intermediate_size",
            "pad_token_id",
            "hidden_size",
            "rope_scaling",
            "original_max_position_embeddings",
        ];
        for (name, value) in
            self.truth.iter().filter(|(name, _)| !IN_RECIPE.contains(&name.as_str()))
        {
            config[name.as_str()] = filled(value, recipe)?;
        }
        Ok(())
    }

    /// Rewrites the configuration in a folder, which has the form that the harness writes.
    ///
    /// # Errors
    /// Where a file operation fails, or a value names something that the model does not have.
    pub fn write(&self, recipe: &Recipe, folder: &Path) -> Result<(), String> {
        let path = folder.join(CONFIG);
        let text = fs::read(&path).map_err(|error| error.to_string())?;
        let mut config: Map<String, Value> =
            serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        for name in &self.drop {
            config.remove(name).ok_or_else(|| format!("no field {name} to leave out"))?;
        }
        config.extend(all_filled(&self.set, recipe)?);
        let put = |path: &Path, fields: &Map<String, Value>| {
            let text = serde_json::to_vec_pretty(fields).map_err(|error| error.to_string())?;
            fs::write(path, text).map_err(|error| error.to_string())
        };
        put(&path, &config)?;
        match self.generation.is_empty() {
            true => Ok(()),
            false => {
                let mut generation = self.generation.clone();
                let end = config.get("eos_token_id");
                for value in generation.values_mut().flat_map(listed).filter(|one| **one == "$end")
                {
                    value.clone_from(end.ok_or("no end token in config.json")?);
                }
                put(&folder.join(GENERATION), &all_filled(&generation, recipe)?)
            }
        }
    }
}

/// The elements of a list; a value that is no list, itself.
fn listed(value: &mut Value) -> &mut [Value] {
    match value {
        Value::Array(all) => all,
        value => std::slice::from_mut(value),
    }
}

fn all_filled(fields: &Map<String, Value>, recipe: &Recipe) -> Result<Map<String, Value>, String> {
    fields.iter().map(|(name, value)| Ok((name.clone(), filled(value, recipe)?))).collect()
}

/// A value with the recipe's own in the place of each `$NAME`.
fn filled(value: &Value, recipe: &Recipe) -> Result<Value, String> {
    let sizes = &recipe.sizes;
    let scaling = || recipe.decoder.scaling.ok_or_else(|| format!("no scaling for {value}"));
    Ok(match value {
        Value::Array(all) => {
            all.iter().map(|one| filled(one, recipe)).collect::<Result<Vec<_>, _>>()?.into()
        }
        Value::Object(fields) => all_filled(fields, recipe)?.into(),
        Value::String(text) => match text.strip_prefix('$') {
            None => value.clone(),
            Some("hidden") => json!(sizes.hidden),
            Some("layers") => json!(sizes.layers),
            Some("heads") => json!(sizes.heads),
            Some("key_heads") => json!(sizes.key_heads()),
            Some("head_dim") => json!(sizes.head_size()),
            Some("inner") => json!(sizes.inner),
            Some("positions") => json!(sizes.positions),
            Some("vocabulary") => json!(sizes.vocabulary),
            Some("types") => json!(sizes.types),
            Some("padding") => json!(sizes.padding),
            Some("rope_theta") => json!(sizes.rotary_base),
            Some("norm_eps") => json!(sizes.epsilon),
            Some("window") => json!(recipe.decoder.window),
            Some("factor") => json!(scaling()?.factor),
            Some("low") => json!(scaling()?.low_freq_factor),
            Some("high") => json!(scaling()?.high_freq_factor),
            Some("original") => json!(scaling()?.original_max_position_embeddings),
            Some("low_half") => json!((0..sizes.vocabulary / 2).collect::<Vec<_>>()),
            Some(_) => return Err(format!("no value {text}")),
        },
        plain => plain.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::model::{Architecture, Model, random};

    #[test]
    fn only_the_files_change_and_the_truth_stays() {
        let mut recipe = random::recipe(Architecture::Qwen2, Some(HeadKind::Logits), 5);
        let spelled: Spelled = serde_json::from_value(json!({
            "truth": {"rope_theta": 70.0, "hidden_act": "relu"},
            "drop": ["rope_parameters"],
            "set": {"rope_scaling": {"rope_theta": "$rope_theta"}, "kinds": ["$heads", "full"]},
            "generation": {"suppress_tokens": "$low_half"},
        }))
        .expect("a spelling");
        spelled.settle(&mut recipe).expect("settled");
        let mut model = Model::build(&recipe);
        spelled.state(&recipe, &mut model.config).expect("stated");
        assert_eq!(model.config["rope_parameters"]["rope_theta"], 70.0);
        assert_eq!(model.config["hidden_act"], "relu");
        let folder = tempfile::tempdir().expect("a folder");
        let read = |name: &str| -> Value {
            serde_json::from_slice(&fs::read(folder.path().join(name)).expect("read"))
                .expect("JSON")
        };
        fs::write(folder.path().join(CONFIG), model.config.to_string()).expect("written");
        spelled.write(&recipe, folder.path()).expect("spelled");
        let config = read(CONFIG);
        assert!(config.get("rope_parameters").is_none());
        assert_eq!(config["rope_scaling"], json!({"rope_theta": 70.0}));
        assert_eq!(config["kinds"], json!([recipe.sizes.heads, "full"]));
        let half = read(GENERATION)["suppress_tokens"].as_array().map(Vec::len);
        assert_eq!(half, Some(recipe.sizes.vocabulary / 2));
        let unknown = Spelled { drop: vec!["flavour".to_owned()], ..Spelled::default() };
        assert!(unknown.write(&recipe, folder.path()).is_err());
        assert!(filled(&json!(["$flavour"]), &recipe).is_err());
    }
}
