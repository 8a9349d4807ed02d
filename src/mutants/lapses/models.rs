//! Lapses over a model's parts.

use crate::contract::Code;
use crate::contract::inference::Inference;
use crate::loader::Steps;
use crate::loader::error::Result;
use crate::loader::format::Carried;
use crate::loader::infer::RunnableModel;
use crate::loader::infer::body::Layer;
use crate::loader::infer::ops::Linear;
use crate::loader::load::model::Held;
use crate::mutants::inference::{Filled, bias_dropped};

/// A missing bias means that there are none.
pub(super) struct BiasLacking;

impl Steps for BiasLacking {
    fn model(
        &self,
        inference: &Inference,
        carried: Option<&Carried>,
        tensors: &[Held],
    ) -> Result<RunnableModel> {
        RunnableModel::find(inference, carried, tensors).or_else(|error| {
            let missing = error.failure().tensor.clone().unwrap_or_default();
            if error.code() != Code::IncompleteModel || !missing.ends_with(".bias") {
                return Err(error);
            }
            let mut model = Filled.model(inference, carried, tensors)?;
            bias_dropped(&mut model);
            Ok(model)
        })
    }
}

pub(super) fn other_biases_dropped(model: &mut RunnableModel) {
    let layers = model.parts.body.iter_mut().flat_map(|body| &mut body.layers);
    layers.for_each(|layer: &mut Layer| {
        let Layer { join, widen, narrow, .. } = layer;
        let all = [join, narrow].into_iter().chain(widen);
        all.for_each(|linear| linear.bias = None);
    });
}

/// As many elements, in the other order.
pub(super) fn head_turned(model: &mut RunnableModel) {
    let head = model.parts.body.as_mut().and_then(|body| body.language.as_mut());
    if let Some(Linear { weight, transposed, .. }) = head {
        (weight.rows, weight.columns) = (weight.columns, weight.rows);
        *transposed = !*transposed;
    }
}
