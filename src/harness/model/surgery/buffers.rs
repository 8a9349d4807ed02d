//! Makes the buffers of older exports: what modules compute for themselves, stored beside the weights.
//!
//! Their values differ from those that the model computes: a mask that shows every position, positions
//! that count backwards, frequencies of another base. So a loader that used one would give another
//! output.

use half::{bf16, f16};

use crate::contract::DType;
use crate::harness::model::{Model, Tensor};

/// Causal masks, one for each layer of GPT-2.
pub fn masks(model: &Model, dtype: DType) -> Vec<Tensor> {
    let side = model.config["n_positions"].as_u64().unwrap_or(16) as usize;
    let values = vec![1.0; side * side];
    in_layers(model, "attn.c_attn.weight", "attn.bias", &[1, 1, side, side], &values, dtype)
}

/// The value of hidden positions, one for each layer of GPT-2.
pub fn masked_biases(model: &Model, dtype: DType) -> Vec<Tensor> {
    let hidden = match dtype {
        DType::F16 | DType::BF16 => f32::NEG_INFINITY,
        _ => -1e4,
    };
    in_layers(model, "attn.c_attn.weight", "attn.masked_bias", &[], &[hidden], dtype)
}

/// The positions of an encoder.
pub fn position_ids(model: &Model, dtype: DType) -> Vec<Tensor> {
    let count = model.config["max_position_embeddings"].as_u64().unwrap_or(16) as usize;
    let values: Vec<f32> = (0..count).rev().map(|at| at as f32).collect();
    let table = "embeddings.word_embeddings.weight";
    in_layers(model, table, "embeddings.position_ids", &[1, count], &values, dtype)
}

/// Rotary frequencies, one table for each layer.
pub fn rotary_tables(model: &Model, dtype: DType) -> Vec<Tensor> {
    let values: Vec<f32> = (0..8).map(|pair| 1.5f32.powi(-pair)).collect();
    let name = "self_attn.rotary_emb.inv_freq";
    in_layers(model, "self_attn.o_proj.weight", name, &[8], &values, dtype)
}

/// A tensor beside each one with this ending.
fn in_layers(
    model: &Model,
    beside: &str,
    name: &str,
    shape: &[usize],
    values: &[f32],
    dtype: DType,
) -> Vec<Tensor> {
    let fronts = model.tensors.iter().filter_map(|tensor| tensor.name.strip_suffix(beside));
    let bytes: Vec<u8> = values.iter().flat_map(|value| encode(*value, dtype)).collect();
    fronts
        .map(|front| Tensor {
            name: format!("{front}{name}"),
            dtype,
            shape: shape.to_vec(),
            bytes: bytes.clone(),
        })
        .collect()
}

fn encode(value: f32, dtype: DType) -> Vec<u8> {
    match dtype {
        DType::U8 | DType::BOOL => vec![value as u8],
        DType::I64 => (value as i64).to_le_bytes().to_vec(),
        DType::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
        DType::BF16 => bf16::from_f32(value).to_le_bytes().to_vec(),
        _ => value.to_le_bytes().to_vec(),
    }
}
