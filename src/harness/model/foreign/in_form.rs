//! Metadata and tensors of GGUF files in other forms than the plain one.

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value;
use serde_json::Value as Json;

use super::file::Entry;
use super::form::{GgufForm, PerLayer};
use super::golden::{Pairs, Pieces};
use super::written::size;
use crate::contract::DType;
use crate::harness::model::fill;

/// A chat template that adds nothing to the turns.
const TEMPLATE: &str = "{% for message in messages %}{{ message['content'] }}{% endfor %}";

/// The type id of the element types that this code stores.
pub(super) fn id(kind: GgmlDType) -> Result<u32, String> {
    Ok(match kind {
        GgmlDType::F32 => 0,
        GgmlDType::F16 => 1,
        GgmlDType::BF16 => 30,
        GgmlDType::Q8_0 => 8,
        GgmlDType::Q4K => 12,
        GgmlDType::Q6K => 14,
        other => return Err(format!("{other:?} is not written in another form here")),
    })
}

/// Llama 3's scaling as a tensor: what llama.cpp's converter computes, a divisor for each pair.
pub(super) fn rope_factors(config: &Json) -> Result<Entry, String> {
    let scaling = &config["rope_parameters"];
    let number =
        |field: &str| scaling[field].as_f64().ok_or_else(|| format!("the scaling has no {field}"));
    let (base, factor) = (number("rope_theta")?, number("factor")?);
    let (low, high) = (number("low_freq_factor")?, number("high_freq_factor")?);
    let original = number("original_max_position_embeddings")?;
    let (hidden, heads) = (size(config, "hidden_size")?, size(config, "num_attention_heads")?);
    let pairs = size(config, "head_dim").unwrap_or(hidden / heads) / 2;
    let divisor = |pair: u64| -> f32 {
        let wavelength = 2.0 * std::f64::consts::PI * base.powf(pair as f64 / pairs as f64);
        let turns = original / wavelength;
        let smooth = (turns - low) / (high - low);
        (match smooth {
            slow if slow < 0.0 => factor,
            fast if fast > 1.0 => 1.0,
            between => 1.0 / ((1.0 - between) / factor + between),
        }) as f32
    };
    let values: Vec<f32> = (0..pairs).map(divisor).collect();
    let bytes = fill::encode(&values, DType::F32);
    Ok(Entry { name: "rope_freqs.weight".to_owned(), shape: vec![values.len()], kind: 0, bytes })
}

/// Changes the metadata as the form says.
pub(super) fn change(
    keys: &mut Vec<(String, Value)>,
    config: &Json,
    family: &str,
    form: &GgufForm,
) -> Result<(), String> {
    let full = |key: &str| match key.starts_with("general.") || key.starts_with("tokenizer.") {
        true => key.to_owned(),
        false => format!("{family}.{key}"),
    };
    let mut set = |key: String, value: Option<Value>| {
        keys.retain(|(known, _)| *known != key);
        keys.extend(value.map(|value| (key, value)));
    };
    if let Some(per_layer) = form.per_layer {
        let layers = size(config, "num_hidden_layers")?;
        for (key, field) in [
            ("attention.head_count", "num_attention_heads"),
            ("attention.head_count_kv", "num_key_value_heads"),
            ("feed_forward_length", "intermediate_size"),
        ] {
            let number = size(config, field)? as i32;
            let mut each = vec![Value::I32(number); layers as usize];
            if per_layer == PerLayer::Differing
                && key == "feed_forward_length"
                && let Some(last) = each.last_mut()
            {
                *last = Value::I32(number * 2);
            }
            set(full(key), Some(Value::Array(each)));
        }
    }
    let text = |text: &str| Value::String(text.to_owned());
    if let Some(way) = &form.pairs {
        let Pairs { tokens, merges, .. } = Pairs::read()?;
        for (key, value) in [
            ("model", text("gpt2")),
            ("pre", text(way)),
            ("token_type", Value::Array(vec![Value::I32(1); tokens.len()])),
            ("tokens", Value::Array(tokens.into_iter().map(Value::String).collect())),
            ("merges", Value::Array(merges.into_iter().map(Value::String).collect())),
        ] {
            set(format!("tokenizer.ggml.{key}"), Some(value));
        }
        set("tokenizer.chat_template".to_owned(), Some(text(TEMPLATE)));
    }
    if form.pieces {
        let Pieces { tokens, scores, kinds, .. } = Pieces::leading()?;
        for (key, value) in [
            ("model", text("llama")),
            ("tokens", Value::Array(tokens.into_iter().map(Value::String).collect())),
            ("scores", Value::Array(scores.into_iter().map(Value::F32).collect())),
            ("token_type", Value::Array(kinds.into_iter().map(Value::I32).collect())),
            ("bos_token_id", Value::U32(1)),
            ("unknown_token_id", Value::U32(0)),
        ] {
            set(format!("tokenizer.ggml.{key}"), Some(value));
        }
        set("tokenizer.chat_template".to_owned(), Some(text(TEMPLATE)));
    }
    for (key, value) in &form.with {
        set(full(key), Some(metadata(value)?));
    }
    for key in &form.without {
        set(full(key), None);
    }
    Ok(())
}

/// A value of a case file as metadata: numbers as files have them.
fn metadata(value: &Json) -> Result<Value, String> {
    Ok(match value {
        Json::Bool(flag) => Value::Bool(*flag),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(all) => Value::Array(all.iter().map(metadata).collect::<Result<_, _>>()?),
        Json::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) => Value::U32(whole as u32),
            (None, Some(number)) => Value::F32(number as f32),
            _ => return Err(format!("{number} is not a number of metadata")),
        },
        other => return Err(format!("{other} is not a value of metadata")),
    })
}
