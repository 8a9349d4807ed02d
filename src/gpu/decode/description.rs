//! A decoder as its kernels need to know it: layers, sizes, and the weights on the device.

use crate::gpu::forward::{ActivationParams, DeviceWeight, NormParams};

/// Steps of one graph: few, so that little is done in vain behind the last token; and enough that
/// starting a graph costs nothing.
pub const STEPS: usize = 8;

/// A linear layer of a model.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'m> {
    /// W, `[outputs, inner]`, or `[inner, outputs]` where it is turned.
    pub weight: DeviceWeight<'m>,
    /// b, of as many values as there are outputs.
    pub bias: Option<DeviceWeight<'m>>,
    /// Whether W is stored as `[inner, outputs]`.
    pub turned: bool,
}

impl Affine<'_> {
    /// How many values it gives.
    pub fn outputs(&self) -> usize {
        if self.turned { self.weight.columns } else { self.weight.rows }
    }

    /// How many it takes.
    pub fn inner(&self) -> usize {
        if self.turned { self.weight.rows } else { self.weight.columns }
    }
}

/// One layer of a decoder whose norms stand before its parts.
#[derive(Clone, Debug)]
pub struct DecoderLayer<'m> {
    /// Before attention.
    pub attention_norm: NormParams<'m>,
    /// Queries, keys and values, side by side.
    pub three: Vec<Affine<'m>>,
    /// Norms over the heads of queries, and of keys.
    pub head_norms: Option<(NormParams<'m>, NormParams<'m>)>,
    /// What joins the heads.
    pub join: Affine<'m>,
    /// Before the feed-forward part.
    pub forward_norm: NormParams<'m>,
    /// Into it: one layer; or the gate and the other one, or both as one.
    pub widen: Vec<Affine<'m>>,
    /// Out of it.
    pub narrow: Affine<'m>,
}

/// A decoder as the kernels need to know it. Sizes in elements.
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
    /// Size of a head, at most 128.
    pub head_size: usize,
    /// Factor of a score.
    pub scale: f32,
    /// How many tokens a token sees, itself among them, where not all before it.
    pub window: Option<usize>,
    /// Whether rotary positions turn neighbours.
    pub neighbours: bool,
    /// Where keys and values begin among the columns of the three.
    pub columns: (usize, usize),
    /// Whether the feed-forward part has a gate.
    pub gated: bool,
    /// Its activation.
    pub activated: ActivationParams,
    /// Word embeddings.
    pub words: DeviceWeight<'m>,
    /// Position embeddings.
    pub positions: Option<DeviceWeight<'m>>,
    /// The layers.
    pub layers: Vec<DecoderLayer<'m>>,
    /// The norm behind the last one.
    pub last: Option<NormParams<'m>>,
    /// To the vocabulary.
    pub head: Affine<'m>,
}

/// How large a decoder is: what its own memory depends on. Sizes in elements.
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
    /// Values that the head gives.
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
