//! A model's tensors and configuration fields by name.

use std::collections::HashMap;

use candle_core::{D, DType, Device, Tensor};
use rayon::prelude::*;
use serde_json::Value;

use super::error::{OracleError, Result};
use super::sight::Sight;
use crate::contract::DType as Stored;
use crate::harness::model::{self, Model};

/// The product of the last dimension of `x` with a matrix `[in, out]`. In two dimensions, because a
/// product over a batch would copy a transposed matrix, element by element.
pub(super) fn product(x: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    let rows = shape.iter().rev().skip(1).product::<usize>();
    let y = x.reshape((rows, x.dim(D::Minus1)?))?.matmul(matrix)?;
    if let Some(last) = shape.last_mut() {
        *last = matrix.dim(1)?;
    }
    Ok(y.reshape(shape)?)
}

/// Tensors in the oracle's precision, and the configuration.
pub(super) struct Weights {
    tensors: HashMap<String, Tensor>,
    config: Value,
    pub(super) dtype: DType,
}

impl Weights {
    pub(super) fn of(model: &Model, dtype: DType) -> Result<Weights> {
        let widened = |tensor: &model::Tensor| {
            let values = Tensor::from_vec(tensor.values(), tensor.shape.clone(), &Device::Cpu)?;
            Ok((tensor.name.clone(), values.to_dtype(dtype)?))
        };
        // Buffers of other types are not weights.
        let floats = |tensor: &&model::Tensor| {
            matches!(tensor.dtype, Stored::F32 | Stored::F16 | Stored::BF16)
        };
        let tensors =
            model.tensors.par_iter().filter(floats).map(widened).collect::<Result<_>>()?;
        Ok(Weights { tensors, config: model.config.clone(), dtype })
    }

    /// A tensor by its name without the model's prefix (`bert.`, `model.` and so on).
    pub(super) fn get(&self, name: &str) -> Result<&Tensor> {
        self.find(name).ok_or_else(|| OracleError::Missing(name.to_owned()))
    }

    pub(super) fn find(&self, name: &str) -> Option<&Tensor> {
        ["", "bert.", "roberta.", "model.", "transformer."]
            .iter()
            .find_map(|prefix| self.tensors.get(&format!("{prefix}{name}")))
    }

    /// `x W^T + b`; without `b` if the layer has no bias.
    pub(super) fn linear(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let weight = self.get(&format!("{name}.weight"))?;
        self.apply(weight, self.find(&format!("{name}.bias")), x)
    }

    pub(super) fn apply(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        x: &Tensor,
    ) -> Result<Tensor> {
        let y = product(x, &weight.t()?)?;
        Ok(match bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }

    pub(super) fn text(&self, field: &str) -> Result<&str> {
        let value = self.config.get(field).and_then(Value::as_str);
        value.ok_or_else(|| OracleError::Config(format!("{field} is missing or not a string")))
    }

    pub(super) fn size(&self, field: &str) -> Result<usize> {
        let value = self.config.get(field).and_then(Value::as_u64);
        value
            .map(|value| value as usize)
            .ok_or_else(|| OracleError::Config(format!("{field} is missing or not a size")))
    }

    pub(super) fn number(&self, field: &str, default: f64) -> f64 {
        self.config.get(field).and_then(Value::as_f64).unwrap_or(default)
    }

    pub(super) fn flag(&self, field: &str, default: bool) -> bool {
        self.config.get(field).and_then(Value::as_bool).unwrap_or(default)
    }

    /// The rotary frequency of each pair of a head, in radians per position. It is rounded to F32,
    /// because the models were trained with F32 ones.
    ///
    /// Base and scaling are read from `rope_parameters` (newer configurations) or from `rope_theta`
    /// and `rope_scaling` (older ones). `rope_parameters` may have one entry for each type of layer.
    pub(super) fn frequencies(&self, size: usize, layer: usize) -> Result<Vec<f32>> {
        let parameters = self.config.get("rope_parameters").or(self.config.get("rope_scaling"));
        let own = self.layer_type(layer).and_then(|kind| parameters.and_then(|all| all.get(kind)));
        let parameters = own.or(parameters);
        let inside = |field: &str| parameters.and_then(|all| all.get(field));
        let base = inside("rope_theta").and_then(Value::as_f64);
        let base = base.unwrap_or_else(|| self.number("rope_theta", 10_000.0)) as f32;
        let plain = (0..size / 2).map(|pair| 1.0 / base.powf((2 * pair) as f32 / size as f32));
        let kind = inside("rope_type").and_then(Value::as_str).unwrap_or("default");
        if kind == "default" {
            return Ok(plain.collect());
        }
        let number = |field: &str| {
            let value = inside(field).and_then(Value::as_f64).map(|value| value as f32);
            value.ok_or_else(|| OracleError::Config(format!("{field} is missing or not a number")))
        };
        let factor = number("factor")?;
        if kind == "linear" {
            return Ok(plain.map(|frequency| frequency / factor).collect());
        }
        if kind != "llama3" {
            return Err(OracleError::Config(format!("unknown rope_type {kind}")));
        }
        let original = number("original_max_position_embeddings")?;
        let (low, high) = (number("low_freq_factor")?, number("high_freq_factor")?);
        // Llama 3's scaling depends on the wavelength: the number of positions of a full turn.
        let scale = |frequency: f32| {
            let wavelength = 2.0 * std::f32::consts::PI / frequency;
            if wavelength > original / low {
                frequency / factor
            } else if wavelength < original / high {
                frequency
            } else {
                let smooth = (original / wavelength - low) / (high - low);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        };
        Ok(plain.map(scale).collect())
    }

    /// The type of a layer, where the configuration has `layer_types`.
    fn layer_type(&self, layer: usize) -> Option<&str> {
        self.config.get("layer_types")?.get(layer)?.as_str()
    }

    /// Which tokens a token of a decoder's layer attends to. Without `layer_types`, all layers of the
    /// architectures that have a window have it. Attention to later tokens has none.
    pub(super) fn sight(&self, layer: usize) -> Sight {
        if !self.flag("is_causal", true) {
            return Sight { causal: false, window: None };
        }
        let has = match (self.layer_type(layer), self.text("model_type")) {
            (_, Ok("mistral" | "phi3")) => true,
            (Some(kind), Ok("qwen2" | "qwen3")) => {
                kind == "sliding_attention" && self.flag("use_sliding_window", true)
            }
            _ => false,
        };
        Sight { causal: true, window: self.size("sliding_window").ok().filter(|_| has) }
    }

    pub(super) fn heads(&self) -> Result<(usize, usize, usize)> {
        let heads = self.size("num_attention_heads")?;
        let key_heads = self.size("num_key_value_heads").unwrap_or(heads);
        let size = match self.size("head_dim") {
            Ok(size) => size,
            Err(_) => self.size("hidden_size")? / heads,
        };
        Ok((heads, key_heads, size))
    }
}
