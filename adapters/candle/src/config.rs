//! `config.json` in the form that candle's configurations read.
//!
//! candle's configurations follow the files of transformers 4, and require each field that those files
//! had. Transformers 5 writes the base of the rotation into `rope_parameters`, and leaves out fields with
//! the default value. This module moves values and adds transformers' defaults. It changes no value.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use weighbridge::contract::{Code, Failure, Phase};

use weighbridge_adapter::{ends, refused, unopened};

/// A configuration, and the few fields that the code to run a model needs.
pub struct Config {
    fields: Value,
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Config, Failure> {
        let bad = |code, text: String| refused(Phase::Header, code, text).path(path);
        let text = fs::read(path).map_err(|error| match unopened(&error) {
            Code::NotFound => bad(Code::InvalidConfig, error.to_string()),
            code => bad(code, error.to_string()),
        })?;
        let fields: Value = serde_json::from_slice(&text)
            .map_err(|error| bad(Code::InvalidConfig, error.to_string()))?;
        match fields.is_object() {
            true => Ok(Config { fields: moved(fields) }),
            false => Err(bad(Code::InvalidConfig, format!("{} is no object", path.display()))),
        }
    }

    /// `model_type`.
    pub fn model_type(&self) -> &str {
        self.fields["model_type"].as_str().unwrap_or_default()
    }

    /// One of candle's configurations.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_value(self.fields.clone()).map_err(|error| {
            let failure = refused(Phase::Header, Code::InvalidConfig, error.to_string());
            match self.stumbled::<T>() {
                Some(found) => failure.expected("a config.json that candle accepts", found),
                None => failure,
            }
        })
    }

    /// The field at which candle's configuration stumbles, with its value. The parser names neither, but it counts
    /// lines, and here each field has its own.
    fn stumbled<T: DeserializeOwned>(&self) -> Option<String> {
        let text = serde_json::to_string_pretty(&self.fields).ok()?;
        let at = serde_json::from_str::<T>(&text).err()?.line().checked_sub(1)?;
        let field = text.lines().nth(at)?.trim().trim_end_matches([',', '{', '[', ' ']);
        field.starts_with('"').then(|| field.to_owned())
    }

    /// A size.
    pub fn size(&self, name: &str) -> Result<usize, Failure> {
        let size = self.fields[name].as_u64().and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| {
            let found = &self.fields[name];
            let text = format!("{name} is no size: {found}");
            let failure = refused(Phase::Header, Code::InvalidConfig, text);
            failure.expected(format!("a whole number as {name}"), found)
        })
    }

    /// The tokens that end a sequence.
    pub fn ends(&self) -> Vec<u32> {
        ends(&self.fields)
    }
}

fn moved(mut fields: Value) -> Value {
    let rotary = fields["rope_parameters"].take();
    if rotary.is_object() {
        if fields["rope_theta"].is_null() {
            fields["rope_theta"] = rotary["rope_theta"].clone();
        }
        let plain = rotary["rope_type"].as_str().is_none_or(|kind| kind == "default");
        if !plain && fields["rope_scaling"].is_null() {
            fields["rope_scaling"] = rotary;
        }
    }
    let longest = fields["max_position_embeddings"].clone();
    let defaults = match fields["model_type"].as_str() {
        Some("qwen2") => json!({
            "use_sliding_window": false, "sliding_window": longest, "max_window_layers": 28,
            "tie_word_embeddings": false, "hidden_act": "silu",
        }),
        Some("qwen3") => json!({
            "use_sliding_window": false, "sliding_window": null, "max_window_layers": 28,
            "tie_word_embeddings": false, "hidden_act": "silu", "attention_bias": false,
        }),
        // Fields that are only for training are required as well.
        Some("bert" | "roberta" | "xlm-roberta") => json!({
            "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
            "initializer_range": 0.02, "position_embedding_type": "absolute",
        }),
        // It uses the field names of the model's first publication.
        Some("nomic_bert") => json!({
            "n_embd": fields["hidden_size"], "n_head": fields["num_attention_heads"],
            "n_layer": fields["num_hidden_layers"], "n_inner": fields["intermediate_size"],
            "n_positions": longest, "layer_norm_epsilon": fields["layer_norm_eps"],
            "rotary_emb_base": fields["rope_theta"], "rotary_emb_fraction": 1.0,
            "rotary_emb_interleaved": false, "qkv_proj_bias": false, "mlp_fc1_bias": false,
            "mlp_fc2_bias": false, "activation_function": "swiglu", "prenorm": false,
        }),
        _ => json!({}),
    };
    for (name, value) in defaults.as_object().into_iter().flatten() {
        if fields[name].is_null() {
            fields[name] = value.clone();
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use candle_transformers::models::mistral;
    use serde_json::json;

    use super::{Config, moved};

    fn refusal(changed: &str, value: serde_json::Value) -> Option<String> {
        let mut fields = json!({
            "model_type": "mistral", "vocab_size": 9, "hidden_size": 8, "intermediate_size": 8,
            "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
            "hidden_act": "silu", "max_position_embeddings": 16, "rms_norm_eps": 1e-6,
            "rope_theta": 1e4, "sliding_window": null,
        });
        fields[changed] = value;
        let config = Config { fields: moved(fields) };
        config.parse::<mistral::Config>().err().and_then(|failure| failure.actual)
    }

    #[test]
    fn the_field_that_candle_does_not_take_is_named() {
        assert_eq!(refusal("model_type", json!("mistral")), None);
        let found = refusal("num_key_value_heads", json!(null));
        assert_eq!(found.as_deref(), Some("\"num_key_value_heads\": null"));
        let found = refusal("rope_theta", json!("10000"));
        assert_eq!(found.as_deref(), Some("\"rope_theta\": \"10000\""));
    }
}
