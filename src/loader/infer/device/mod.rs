//! The operations of a forward pass on a device. Each calls `gpu`'s runner, which checks every
//! range.

use super::RunnableModel;
use super::forward::Output;
use super::ops::{Activation, Linear, Norm, NormKind, Ops, View, Weight};
use crate::contract::{DType, Phase};
use crate::gpu::{
    ActivationParams, AttentionParams, DeviceWeight, Element, Floats, GpuError, LARGEST_HEAD,
    NormParams, Pool, Runner, Words,
};
use crate::loader::error::{LoadError, Result};

mod decode;

pub use self::decode::{DeviceSequence, forms};

use crate::loader::device::fault;
use crate::loader::memory::block::Block;

/// A runner together with one model's memory.
pub struct DeviceOps<'a> {
    runner: &'a mut Runner,
    model: &'a Block,
}

impl<'a> DeviceOps<'a> {
    /// Creates operations on a model's memory.
    pub fn new(runner: &'a mut Runner, model: &'a Block) -> Self {
        DeviceOps { runner, model }
    }

    /// Runs `work`, or replays the CUDA graph recorded for this batch shape: see
    /// [`Runner::repeat`].
    ///
    /// # Errors
    /// Those of `work`.
    pub fn repeat(
        &mut self,
        shape: (usize, usize),
        work: impl FnOnce(&mut DeviceOps<'_>) -> Result<Output<Floats>>,
    ) -> Result<Output<Floats>> {
        let model = self.model;
        let memory = model.buffer().ok_or_else(|| LoadError::internal("an empty model"))?;
        let failed = |error: &GpuError| fault(model.ordinal(), Phase::Infer, error);
        self.runner.repeat(shape, memory, failed, |runner| work(&mut DeviceOps { runner, model }))
    }

    fn stored(&self, weight: &Weight) -> Result<DeviceWeight<'a>> {
        stored(self.model, weight)
    }

    /// Weight and bias of a layer.
    fn layer(&self, layer: &Linear) -> Result<(DeviceWeight<'a>, Option<DeviceWeight<'a>>)> {
        let bias = layer.bias.as_ref().map(|bias| self.stored(bias)).transpose()?;
        Ok((self.stored(&layer.weight)?, bias))
    }

    fn failed(&self, error: &GpuError) -> LoadError {
        fault(self.model.ordinal(), Phase::Infer, error)
    }

    fn done<T>(&self, result: std::result::Result<T, GpuError>) -> Result<T> {
        result.map_err(|error| self.failed(&error))
    }
}

impl Ops for DeviceOps<'_> {
    type Buffer = Floats;
    type Indices = Words;

    fn enter(&mut self, layer: usize) -> Result<()> {
        let weights = self.model.weights();
        let weights = weights.ok_or_else(|| LoadError::internal("an empty model"))?;
        let brought = self.runner.enter(layer, weights);
        self.done(brought)
    }

    fn restart(&mut self) -> Result<()> {
        let done = self.runner.reset();
        self.done(done)
    }

    fn buffer(&mut self, values: usize) -> Result<Floats> {
        let made = self.runner.floats(values);
        self.done(made)
    }

    fn values(&mut self, values: &[f32]) -> Result<Floats> {
        let made = self.runner.upload(values);
        self.done(made)
    }

    fn refill(&mut self, values: &[f32], buffer: &mut Floats) -> Result<()> {
        let done = self.runner.refill(values, *buffer);
        self.done(done)
    }

    fn indices(&mut self, values: &[u32]) -> Result<Words> {
        let made = self.runner.words(values);
        self.done(made)
    }

    fn fetch(&mut self, buffer: &Floats, into: &mut [f32]) -> Result<()> {
        let done = self.runner.fetch(*buffer, into);
        self.done(done)
    }

    fn gather(&mut self, pairs: &[(&Words, Weight)], rows: usize, out: &mut Floats) -> Result<()> {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(words, table)| Ok((**words, self.stored(table)?)))
            .collect::<Result<_>>()?;
        let done = self.runner.gather(&pairs, rows, *out);
        self.done(done)
    }

    fn linear(
        &mut self,
        x: &Floats,
        rows: usize,
        layers: &[Linear],
        activation: Option<Activation>,
        out: &mut Floats,
    ) -> Result<()> {
        if let [layer] = layers
            && layer.transposed
        {
            let of = self.layer(layer)?;
            let activated = activation.map_or(ActivationParams::Plain, activated);
            let done = self.runner.linear_turned(*x, rows, of, activated, *out);
            return self.done(done);
        }
        if layers.iter().any(|layer| layer.transposed) {
            return Err(LoadError::internal("several layers stored as [in, out] at once"));
        }
        let layers: Vec<_> = layers.iter().map(|layer| self.layer(layer)).collect::<Result<_>>()?;
        let activated = activation.map_or(ActivationParams::Plain, activated);
        let done = self.runner.linear(*x, rows, &layers, activated, *out);
        self.done(done)
    }

    fn linear_gated(
        &mut self,
        x: &Floats,
        rows: usize,
        layers: &[Linear],
        (width, activation): (usize, Activation),
        (both, out): (&mut Floats, &mut Floats),
        reader: Option<&Linear>,
    ) -> Result<()> {
        if let Some([gate, up]) = gate_and_up(layers, width) {
            let pair = [self.layer(&gate)?, self.layer(&up)?];
            let reader = reader.filter(|reader| !reader.transposed);
            let reader = reader.map(|reader| self.layer(reader)).transpose()?;
            let activated = activated(activation);
            let done = self.runner.linear_gated(*x, rows, pair, activated, *out, reader);
            if self.done(done)? {
                return Ok(());
            }
        }
        self.linear(x, rows, layers, None, both)?;
        self.gated(both, rows, width, (0, width), activation, out)
    }

    fn gated(
        &mut self,
        both: &Floats,
        rows: usize,
        width: usize,
        gate_and_up: (usize, usize),
        activation: Activation,
        out: &mut Floats,
    ) -> Result<()> {
        let activated = activated(activation);
        let done = self.runner.gated(*both, rows, width, gate_and_up, activated, *out);
        self.done(done)
    }

    fn norm(
        &mut self,
        x: &mut Floats,
        residual: Option<&Floats>,
        rows: usize,
        norm: &Norm,
        (keep, readers): (bool, &[Linear]),
        out: &mut Floats,
    ) -> Result<()> {
        let normed = normed(self.model, norm)?;
        // A layer that is stored as [in, out] takes no parts.
        let readers = match readers.iter().any(|reader| reader.transposed) {
            true => &[],
            false => readers,
        };
        let readers: Vec<_> =
            readers.iter().map(|reader| self.layer(reader)).collect::<Result<_>>()?;
        let done = self.runner.norm(*x, residual.copied(), rows, normed, (keep, &readers), *out);
        self.done(done)
    }

    fn copy(&mut self, x: &Floats, values: usize, y: &mut Floats) -> Result<()> {
        let done = self.runner.copy(*x, values, *y);
        self.done(done)
    }

    fn add(&mut self, x: &mut Floats, y: &Floats, values: usize) -> Result<()> {
        let done = self.runner.add(*x, *y, values);
        self.done(done)
    }

    fn rotate(
        &mut self,
        x: &mut Floats,
        column_and_stride: (usize, usize),
        heads: usize,
        attention: &AttentionParams,
        turns: &Floats,
    ) -> Result<()> {
        let (column, stride) = column_and_stride;
        let done = self.runner.rotate((*x, column, stride), heads, *attention, *turns);
        self.done(done)
    }

    fn norm_heads(
        &mut self,
        x: &mut Floats,
        (column, stride): (usize, usize),
        rows: usize,
        heads: usize,
        norm: &Norm,
    ) -> Result<()> {
        let normed = normed(self.model, norm)?;
        let done = self.runner.norm_heads((*x, column, stride), rows, heads, normed);
        self.done(done)
    }

    fn keep(
        &mut self,
        from: (View<'_, Floats>, View<'_, Floats>),
        rows: usize,
        columns: usize,
        at: usize,
        into: (&mut Floats, &mut Floats),
    ) -> Result<()> {
        let views = [from.0, from.1].map(|view| (*view.buffer, view.column, view.stride));
        let done = self.runner.keep(views, rows, columns, at, [*into.0, *into.1]);
        self.done(done)
    }

    fn attend(
        &mut self,
        (attention, past): (&AttentionParams, usize),
        queries: View<'_, Floats>,
        keys: View<'_, Floats>,
        values: View<'_, Floats>,
        mask: &Words,
        out: &mut Floats,
    ) -> Result<()> {
        if past > 0 {
            return Err(LoadError::internal("only the decoder reads cached tokens"));
        }
        let [q, k, v] =
            [queries, keys, values].map(|view| (*view.buffer, view.column, view.stride));
        let done = self.runner.attend(*attention, q, k, v, *mask, *out);
        self.done(done)
    }

    fn pool(
        &mut self,
        pool: Pool,
        states: &Floats,
        shape: (usize, usize, usize),
        mask: &Words,
        out: &mut Floats,
    ) -> Result<()> {
        let done = self.runner.pool(pool, *states, shape, *mask, *out);
        self.done(done)
    }

    fn splade(
        &mut self,
        logits: &Floats,
        shape: (usize, usize, usize),
        mask: &Words,
        out: &mut Floats,
    ) -> Result<()> {
        let done = self.runner.splade(*logits, shape, *mask, *out);
        self.done(done)
    }

    fn normalize(&mut self, x: &mut Floats, rows: usize, width: usize) -> Result<()> {
        let done = self.runner.normalize(*x, rows, width);
        self.done(done)
    }

    fn blank(&mut self, x: &mut Floats, rows: usize, width: usize, mask: &Words) -> Result<()> {
        let done = self.runner.blank(*x, rows, width, *mask);
        self.done(done)
    }
}

/// The gate and the layer that it gates; `None` if they are stored as `[in, out]`.
fn gate_and_up(layers: &[Linear], width: usize) -> Option<[Linear; 2]> {
    if layers.iter().any(|layer| layer.transposed) {
        return None;
    }
    match layers {
        [gate, up] => Some([*gate, *up]),
        [both] => Some(both.halves(width)),
        _ => None,
    }
}

/// Describes a weight in device memory.
fn stored<'m>(model: &'m Block, weight: &Weight) -> Result<DeviceWeight<'m>> {
    let memory = model.buffer().ok_or_else(|| LoadError::internal("an empty model"))?;
    let element = element(weight.dtype);
    let element =
        element.ok_or_else(|| LoadError::internal(format!("no weights of {}", weight.dtype)))?;
    let Weight { offset, rows, columns, .. } = *weight;
    Ok(DeviceWeight { memory, offset, element, rows, columns })
}

/// Converts a dtype; `None` for a dtype that weights cannot have.
pub fn element(dtype: DType) -> Option<Element> {
    Some(match dtype {
        DType::F32 => Element::F32,
        DType::F16 => Element::F16,
        DType::BF16 => Element::BF16,
        _ => return None,
    })
}

/// Describes a norm in device memory.
fn normed<'m>(model: &'m Block, norm: &Norm) -> Result<NormParams<'m>> {
    Ok(NormParams {
        rms: norm.kind == NormKind::Rms,
        weight: stored(model, &norm.weight)?,
        bias: norm.bias.as_ref().map(|bias| stored(model, bias)).transpose()?,
        epsilon: norm.epsilon,
    })
}

/// Names the part of a model that has no kernel; `None` if the device can run it.
pub fn not_yet(runnable: &RunnableModel) -> Option<&'static str> {
    runnable.parts.body.as_ref()?;
    (runnable.config.head_size > LARGEST_HEAD).then_some("heads larger than 1,024")
}

fn activated(activation: Activation) -> ActivationParams {
    match activation {
        Activation::Gelu => ActivationParams::Gelu,
        Activation::GeluTanh => ActivationParams::GeluTanh,
        Activation::Silu => ActivationParams::Silu,
        Activation::Relu => ActivationParams::Relu,
    }
}

#[cfg(test)]
mod tests;
