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
        serde_json::from_value(self.fields.clone())
            .map_err(|error| refused(Phase::Header, Code::InvalidConfig, error.to_string()))
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
