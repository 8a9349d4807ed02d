//! Fields that change a model's outputs in a way that the judge's oracle does not compute. Any of
//! them with a value that matters leaves the model undescribed.

use serde_json::Value;

use super::fields::Fields;
use crate::harness::model::Architecture;
use crate::harness::model::file::CONFIG;

/// Fields that matter unless they are absent, `null`, false, or empty.
const MATTER: [&str; 24] = [
    "quantization_config",
    "compression_config",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "logits_soft_cap",
    "use_qk_norm",
    "qk_norm",
    "qk_layernorm",
    "clip_qkv",
    "alibi",
    "num_local_experts",
    "num_experts",
    "n_routed_experts",
    "no_rope_layers",
    "rope_interleaved",
    "use_mrope",
    "rotary_emb_interleaved",
    "rotary_emb_scale_base",
    "rotary_scaling_factor",
    "parallel_attn",
    "use_rms_norm",
    "scale_attn_by_inverse_layer_idx",
    "add_cross_attention",
    "query_pre_attn_scalar",
];

/// Factors that matter unless they are 1.
const FACTORS: [&str; 10] = [
    "logit_scale",
    "logits_scaling",
    "embedding_multiplier",
    "residual_multiplier",
    "attention_multiplier",
    "scale_emb",
    "scale_depth",
    "partial_rotary_factor",
    "rotary_pct",
    "rotary_emb_fraction",
];

/// Fields of NomicBERT that matter if they are true.
const NOMIC: [&str; 6] =
    ["prenorm", "causal", "qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias", "pad_vocab"];

/// Refuses what the judge cannot describe.
pub(super) fn refuse(fields: &Fields<'_>, architecture: Architecture) -> Result<(), String> {
    let idle = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    };
    let told = |name: &str, value: &Value| {
        let value = value.to_string();
        let short: String = value.chars().take(60).collect();
        Err(format!("{CONFIG}: the judge does not compute with {name} = {short}"))
    };
    for name in MATTER {
        if let Some(value) = fields.value(name).filter(|value| !idle(value)) {
            return told(name, value);
        }
    }
    for name in FACTORS {
        let one = |value: &Value| value.as_f64() == Some(1.0);
        if let Some(value) = fields.value(name).filter(|value| !one(value)) {
            return told(name, value);
        }
    }
    if architecture == Architecture::NomicBert {
        for name in NOMIC {
            if let Some(value) = fields.value(name).filter(|value| **value == Value::Bool(true)) {
                return told(name, value);
            }
        }
    }
    if architecture == Architecture::Gpt2
        && let Some(value) = fields.value("scale_attn_weights")
        && *value == Value::Bool(false)
    {
        return told("scale_attn_weights", value);
    }
    if !architecture.is_decoder()
        && let Some(value) = fields.value("is_decoder")
        && *value == Value::Bool(true)
    {
        return told("is_decoder", value);
    }
    match fields.value("position_embedding_type") {
        Some(value) if !["absolute", "rotary"].contains(&value.as_str().unwrap_or_default()) => {
            told("position_embedding_type", value)
        }
        _ => Ok(()),
    }
}
