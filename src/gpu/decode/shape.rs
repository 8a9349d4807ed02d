//! The shapes of a decoder's products. A kernel is compiled for each of them.

use std::ops::Range;

use crate::gpu::forward::ActivationParams;
use crate::gpu::kernel::tensor_scan::Element;

/// Layers over one input that a kernel multiplies at most.
const LAYERS: usize = 3;

/// What of a linear layer decides its kernel. It is known before any weight is loaded.
#[derive(Clone, Copy, Debug)]
pub struct LinearShape {
    /// Element type of the weight.
    pub element: Element,
    /// Size of the output.
    pub outputs: usize,
    /// Size of the input.
    pub inner: usize,
    /// Offset of the weight in an allocation that is aligned to 256 bytes, in bytes.
    pub offset: u64,
    /// Element type of the bias.
    pub bias: Option<Element>,
    /// Whether the weight is stored as `[inner, outputs]`.
    pub turned: bool,
}

impl LinearShape {
    /// Whether loads of 16 bytes can read the weight.
    fn is_wide(&self) -> bool {
        (self.inner * self.element.bytes()).is_multiple_of(16) && self.offset.is_multiple_of(16)
    }

    /// The layers of a gate and of what it multiplies, which this one holds one after the other.
    pub(super) fn halves(self) -> [LinearShape; 2] {
        let half = LinearShape { outputs: self.outputs / 2, ..self };
        let bytes = (half.outputs * half.inner * half.element.bytes()) as u64;
        [half, LinearShape { offset: self.offset + bytes, ..half }]
    }
}

/// What of a norm decides the kernel of the product behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NormShape {
    /// Whether it divides by the root mean square only.
    pub rms: bool,
    /// Element type of the factors.
    pub element: Element,
    /// Element type of the summands.
    pub bias: Option<Element>,
}

/// What of a decoder's heads decides the kernels of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeadShape {
    /// Query heads for each key head.
    pub group: usize,
    /// Size of a head.
    pub size: usize,
    /// Whether a token sees only some of those before it.
    pub windowed: bool,
    /// Whether there are rotary positions.
    pub rotary: bool,
    /// Whether they rotate neighbours (2j, 2j + 1), not elements half a head apart.
    pub neighbours: bool,
    /// Element types of the norms over a query head and over a key head, if there are any.
    pub norms: Option<(Element, Element)>,
}

impl HeadShape {
    /// Keys that a block of attention with so many query heads must have before several clusters share a head's keys.
    /// With fewer, to join them takes longer than it saves.
    pub(super) fn least_keys(self, queries: usize, cluster: usize) -> usize {
        match (cluster, queries) {
            // What the warps of a block take at once.
            (1, 1) if self.size <= 128 => 32,
            (1, _) => 16,
            (_, 1) => 128,
            _ => 32,
        }
    }

    /// What `attention.cu` is compiled with; `together` is the number of query heads that a block takes.
    pub(super) fn constants(self, together: usize, cluster: usize) -> String {
        let (query, key) = self.norms.unwrap_or((Element::F32, Element::F32));
        let all = [
            ("GROUP", self.group.to_string()),
            ("TOGETHER", together.to_string()),
            ("SIZE", self.size.to_string()),
            ("CLUSTER", cluster.to_string()),
            ("LEAST_OF_ONE", self.least_keys(1, cluster).to_string()),
            ("LEAST_OF_GROUP", self.least_keys(together, cluster).to_string()),
            ("WINDOWED", self.windowed.to_string()),
            ("ROTARY", self.rotary.to_string()),
            ("NEIGHBOURS", self.neighbours.to_string()),
            ("NORMED", self.norms.is_some().to_string()),
            ("QUERY_NORM_ELEMENT", name(query).to_owned()),
            ("KEY_NORM_ELEMENT", name(key).to_owned()),
        ];
        defined(&all)
    }
}

/// The element type's name in `values.cu`.
pub(super) fn name(element: Element) -> &'static str {
    match element {
        Element::F16 => "F16",
        Element::BF16 => "BF16",
        Element::F32 => "F32",
    }
}

/// Lines that define these names.
pub(super) fn defined(all: &[(&str, String)]) -> String {
    all.iter().map(|(name, value)| format!("#define {name} {value}\n")).collect()
}

/// Which of these layers over one input one kernel multiplies.
pub(super) fn together(layers: &[LinearShape]) -> Vec<Range<usize>> {
    let alike = |a: &LinearShape, b: &LinearShape| {
        let of = |one: &LinearShape| (one.element, one.is_wide(), one.bias);
        !a.turned && !b.turned && of(a) == of(b)
    };
    let mut all = Vec::new();
    let mut first = 0;
    for same in layers.chunk_by(alike) {
        for part in same.chunks(LAYERS) {
            all.push(first..first + part.len());
            first += part.len();
        }
    }
    all
}

/// What a product's kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    pub(super) element: Element,
    pub(super) wide: bool,
    pub(super) pair: bool,
    pub(super) inner: usize,
    pub(super) rows: usize,
    pub(super) norm: Option<NormShape>,
    pub(super) bias: Option<Element>,
    pub(super) activation: u32,
}

impl Shape {
    /// The shape of layers whose outputs lie side by side, or of a gate and what it multiplies. `None` for a weight that is
    /// stored as `[inner, outputs]`.
    pub(super) fn of(
        layers: &[LinearShape],
        pair: bool,
        norm: Option<NormShape>,
        activation: ActivationParams,
    ) -> Option<Shape> {
        let first = layers.first().filter(|first| !first.turned)?;
        let all = layers.iter().map(|layer| layer.outputs).sum();
        Some(Shape {
            element: first.element,
            wide: layers.iter().all(LinearShape::is_wide),
            pair,
            inner: first.inner,
            rows: if pair { first.outputs } else { all },
            norm,
            bias: first.bias,
            activation: activation as u32,
        })
    }
}

#[cfg(test)]
impl Shape {
    /// A product of layers with so many rows each. Two layers are a gate with SiLU and what it multiplies.
    pub(super) fn made(
        rows: &[usize],
        inner: usize,
        element: Element,
        normed: bool,
        biased: bool,
    ) -> Shape {
        let bias = biased.then_some(element);
        let layer = |outputs: &usize| LinearShape {
            element,
            outputs: *outputs,
            inner,
            offset: 0,
            bias,
            turned: false,
        };
        let layers: Vec<_> = rows.iter().map(layer).collect();
        let norm = normed.then_some(NormShape { rms: true, element, bias: None });
        let pair = layers.len() == 2;
        let activation = if pair { ActivationParams::Silu } else { ActivationParams::Plain };
        Shape::of(&layers, pair, norm, activation).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(outputs: usize, inner: usize) -> LinearShape {
        let element = Element::BF16;
        LinearShape { element, outputs, inner, offset: 0, bias: None, turned: false }
    }

    #[test]
    fn one_kernel_multiplies_layers_that_are_alike() {
        let (plain, biased) =
            (layer(8, 8), LinearShape { bias: Some(Element::F32), ..layer(8, 8) });
        let turned = LinearShape { turned: true, ..plain };
        for (layers, wanted) in [
            (vec![plain; 3], vec![3]),
            (vec![plain; 4], vec![3, 1]),
            (vec![biased, plain, plain], vec![1, 2]),
            (vec![turned, turned], vec![1, 1]),
        ] {
            let parts = together(&layers);
            assert_eq!(parts.iter().map(ExactSizeIterator::len).collect::<Vec<_>>(), wanted);
            assert!(parts.into_iter().flatten().eq(0..layers.len()), "each once, in order");
        }
        assert!(Shape::of(&[turned], false, None, ActivationParams::Plain).is_none());
        let [gate, up] = layer(8, 4).halves();
        assert_eq!((gate.outputs, up.outputs, up.offset), (4, 4, 32));
    }
}
