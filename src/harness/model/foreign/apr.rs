//! Writes APR version 2 with the `apr-format` crate.

use apr_format::v2::{AprV2Metadata, AprV2Writer, TensorDType};
use serde_json::{Value, json};

use super::beside::Beside;
use super::written::{Written, ends, size};
use crate::contract::DType;
use crate::harness::model::Model;

/// Writes a model. Its sizes go into the format's own metadata fields, other settings into custom
/// fields with the names of `config.json`.
///
/// # Errors
/// If the configuration lacks a size; the crate's error.
pub fn write(model: &Model, beside: &Beside) -> Result<Written, String> {
    let config = &model.config;
    let whole = |field: &str| size(config, field).map(|size| Some(size as usize));
    let name = config["model_type"].as_str().unwrap_or_default();
    let mut metadata = AprV2Metadata::new(name);
    metadata.architecture = Some(name.to_owned());
    metadata.hf_model_type = Some(name.to_owned());
    metadata.hidden_size = whole("hidden_size")?;
    metadata.num_layers = whole("num_hidden_layers")?;
    metadata.num_heads = whole("num_attention_heads")?;
    metadata.num_kv_heads = whole("num_key_value_heads")?;
    metadata.vocab_size = whole("vocab_size")?;
    metadata.intermediate_size = whole("intermediate_size")?;
    metadata.max_position_embeddings = whole("max_position_embeddings")?;
    metadata.head_dim = size(config, "head_dim").ok().map(|size| size as usize);
    metadata.rms_norm_eps = config["rms_norm_eps"].as_f64().map(|number| number as f32);
    let rotary = &config["rope_parameters"];
    metadata.rope_theta = rotary["rope_theta"].as_f64().map(|number| number as f32);
    metadata.rope_type = Some(2);
    let custom = &mut metadata.custom;
    if rotary["rope_type"] != "default" {
        custom.insert("rope_parameters".to_owned(), rotary.clone());
    }
    for field in ["hidden_act", "sliding_window", "tie_word_embeddings"] {
        if let Some(value) = config.get(field).filter(|value| !value.is_null()) {
            custom.insert(field.to_owned(), value.clone());
        }
    }
    if !ends(config).is_empty() {
        custom.insert("eos_token_id".to_owned(), json!(ends(config)));
    }
    if let Some(tokenizer) = &beside.tokenizer {
        let whole = Value::String(tokenizer.to_string());
        custom.insert("tokenizer.huggingface.json".to_owned(), whole);
    }
    let template = beside.template.as_ref().and_then(|all| all["chat_template"].as_str());
    metadata.chat_template = template.map(str::to_owned);
    let mut writer = AprV2Writer::new(metadata);
    for tensor in &model.tensors {
        let dtype = match tensor.dtype {
            DType::F16 => TensorDType::F16,
            DType::BF16 => TensorDType::BF16,
            _ => TensorDType::F32,
        };
        writer.add_tensor(&tensor.name, dtype, tensor.shape.clone(), tensor.bytes.clone());
    }
    let bytes = writer.write().map_err(|error| error.to_string())?;
    Ok(Written { bytes, others: Vec::new(), held: model.clone() })
}
