//! Plans the memory that a decoder needs to run. Decides from it whether the weights stay on the
//! device (whole), are streamed, or do not fit. The plan needs only the configuration and the
//! tensor tables of the files.
//!
//! The length of later sequences is not known. The plan has room for one sequence of [`TOKENS`]
//! tokens, or of the model's longest input if that is shorter. A longer sequence needs more memory,
//! and is refused if that is not free at that time. Encoders have no plan: their activations depend
//! on the batch, and they are never streamed.

use crate::contract::inference::OutputKind;
use crate::contract::plan::{MemoryPlan, Residency};
use crate::contract::{DType, Device};
use crate::gpu::{Decoder, Extent, Runner, suits_parts};
use crate::loader::decisions::LoadDecisions;
use crate::loader::error::{LoadError, Result};

use crate::loader::infer::RunnableModel;
use crate::loader::infer::device::element;
use crate::loader::infer::ops::{Linear, Weight};
use crate::loader::infer::residence::{lay_out, used_bytes};
use crate::loader::memory::layout::Layout;

/// Length of the planned sequence, in tokens. This is enough for a long conversation, and its cache
/// is small compared to the weights of most models. A model's longest input may be a hundred times
/// longer.
pub const TOKENS: usize = 4096;

/// Bytes for compiled kernels, the vendor's library and the rounding of allocations.
pub(crate) const OVERHEAD: u64 = 128 << 20;

/// What a plan must know of a device.
#[derive(Clone, Copy, Debug)]
pub struct Card {
    /// Its free memory, in bytes.
    pub free: u64,
    /// Whether it [multiplies BF16 weights by parts](crate::gpu::ForwardKernels::multiplies_parts).
    pub multiplies_parts: bool,
}

/// A plan that fits in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The plan.
    pub plan: MemoryPlan,
    /// Positions of the weights on the device, if the model is streamed.
    pub layout: Option<Layout>,
}

/// Plans a decoder's memory. `card` is the device; for the host it is `None`, and nothing is
/// compared. `whole_bytes` is the size of all tensors on the device. If the
/// decoder must be streamed, the offsets of its weights change to their positions on the device.
/// Returns `None` for a model that is no decoder.
///
/// # Errors
/// `out_of_device_memory` if even streaming does not fit, with the needed and the free bytes.
pub fn decide(
    runnable: &mut RunnableModel,
    device: Device,
    whole_bytes: u64,
    card: Option<Card>,
    decisions: &dyn LoadDecisions,
) -> Result<Option<Fit>> {
    if runnable.head.gives() != OutputKind::Logits {
        return Ok(None);
    }
    let tokens = runnable.config.longest.min(TOKENS);
    let multiplies_parts = card.is_some_and(|card| card.multiplies_parts);
    let (cache_bytes, workspace_bytes) = needed(runnable, tokens, multiplies_parts)?;
    let Some(body) = &mut runnable.parts.body else { return Ok(None) };
    let whole = MemoryPlan {
        mode: Residency::Whole,
        weights_bytes: used_bytes(body),
        device_bytes: whole_bytes,
        tokens: tokens as u64,
        cache_dtype: DType::F32,
        cache_bytes,
        workspace_bytes,
    };
    let Some(Card { free, .. }) = card else { return Ok(Some(Fit { plan: whole, layout: None })) };
    let fits = if whole.needed_bytes() <= free { Residency::Whole } else { Residency::Streamed };
    if decisions.residency(fits) == Residency::Whole {
        return Ok(Some(Fit { plan: whole, layout: None }));
    }
    let layout = lay_out(body);
    let plan = MemoryPlan { mode: Residency::Streamed, device_bytes: layout.bytes, ..whole };
    if plan.needed_bytes() > free {
        return Err(LoadError::out_of_device_memory(device, plan.needed_bytes(), free));
    }
    let layout = decisions.streamed(runnable, layout);
    Ok(Some(Fit { plan, layout: Some(layout) }))
}

/// Returns the bytes of the KV cache, and of everything else that running a sequence needs.
fn needed(runnable: &RunnableModel, tokens: usize, multiplies_parts: bool) -> Result<(u64, u64)> {
    let (config, body) = (&runnable.config, runnable.body()?);
    let extent = Extent {
        hidden: config.hidden,
        inner: config.inner,
        heads: config.heads,
        key_heads: config.key_heads,
        head_size: config.head_size,
        outputs: config.vocabulary,
        layers: body.layers.len(),
    };
    let product = |factors: &[usize]| {
        factors.iter().try_fold(1u64, |product, factor| product.checked_mul(*factor as u64))
    };
    let too_large = || LoadError::internal("sizes too large to plan for");
    let narrow = config.key_heads * config.head_size;
    let cache = product(&[2, body.layers.len(), tokens, narrow, 4]).ok_or_else(too_large)?;
    let own = Decoder::bytes_for(&extent, tokens).map_err(|_| too_large())?;
    // Per token: the states that the forward pass holds, and its id, mask and rotary angles.
    let wide = config.heads * config.head_size;
    let inner = config.inner * if body.gated { 3 } else { 1 };
    let token = 3 * config.hidden + 2 * wide + 2 * narrow + inner + config.head_size + 3;
    let states = product(&[tokens, token, 4]).ok_or_else(too_large)?;
    // Of the last token: its state before and behind the last norm, the result of its heads, its logits.
    let last = product(&[2 * config.hidden + wide + config.vocabulary, 4]).ok_or_else(too_large)?;
    let copies = body.layers.iter().map(|layer| {
        let most = |layers: &[Linear]| {
            let outputs = || layers.iter().map(Linear::outputs);
            let outputs = (outputs().sum(), outputs().max().unwrap_or(0));
            let first = layers.first();
            let (inner, turned) = first.map_or((0, false), |first| {
                let weight = &first.weight;
                let inner = if first.transposed { weight.rows } else { weight.columns };
                (inner, first.transposed)
            });
            let own = multiplies_parts && layers.iter().all(on_parts);
            Runner::linear_bytes(tokens, inner, outputs, (turned, own))
        };
        let joined = most(&layer.queries_keys_values).max(most(&layer.widen));
        joined.max(most(&[layer.join])).max(most(&[layer.narrow]))
    });
    let copies = copies.max().unwrap_or(0);
    // Products with weights of another type take no parts.
    let parts = match body.products().any(|layer| layer.weight.dtype == DType::BF16) {
        true => Runner::parts_bytes(tokens, &[config.hidden, wide, config.inner]),
        false => 0,
    };
    let tiles = match multiplies_parts {
        true => Runner::attention_bytes(tokens, config.key_heads, config.head_size),
        false => 0,
    };
    let workspace = [own.saturating_sub(cache), states, last, copies, parts, tiles, OVERHEAD];
    Ok((cache, workspace.iter().fold(0u64, |sum, part| sum.saturating_add(*part))))
}

/// Whether kernels of our own can multiply a layer's weight by parts as it is stored.
fn on_parts(layer: &Linear) -> bool {
    let Weight { offset, dtype, columns, .. } = layer.weight;
    !layer.transposed && element(dtype).is_some_and(|of| suits_parts(of, columns, offset))
}
