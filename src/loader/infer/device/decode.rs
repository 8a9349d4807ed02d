//! Generation on a device. The runner's operations prefill the prompt; the decoder's kernels
//! decode.

use crate::contract::Phase;
use crate::gpu::{
    ActivationParams, Affine, Decoder, DecoderForms, DecoderLayer, Decoding, Element, Floats,
    HeadShape, LinearShape, NO_TOKEN, NormShape, Runner, STEPS, Weights,
};
use crate::loader::error::{LoadError, Result};
use crate::loader::infer::RunnableModel;
use crate::loader::infer::body::Layer;
use crate::loader::infer::forward::{self, Cache};
use crate::loader::infer::generate::{Sequence, Watch, one_by_one};
use crate::loader::infer::ops::{Linear, Norm, NormKind, Ops, Weight};
use crate::loader::infer::sample::{most_likely, not_finite};

use super::{DeviceOps, activated, element, normed, stored};
use crate::loader::device::{Gpus, fault};
use crate::loader::memory::block::Block;

/// One sequence of a model on a device.
pub struct DeviceSequence<'a> {
    runnable: &'a RunnableModel,
    runner: &'a mut Runner,
    decoder: &'a mut Decoder,
    block: &'a Block,
    cache: Cache<Floats>,
    caches: bool,
    ids: Vec<u32>,
}

impl<'a> DeviceSequence<'a> {
    /// Creates a sequence with room for `room` tokens. Reuses `decoder` if it fits, else makes a
    /// new one and keeps it there.
    ///
    /// # Errors
    /// `out_of_device_memory`, `device_fault`.
    pub fn new(
        runnable: &'a RunnableModel,
        (runner, gpus): (&'a mut Runner, &mut Gpus),
        decoder: &'a mut Option<Decoder>,
        block: &'a Block,
        room: usize,
        caches: bool,
    ) -> Result<Self> {
        let memory = weights(block)?.memory;
        if decoder.as_ref().is_none_or(|made| !made.serves(memory, room)) {
            // Free the old decoder first: both may not fit in memory.
            *decoder = None;
            // Round up, so that a slightly longer prompt can use the same decoder.
            let room = room.next_multiple_of(256).min(runnable.config.longest).max(room);
            let of = described(runnable, block)?;
            let turns = match &runnable.config.rotary {
                None => Vec::new(),
                Some(rotary) => forward::turns(runnable, rotary, 0..room + STEPS),
            };
            let wanted = forms(runnable).ok_or_else(|| LoadError::internal("no decoder"))?;
            let kernels = gpus.decoder(block.ordinal(), &wanted)?;
            let made = Decoder::new(runner, &kernels, &of, room, &turns);
            *decoder = Some(made.map_err(|error| fault(block.ordinal(), Phase::Infer, &error))?);
        }
        let decoder = decoder.as_mut().ok_or_else(|| LoadError::internal("no decoder was made"))?;
        let width = runnable.config.key_heads * runnable.config.head_size;
        let cache = Cache { layers: decoder.caches(width), room, tokens: 0 };
        Ok(DeviceSequence { runnable, runner, decoder, block, cache, caches, ids: Vec::new() })
    }

    fn done<T>(&self, result: std::result::Result<T, crate::gpu::GpuError>) -> Result<T> {
        result.map_err(|error| fault(self.block.ordinal(), Phase::Infer, &error))
    }

    /// Prefills a prompt and keeps its keys and values.
    fn read(&mut self, ids: &[u32]) -> Result<()> {
        let reset = self.runner.reset();
        self.done(reset)?;
        // Before the prompt is queued: then nothing waits for the host between its last kernel and the first token.
        let placed = self.decoder.place(self.cache.tokens + ids.len());
        self.done(placed)?;
        let mut ops = DeviceOps::new(self.runner, self.block);
        let logits = forward::extend(self.runnable, ids, &mut self.cache, &mut ops)?;
        let count = self.runnable.config.vocabulary;
        let mut own = self.decoder.logits(count);
        ops.copy(&logits, count, &mut own)
    }
}

impl Sequence for DeviceSequence<'_> {
    fn extend(&mut self, ids: &[u32]) -> Result<()> {
        self.ids.extend_from_slice(ids);
        if !self.caches {
            self.cache.tokens = 0;
            let all = self.ids.clone();
            return self.read(&all);
        }
        if self.cache.tokens == 0 {
            return self.read(ids);
        }
        let weights = weights(self.block)?;
        for id in ids {
            let fed = self.decoder.feed(weights, *id, self.cache.tokens);
            self.done(fed)?;
            self.cache.tokens += 1;
        }
        Ok(())
    }

    fn logits(&mut self) -> Result<Vec<f32>> {
        let mut values = vec![0.0; self.runnable.config.vocabulary];
        let fetched = self.runner.fetch(self.decoder.logits(values.len()), &mut values);
        self.done(fetched)?;
        Ok(values)
    }

    fn follow(&mut self, most: usize, watch: &mut Watch<'_>) -> Result<()> {
        if !self.caches {
            return one_by_one(self, most, &mut most_likely, watch);
        }
        let weights = weights(self.block)?;
        let ordinal = self.block.ordinal();
        let mut told = |token: u32| match token {
            NO_TOKEN => Err(not_finite("NaN or infinity".to_owned())),
            token => watch(token, None),
        };
        let failed = |error: &_| fault(ordinal, Phase::Infer, error);
        let count = self.decoder.follow(weights, most, failed, &mut told)?;
        // All tokens but the last have run.
        self.cache.tokens += count.saturating_sub(1);
        Ok(())
    }
}

/// Returns the kernel forms that a decoder needs; `None` for a model that is no decoder.
pub fn forms(runnable: &RunnableModel) -> Option<DecoderForms> {
    let (config, body) = (&runnable.config, runnable.parts.body.as_ref()?);
    let head = body.language.as_ref()?;
    let norms = match body.layers.first().and_then(|layer| layer.head_norms.as_ref()) {
        None => None,
        Some((query, key)) => Some((element(query.weight.dtype)?, element(key.weight.dtype)?)),
    };
    let mut forms = DecoderForms::new(HeadShape {
        group: config.heads / config.key_heads,
        size: config.head_size,
        windowed: config.window.is_some(),
        rotary: config.rotary.is_some(),
        neighbours: body.neighbours,
        norms,
    });
    let all = |layers: &[Linear]| layers.iter().map(shape).collect::<Option<Vec<_>>>();
    let plain = ActivationParams::Plain;
    let activated = activated(config.activation);
    for layer in &body.layers {
        let norm = norm_shape(&layer.forward_norm)?;
        forms.add(
            &all(&layer.queries_keys_values)?,
            Some(norm_shape(&layer.attention_norm)?),
            plain,
        );
        match body.gated {
            true => forms.add_gated(&all(&layer.widen)?, norm, activated),
            false => forms.add(&all(&layer.widen)?, Some(norm), activated),
        }
        forms.add(&[shape(&layer.join)?], None, plain);
        forms.add(&[shape(&layer.narrow)?], None, plain);
    }
    let last = match &body.last {
        None => None,
        Some(norm) => Some(norm_shape(norm)?),
    };
    forms.add(&[shape(head)?], last, plain);
    Some(forms)
}

/// What of a linear layer decides its kernel.
fn shape(layer: &Linear) -> Option<LinearShape> {
    let (weight, turned) = (&layer.weight, layer.transposed);
    let (rows, columns) = (weight.rows, weight.columns);
    let (outputs, inner) = if turned { (columns, rows) } else { (rows, columns) };
    let bias = stored_bias(layer.bias.as_ref())?;
    Some(LinearShape {
        element: element(weight.dtype)?,
        outputs,
        inner,
        offset: weight.offset,
        bias,
        turned,
    })
}

/// What of a norm decides the kernel of the product behind it.
fn norm_shape(norm: &Norm) -> Option<NormShape> {
    let (rms, bias) = (norm.kind == NormKind::Rms, stored_bias(norm.bias.as_ref())?);
    Some(NormShape { rms, element: element(norm.weight.dtype)?, bias })
}

/// The element type of a bias, if there is one. `None` for one that kernels do not read.
fn stored_bias(bias: Option<&Weight>) -> Option<Option<Element>> {
    bias.map_or(Some(None), |bias| element(bias.dtype).map(Some))
}

fn weights(block: &Block) -> Result<Weights<'_>> {
    block.weights().ok_or_else(|| LoadError::internal("an empty model"))
}

/// Describes the model to the decoder's kernels.
fn described<'m>(runnable: &RunnableModel, block: &'m Block) -> Result<Decoding<'m>> {
    let (config, body) = (&runnable.config, runnable.body()?);
    let affine = |layer: &Linear| -> Result<Affine<'m>> {
        Ok(Affine {
            weight: stored(block, &layer.weight)?,
            bias: layer.bias.as_ref().map(|bias| stored(block, bias)).transpose()?,
            turned: layer.transposed,
        })
    };
    let all = |layers: &[Linear]| layers.iter().map(affine).collect::<Result<Vec<_>>>();
    let layer = |layer: &Layer| -> Result<DecoderLayer<'m>> {
        let head_norms = match &layer.head_norms {
            None => None,
            Some((query, key)) => Some((normed(block, query)?, normed(block, key)?)),
        };
        Ok(DecoderLayer {
            attention_norm: normed(block, &layer.attention_norm)?,
            three: all(&layer.queries_keys_values)?,
            head_norms,
            join: affine(&layer.join)?,
            forward_norm: normed(block, &layer.forward_norm)?,
            widen: all(&layer.widen)?,
            narrow: affine(&layer.narrow)?,
        })
    };
    let head = body.language.as_ref().ok_or_else(|| LoadError::internal("no head"))?;
    Ok(Decoding {
        hidden: config.hidden,
        inner: config.inner,
        heads: config.heads,
        key_heads: config.key_heads,
        head_size: config.head_size,
        scale: 1.0 / (config.head_size as f32).sqrt(),
        window: config.window,
        neighbours: body.neighbours,
        columns: body.columns,
        gated: body.gated,
        activated: activated(config.activation),
        words: stored(block, &body.words)?,
        positions: body.positions.as_ref().map(|table| stored(block, table)).transpose()?,
        layers: body.layers.iter().map(layer).collect::<Result<_>>()?,
        last: body.last.as_ref().map(|norm| normed(block, norm)).transpose()?,
        head: affine(head)?,
    })
}
