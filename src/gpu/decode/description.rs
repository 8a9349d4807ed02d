//! Describes a decoder for its kernels: layers, sizes, and the weights on the device.

use super::shape::{LinearShape, NormShape};
use crate::gpu::forward::{ActivationParams, DeviceWeight, NormParams};

/// Steps of one CUDA graph. Few, so that few steps are wasted after the last token. Enough, so that
/// the cost of a graph launch does not matter.
pub const STEPS: usize = 8;

/// A linear layer of a model.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'m> {
    /// W, `[outputs, inner]`, or `[inner, outputs]` if `turned`.
    pub weight: DeviceWeight<'m>,
    /// b, one value per output.
    pub bias: Option<DeviceWeight<'m>>,
    /// Whether W is stored as `[inner, outputs]`.
    pub turned: bool,
}

impl Affine<'_> {
    /// Size of the output.
    pub fn outputs(&self) -> usize {
        if self.turned { self.weight.columns } else { self.weight.rows }
    }

    /// Size of the input.
    pub fn inner(&self) -> usize {
        if self.turned { self.weight.rows } else { self.weight.columns }
    }

    /// What of the layer decides its kernel.
    pub(super) fn shape(&self) -> LinearShape {
        LinearShape {
            element: self.weight.element,
            outputs: self.outputs(),
            inner: self.inner(),
            offset: self.weight.offset,
            bias: self.bias.map(|bias| bias.element),
            turned: self.turned,
        }
    }
}

/// What of a norm decides the kernel of the product behind it.
pub(super) fn norm_shape(norm: &NormParams<'_>) -> NormShape {
    let bias = norm.bias.map(|bias| bias.element);
    NormShape { rms: norm.rms, element: norm.weight.element, bias }
}

/// One layer of a decoder. Its norms come before attention and before the feed-forward part.
#[derive(Clone, Debug)]
pub struct DecoderLayer<'m> {
    /// The norm before attention.
    pub attention_norm: NormParams<'m>,
    /// The query, key and value projections. Their outputs lie side by side.
    pub three: Vec<Affine<'m>>,
    /// Norms over each query head, and over each key head.
    pub head_norms: Option<(NormParams<'m>, NormParams<'m>)>,
    /// The output projection of attention.
    pub join: Affine<'m>,
    /// The norm before the feed-forward part.
    pub forward_norm: NormParams<'m>,
    /// The first product of the feed-forward part. With a gate: the gate and up layers, in this
    /// order, or one layer that holds both.
    pub widen: Vec<Affine<'m>>,
    /// The last layer of the feed-forward part.
    pub narrow: Affine<'m>,
}

/// A decoder, described for the kernels. Sizes in elements.
#[derive(Clone, Debug)]
pub struct Decoding<'m> {
    /// Width of a token's state.
    pub hidden: usize,
    /// Width of the feed-forward part.
    pub inner: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub key_heads: usize,
    /// Size of a head, at most [`LARGEST_HEAD`](crate::gpu::LARGEST_HEAD).
    pub head_size: usize,
    /// Factor of each score before the softmax.
    pub scale: f32,
    /// How many tokens a token sees, itself included. `None`: itself and all before it.
    pub window: Option<usize>,
    /// Whether rotary positions rotate neighbours (2j, 2j + 1), not elements half a head apart.
    pub neighbours: bool,
    /// The first column of the keys, and of the values, in the output of `three`.
    pub columns: (usize, usize),
    /// Whether the feed-forward part has a gate.
    pub gated: bool,
    /// The activation of the feed-forward part.
    pub activated: ActivationParams,
    /// Word embeddings.
    pub words: DeviceWeight<'m>,
    /// Position embeddings.
    pub positions: Option<DeviceWeight<'m>>,
    /// The layers.
    pub layers: Vec<DecoderLayer<'m>>,
    /// The norm after the last layer.
    pub last: Option<NormParams<'m>>,
    /// The output head, from `hidden` to the vocabulary.
    pub head: Affine<'m>,
}

/// The sizes of a decoder that determine its own device memory, in elements.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Width of a token's state.
    pub hidden: usize,
    /// Width of the feed-forward part.
    pub inner: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub key_heads: usize,
    /// Size of a head.
    pub head_size: usize,
    /// Outputs of the head: the size of the vocabulary.
    pub outputs: usize,
    /// Layers.
    pub layers: usize,
}

impl Decoding<'_> {
    pub(super) fn extent(&self) -> Extent {
        Extent {
            hidden: self.hidden,
            inner: self.inner,
            heads: self.heads,
            key_heads: self.key_heads,
            head_size: self.head_size,
            outputs: self.head.outputs(),
            layers: self.layers.len(),
        }
    }
}
