//! The activations that the judge's oracle computes.

use crate::harness::model::file::CONFIG;

/// Activations that the oracle computes.
const ACTIVATIONS: [&str; 12] = [
    "gelu",
    "gelu_python",
    "gelu_new",
    "gelu_pytorch_tanh",
    "gelu_fast",
    "gelu_accurate",
    "quick_gelu",
    "silu",
    "swish",
    "relu",
    "swiglu",
    "geglu",
];

/// Refuses an activation that the oracle does not compute.
pub(super) fn check(name: &str) -> Result<(), String> {
    match ACTIVATIONS.contains(&name) {
        true => Ok(()),
        false => Err(format!("{}: the judge does not know the activation {name:?}", CONFIG)),
    }
}
