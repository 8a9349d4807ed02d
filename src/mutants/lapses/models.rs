//! Mutants of this folder that change a model's parts.

use crate::contract::Code;
use crate::loader::error::Result;
use crate::loader::infer::body::Layer;
use crate::loader::infer::ops::Linear;
use crate::loader::infer::{RunnableModel, Search};
use crate::mutants::inference::{bias_dropped, filled};

/// If one bias is missing, drops the biases of query, key and value in all layers.
pub(super) fn bias_lacking(search: &Search) -> Result<RunnableModel> {
    search.find().or_else(|error| {
        let missing = error.failure().tensor.clone().unwrap_or_default();
        if error.code() != Code::IncompleteModel || !missing.ends_with(".bias") {
            return Err(error);
        }
        let mut model = filled(search)?;
        bias_dropped(&mut model);
        Ok(model)
    })
}

pub(super) fn other_biases_dropped(model: &mut RunnableModel) {
    let layers = model.parts.body.iter_mut().flat_map(|body| &mut body.layers);
    layers.for_each(|layer: &mut Layer| {
        let Layer { join, widen, narrow, .. } = layer;
        let all = [join, narrow].into_iter().chain(widen);
        all.for_each(|linear| linear.bias = None);
    });
}

/// Swaps rows and columns of the head, and its `transposed` flag.
pub(super) fn head_turned(model: &mut RunnableModel) {
    let head = model.parts.body.as_mut().and_then(|body| body.language.as_mut());
    if let Some(Linear { weight, transposed, .. }) = head {
        (weight.rows, weight.columns) = (weight.columns, weight.rows);
        *transposed = !*transposed;
    }
}
