//! Fields that change a model's outputs in a way that the judge's oracle does not compute. Any of
//! them with a value that matters leaves the model undescribed.

use serde_json::Value;

use super::fields::Fields;
use crate::harness::model::Architecture;
use crate::harness::model::file::CONFIG;

/// Fields that change the weights of a model. They matter unless they are absent, `null`, false, or empty.
const WEIGHTS: [&str; 11] = [
    "quantization_config",
    "compression_config",
    "use_qk_norm",
    "qk_norm",
    "qk_layernorm",
    "num_local_experts",
    "num_experts",
    "n_routed_experts",
    "parallel_attn",
    "use_rms_norm",
    "add_cross_attention",
];

/// Fields that change what is computed with the same weights. They matter like those above.
const COMPUTED: [&str; 13] = [
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "logits_soft_cap",
    "clip_qkv",
    "alibi",
    "no_rope_layers",
    "rope_interleaved",
    "use_mrope",
    "rotary_emb_interleaved",
    "rotary_emb_scale_base",
    "rotary_scaling_factor",
    "scale_attn_by_inverse_layer_idx",
    "query_pre_attn_scalar",
];

/// Fields of a decoder's positions and activation, which change none of its weights either.
const POSITIONS_AND_ACTIVATION: [&str; 5] =
    ["rope_scaling", "rope_parameters", "hidden_act", "activation_function", "scale_attn_weights"];

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

/// The first field that changes the weights in a way that the judge does not know, and its value.
pub fn unknown_weights(config: &Value) -> Option<(&'static str, String)> {
    let fields = Fields::of(config).ok()?;
    matters(&fields, &WEIGHTS).map(|(name, value)| (name, short(value)))
}

/// A decoder's configuration without what decides a computation alone.
pub(super) fn weights_alone(config: &Value) -> Value {
    let mut config = config.clone();
    if let Value::Object(all) = &mut config {
        let computed = [&COMPUTED[..], &FACTORS, &POSITIONS_AND_ACTIVATION].concat();
        all.retain(|name, _| !computed.contains(&name.as_str()));
    }
    config
}

fn matters<'f>(fields: &Fields<'f>, names: &[&'static str]) -> Option<(&'static str, &'f Value)> {
    let idle = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    };
    let of = |name: &&'static str| fields.value(name).map(|value| (*name, value));
    names.iter().filter_map(of).find(|(_, value)| !idle(value))
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

/// Refuses what the judge cannot describe.
pub(super) fn refuse(fields: &Fields<'_>, architecture: Architecture) -> Result<(), String> {
    let told = |name: &str, value: &Value| {
        Err(format!("{CONFIG}: the judge does not compute with {name} = {}", short(value)))
    };
    if let Some((name, value)) = matters(fields, &WEIGHTS).or_else(|| matters(fields, &COMPUTED)) {
        return told(name, value);
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
