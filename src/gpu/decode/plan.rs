//! Plans a decoder step: all kernel launches and their arguments, computed once per decoder.

use std::ffi::c_void;

use crate::gpu::driver::error::GpuError;
use crate::gpu::driver::stream::Stream;
use crate::gpu::forward::{ActivationParams, DeviceWeight, NormParams};
use crate::gpu::kernel::Kernel;

use super::description::{Affine, Decoding, norm_shape};
use super::forms::DecoderKernels;
use super::shape::{HeadShape, Shape, together};
use super::state::{CHOOSERS, State};
use super::values::{Entry, Mixing, Product, Value};

/// Threads of a block.
const THREADS: u32 = 256;
/// Threads of a block of `choose_token`.
const CHOOSING: u32 = 1024;
/// Threads of a block of a product whose weight is stored as `[inner, outputs]`.
const TURNED: u32 = 512;
/// Dynamic shared memory that a kernel may use without a call of `allow_shared`, in bytes. Variables in shared memory count
/// too: together they may take 48 KiB.
const FREE_SHARED: u32 = 40 << 10;

/// A planned kernel launch.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    /// The layer, if this is the first kernel that reads the layer's weights.
    pub(super) layer: Option<usize>,
    kernel: Kernel,
    grid: [u32; 3],
    threads: u32,
    shared: u32,
    values: Vec<Value>,
}

impl Queued {
    /// Sets over how many blocks attention divides a head's keys. Other kernels stay as they are.
    pub(super) fn divide(&mut self, splits: u32) {
        for value in &mut self.values {
            if let Value::Mixing(mixing) = value {
                (mixing.splits, self.grid[1]) = (splits, splits);
            }
        }
    }

    /// Queues the kernel. With `early`, it may begin before the previous kernel has ended.
    ///
    /// # Safety
    ///
    /// Every address in the arguments must be live until the kernel has ended.
    pub(super) unsafe fn queue(&self, stream: &Stream, early: bool) -> Result<(), GpuError> {
        let mut values = self.values.clone();
        let mut pointers: Vec<*mut c_void> = values.iter_mut().map(Value::pointer).collect();
        // SAFETY: the values match the kernel's parameters, in their order; the caller vouches for
        // the addresses.
        unsafe {
            self.kernel.launch_behind(
                stream,
                self.grid,
                self.threads,
                self.shared,
                &mut pointers,
                early,
            )
        }
    }
}

/// What is done before and behind a product.
#[derive(Clone, Copy)]
struct Around<'n, 'm> {
    norm: Option<&'n NormParams<'m>>,
    activated: ActivationParams,
    /// Whether the first of two layers is the gate of the second.
    gated: bool,
    /// Whether the result is added to what is there.
    adds: bool,
}

impl Around<'_, '_> {
    const NOTHING: Self =
        Around { norm: None, activated: ActivationParams::Plain, gated: false, adds: false };
}

/// The inputs of a plan.
pub(super) struct Planner<'a, 'm> {
    pub(super) of: &'a Decoding<'m>,
    pub(super) forms: &'a DecoderKernels,
    pub(super) state: &'a State,
    pub(super) longest: u32,
    pub(super) rotary: bool,
}

impl Planner<'_, '_> {
    /// The launches of one step, from the token to the logits.
    pub(super) fn step(&self) -> Result<Vec<Queued>, GpuError> {
        let (of, state) = (self.of, self.state);
        let entry = Entry {
            words: of.words.address()?,
            positions: of.positions.map_or(Ok(0), |table| table.address())?,
            word_element: of.words.element as u32,
            position_element: of.positions.map_or(0, |table| table.element as u32),
            width: word(of.hidden)?,
            vocabulary: word(of.words.rows)?,
            // A graph runs steps after the last token. They must not read past the position table.
            longest: of.positions.map_or(Ok(self.longest), |table| word(table.rows))?,
        };
        let mut all = vec![Queued {
            layer: None,
            kernel: self.forms.enter.clone(),
            grid: [word(of.hidden.div_ceil(THREADS as usize))?, 1, 1],
            threads: THREADS,
            shared: 0,
            values: vec![
                Value::Entry(entry),
                Value::Address(state.token),
                Value::Address(state.position),
                Value::Address(state.x),
            ],
        }];
        for (n, (layer, cache)) in of.layers.iter().zip(&state.caches).enumerate() {
            let first = all.len();
            let around = Around { norm: Some(&layer.attention_norm), ..Around::NOTHING };
            self.products(&layer.three, around, (state.x, state.three), &mut all)?;
            if let Some(first) = all.get_mut(first) {
                first.layer = Some(n);
            }
            all.push(self.mixing(layer.head_norms.as_ref(), *cache)?);
            all.push(self.adding(&layer.join, state.mixed)?);
            let (norm, activated) = (Some(&layer.forward_norm), of.activated);
            let around = Around { norm, activated, ..Around::NOTHING };
            match of.gated {
                true => all.push(self.gated(&layer.widen, around)?),
                false => self.products(&layer.widen, around, (state.x, state.inner), &mut all)?,
            }
            all.push(self.adding(&layer.narrow, state.inner)?);
        }
        let around = Around { norm: of.last.as_ref(), ..Around::NOTHING };
        self.products(&[of.head], around, (state.x, state.logits), &mut all)?;
        Ok(all)
    }

    /// The launch that chooses the next token; at most `most` tokens are stored for the host.
    pub(super) fn choose(&self, most: u32) -> Result<Queued, GpuError> {
        let state = self.state;
        Ok(Queued {
            layer: None,
            kernel: self.forms.choose.clone(),
            grid: [CHOOSERS, 1, 1],
            threads: CHOOSING,
            shared: 0,
            values: vec![
                Value::Address(state.logits),
                Value::Word(word(self.of.head.outputs())?),
                Value::Address(state.best),
                Value::Address(state.places),
                Value::Address(state.done + 4 * self.of.heads as u64),
                Value::Address(state.token),
                Value::Address(state.position),
                Value::Address(state.kept),
                Value::Word(most),
            ],
        })
    }

    fn mixing(
        &self,
        norms: Option<&(NormParams<'_>, NormParams<'_>)>,
        (keys, values): (u64, u64),
    ) -> Result<Queued, GpuError> {
        let (of, state) = (self.of, self.state);
        let norm = |norm: Option<&NormParams<'_>>| -> Result<u64, GpuError> {
            match norm {
                None => Ok(0),
                Some(norm) if norm.rms && norm.bias.is_none() => norm.weight.address(),
                Some(_) => Err(GpuError::refused("decoder", "head norms must be RMS without bias")),
            }
        };
        let elements = |(query, key): &(NormParams<'_>, NormParams<'_>)| {
            (query.weight.element, key.weight.element)
        };
        let heads = HeadShape {
            group: of.heads / of.key_heads,
            size: of.head_size,
            windowed: of.window.is_some(),
            rotary: self.rotary,
            neighbours: of.neighbours,
            norms: norms.map(elements),
        };
        if heads != self.forms.heads {
            return Err(GpuError::refused("decoder", "the kernels were compiled for other heads"));
        }
        // For the first token; the division follows the number of tokens.
        let splits = state.blocks_for(1, self.forms.least_keys(state.together));
        let mixing = Mixing {
            turns: if self.rotary { state.turns } else { 0 },
            query_norm: norm(norms.map(|(query, _)| query))?,
            key_norm: norm(norms.map(|(_, key)| key))?,
            epsilon: norms.map_or(0.0, |(query, _)| query.epsilon),
            scale: of.scale,
            key_heads: word(of.key_heads)?,
            keys_at: word(of.columns.0)?,
            values_at: word(of.columns.1)?,
            window: word(of.window.unwrap_or(0))?,
            splits,
            longest: self.longest,
        };
        let (kernel, shared) = self.forms.mix(state.together);
        let shared = word(shared)?;
        kernel.allow_shared(shared)?;
        Ok(Queued {
            layer: None,
            kernel: kernel.clone(),
            grid: [word(of.heads / state.together)?, splits, 1],
            threads: THREADS,
            shared,
            values: vec![
                Value::Mixing(mixing),
                Value::Address(state.three),
                Value::Address(keys),
                Value::Address(values),
                Value::Address(state.position),
                Value::Address(state.partial),
                Value::Address(state.done),
                Value::Address(state.mixed),
            ],
        })
    }

    /// Adds the products of layers over the same input. Their results lie side by side.
    fn products(
        &self,
        layers: &[Affine<'_>],
        around: Around<'_, '_>,
        (from, to): (u64, u64),
        all: &mut Vec<Queued>,
    ) -> Result<(), GpuError> {
        let shapes: Vec<_> = layers.iter().map(Affine::shape).collect();
        let mut column = 0;
        for part in together(&shapes) {
            let part = &layers[part];
            all.push(self.product(part, around, (from, to + column * 4))?);
            column += part.iter().map(|layer| layer.outputs() as u64).sum::<u64>();
        }
        Ok(())
    }

    /// A layer whose result is added to the token's state.
    fn adding(&self, layer: &Affine<'_>, from: u64) -> Result<Queued, GpuError> {
        let around = Around { adds: true, ..Around::NOTHING };
        self.product(std::slice::from_ref(layer), around, (from, self.state.x))
    }

    /// The product of the gate and up layers, which are stored as two matrices or as one.
    fn gated(&self, layers: &[Affine<'_>], around: Around<'_, '_>) -> Result<Queued, GpuError> {
        let halves: Vec<Affine<'_>> = match layers {
            [both] => halves(both)?.into(),
            [gate, up] => vec![*gate, *up],
            _ => return Err(GpuError::refused("decoder", "a gate needs one or two layers")),
        };
        let same = |stored: &DeviceWeight<'_>| (stored.element as u32, stored.rows, stored.columns);
        let [gate, up] = halves.as_slice() else {
            return Err(GpuError::refused("decoder", "a gate needs two halves"));
        };
        let biases =
            gate.bias.map(|bias| bias.element as u32) == up.bias.map(|bias| bias.element as u32);
        if gate.turned || up.turned || same(&gate.weight) != same(&up.weight) || !biases {
            return Err(GpuError::refused(
                "decoder",
                "gate and up differ in shape or type, or one is [inner, outputs]",
            ));
        }
        let places = (self.state.x, self.state.inner);
        self.product(&halves, Around { gated: true, ..around }, places)
    }

    fn product(
        &self,
        layers: &[Affine<'_>],
        around: Around<'_, '_>,
        (from, to): (u64, u64),
    ) -> Result<Queued, GpuError> {
        let Around { norm, activated, gated, adds } = around;
        let mut product = described(layers, norm)?;
        (product.activation, product.add) = (activated as u32, u32::from(adds));
        let Some(first) = layers.first() else {
            return Err(GpuError::refused("decoder", "no layer"));
        };
        let shapes: Vec<_> = layers.iter().map(Affine::shape).collect();
        let (kernel, blocks, threads, shared) =
            match Shape::of(&shapes, gated, norm.map(norm_shape), activated) {
                None => {
                    (&self.forms.turned, first.outputs().div_ceil(32), TURNED, first.inner() * 4)
                }
                Some(shape) => {
                    let (kernel, divided) = self.forms.product(shape)?;
                    let threads = word(32 * divided.warps)?;
                    (kernel, divided.blocks, threads, shape.shared_bytes(divided))
                }
            };
        let shared = word(shared)?;
        if shared > FREE_SHARED {
            kernel.allow_shared(shared)?;
        }
        Ok(Queued {
            layer: None,
            kernel: kernel.clone(),
            grid: [word(blocks)?, 1, 1],
            threads,
            shared,
            values: vec![Value::Product(product), Value::Address(from), Value::Address(to)],
        })
    }
}

/// The kernel's argument for up to three layers over one input.
fn described(layers: &[Affine<'_>], norm: Option<&NormParams<'_>>) -> Result<Product, GpuError> {
    let mut product = Product::default();
    for (at, layer) in layers.iter().enumerate().take(3) {
        let outputs = layer.outputs();
        if layers.first().is_some_and(|first| first.inner() != layer.inner()) {
            return Err(GpuError::refused(
                "decoder",
                "layers over one input have different widths",
            ));
        }
        if layer.bias.is_some_and(|bias| bias.rows * bias.columns != outputs) {
            return Err(GpuError::refused("decoder", "a bias has another length than its layer"));
        }
        product.weight[at] = layer.weight.address()?;
        product.weight_element = layer.weight.element as u32;
        product.outputs[at] = word(outputs)?;
        product.inner = word(layer.inner())?;
        if let Some(bias) = layer.bias {
            product.bias[at] = bias.address()?;
            product.bias_element = bias.element as u32;
        }
    }
    if let Some(norm) = norm {
        if norm.weight.rows * norm.weight.columns != product.inner as usize {
            return Err(GpuError::refused("decoder", "a norm has another width than its input"));
        }
        product.norm = norm.weight.address()?;
        product.norm_element = norm.weight.element as u32;
        product.norm_kind = if norm.rms { 2 } else { 1 };
        product.epsilon = norm.epsilon;
        if let Some(bias) = norm.bias {
            product.norm_bias = bias.address()?;
            product.norm_bias_element = bias.element as u32;
        }
    }
    Ok(product)
}

/// Splits a layer that holds gate and up, one after the other, into two layers.
fn halves<'m>(both: &Affine<'m>) -> Result<[Affine<'m>; 2], GpuError> {
    let half = both.outputs() / 2;
    if both.turned || both.outputs() != 2 * half {
        return Err(GpuError::refused("decoder", "the gate and up matrix cannot be split"));
    }
    let width = |stored: &DeviceWeight<'_>| stored.element.bytes() as u64;
    let part = |number: usize| {
        let rows = (number * half) as u64;
        let weight = DeviceWeight {
            offset: both.weight.offset + rows * both.weight.columns as u64 * width(&both.weight),
            rows: half,
            ..both.weight
        };
        let bias = both.bias.map(|bias| DeviceWeight {
            offset: bias.offset + rows * width(&bias),
            rows: 1,
            columns: half,
            ..bias
        });
        Affine { weight, bias, turned: false }
    };
    Ok([part(0), part(1)])
}

fn word(size: usize) -> Result<u32, GpuError> {
    u32::try_from(size).map_err(|_| GpuError::refused("size", format!("too large: {size}")))
}
