//! Normalisations and activations.

use candle_core::{D, Tensor};

use super::error::{OracleError, Result};
use super::weights::Weights;

/// `LayerNorm` over the last dimension.
pub(super) fn layer(weights: &Weights, name: &str, x: &Tensor) -> Result<Tensor> {
    // GPT-2's configuration uses the longer name.
    let epsilon = weights.number("layer_norm_epsilon", weights.number("layer_norm_eps", 1e-12));
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = centred.broadcast_div(&(variance + epsilon)?.sqrt()?)?;
    let scaled = normed.broadcast_mul(weights.get(&format!("{name}.weight"))?)?;
    Ok(scaled.broadcast_add(weights.get(&format!("{name}.bias"))?)?)
}

/// `RMSNorm` over the last dimension.
pub(super) fn root(weights: &Weights, name: &str, x: &Tensor) -> Result<Tensor> {
    let epsilon = weights.number("rms_norm_eps", 1e-6);
    let square = x.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = x.broadcast_div(&(square + epsilon)?.sqrt()?)?;
    Ok(normed.broadcast_mul(weights.get(&format!("{name}.weight"))?)?)
}

/// Applies the activation that a field of the configuration names.
pub(super) fn activate(weights: &Weights, field: &str, x: &Tensor) -> Result<Tensor> {
    match weights.text(field)? {
        "gelu" | "gelu_python" | "geglu" => Ok(x.gelu_erf()?),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" | "gelu_accurate" => Ok(x.gelu()?),
        "silu" | "swish" | "swiglu" => Ok(x.silu()?),
        // The logistic function, written by the function that has one: x * sigmoid(x) = silu(x).
        "quick_gelu" => Ok(((x * 1.702)?.silu()? / 1.702)?),
        "relu" => Ok(x.relu()?),
        other => Err(OracleError::Config(format!("unknown {field} {other}"))),
    }
}
