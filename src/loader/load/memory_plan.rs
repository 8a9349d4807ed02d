//! The memory that a decoder will take, and from that whether it is held whole, is streamed, or does
//! not fit. All of it is known from the configuration and the tables of the files.
//!
//! Nothing says how long sequences will be. The plan has room for one of [`TOKENS`], or of the model's
//! longest where that is shorter; a longer one takes more, and is refused if that is not there when it
//! comes. Encoders have no plan: their activations depend on the batch, and they are never streamed.

use crate::contract::inference::OutputKind;
use crate::contract::plan::{MemoryPlan, Residency};
use crate::contract::{DType, Device};
use crate::gpu::{Decoder, Extent, Runner};
use crate::loader::decisions::Steps;
use crate::loader::error::{LoadError, Result};

use crate::loader::infer::RunnableModel;
use crate::loader::infer::residence::{Layout, used_bytes};

/// Tokens of a sequence that a plan has room for: a long conversation, and little memory beside the
/// weights of most models. A model's longest input may be a hundred times that.
pub const TOKENS: usize = 4096;

/// What compiled kernels and the vendor's library take, and what allocations are rounded up by.
pub(crate) const OVERHEAD: u64 = 128 << 20;

/// A plan that was found to fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The plan.
    pub plan: MemoryPlan,
    /// Where weights go that do not all fit.
    pub layout: Option<Layout>,
}

/// Plans a decoder's memory on a device with so many free bytes; on the host nothing is compared. A
/// decoder that has to be streamed has its weights moved to their places on the device. `whole_bytes`
/// is what all tensors take there.
///
/// # Errors
/// `out_of_device_memory` where not even streaming fits, with what that needs and what is there.
pub fn decide(
    runnable: &mut RunnableModel,
    device: Device,
    whole_bytes: u64,
    free: Option<u64>,
    steps: &dyn Steps,
) -> Result<Option<Planned>> {
    if runnable.head.gives() != OutputKind::Logits {
        return Ok(None);
    }
    let tokens = runnable.config.longest.min(TOKENS);
    let (cache_bytes, workspace_bytes) = needed(runnable, tokens)?;
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
    let Some(free) = free else { return Ok(Some(Planned { plan: whole, layout: None })) };
    let fits = if whole.needed_bytes() <= free { Residency::Whole } else { Residency::Streamed };
    if steps.residency(fits) == Residency::Whole {
        return Ok(Some(Planned { plan: whole, layout: None }));
    }
    let layout = Layout::of(body);
    let plan = MemoryPlan { mode: Residency::Streamed, device_bytes: layout.bytes, ..whole };
    if plan.needed_bytes() > free {
        return Err(LoadError::out_of_device_memory(device, plan.needed_bytes(), free));
    }
    let layout = steps.streamed(runnable, layout);
    Ok(Some(Planned { plan, layout: Some(layout) }))
}

/// Bytes of keys and values, and of everything else that running a sequence takes.
fn needed(runnable: &RunnableModel, tokens: usize) -> Result<(u64, u64)> {
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
    // The states of every token, as the forward pass holds them, and its ids, mask and turns.
    let wide = config.heads * config.head_size;
    let inner = config.inner * if body.gated { 3 } else { 1 };
    let token = 3 * config.hidden + 2 * wide + 2 * narrow + inner + config.head_size + 3;
    let states = product(&[tokens, token, 4]).ok_or_else(too_large)?;
    let last = product(&[2 * config.hidden + config.vocabulary, 4]).ok_or_else(too_large)?;
    let copies = body.layers.iter().map(|layer| {
        let most = |layers: &[crate::loader::infer::ops::Linear]| {
            let outputs = || layers.iter().map(crate::loader::infer::ops::Linear::outputs);
            let outputs = (outputs().sum(), outputs().max().unwrap_or(0));
            let first = layers.first();
            let (inner, turned) = first.map_or((0, false), |first| {
                let weight = &first.weight;
                let inner = if first.transposed { weight.rows } else { weight.columns };
                (inner, first.transposed)
            });
            Runner::linear_bytes(tokens, inner, outputs, turned)
        };
        let joined = most(&layer.queries_keys_values).max(most(&layer.widen));
        joined.max(most(&[layer.join])).max(most(&[layer.narrow]))
    });
    let copies = copies.max().unwrap_or(0);
    let workspace = [own.saturating_sub(cache), states, last, copies, OVERHEAD];
    Ok((cache, workspace.iter().fold(0u64, |sum, part| sum.saturating_add(*part))))
}
