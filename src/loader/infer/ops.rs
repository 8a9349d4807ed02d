//! The operations of a forward pass. Each engine implements them for its memory.
//!
//! Activations are F32, row-major, with one row for each token. Weights stay where the load put
//! them, in their dtype in memory. All sums are F32. Operations run in the order of the calls; an
//! engine may return before they are done.

use crate::contract::DType;
use crate::gpu::{AttentionParams, Pool};
use crate::loader::error::Result;

/// A matrix or vector in a model's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Offset in the model's memory, in bytes.
    pub offset: u64,
    /// F32, F16 or BF16.
    pub dtype: DType,
    /// Rows; 1 for a vector.
    pub rows: usize,
    /// Columns. The elements of a row are contiguous.
    pub columns: usize,
}

/// `y = x W^T + b`, with W of shape `[out, in]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// W.
    pub weight: Weight,
    /// b, of `out` values.
    pub bias: Option<Weight>,
    /// Whether W is stored as `[in, out]`, as in GPT-2.
    pub transposed: bool,
}

impl Linear {
    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        if self.transposed { self.weight.columns } else { self.weight.rows }
    }

    /// Its first `outputs` outputs and the others, as two layers. W is not transposed.
    pub fn halves(&self, outputs: usize) -> [Linear; 2] {
        let Linear { weight, bias, transposed } = *self;
        let half = |from: usize, count: usize| {
            let at = |of: Weight, values: usize| of.offset + values as u64 * (of.dtype.bits() / 8);
            let offset = at(weight, from * weight.columns);
            let weight = Weight { offset, rows: count, ..weight };
            let bias = bias.map(|bias| Weight { offset: at(bias, from), columns: count, ..bias });
            Linear { weight, bias, transposed }
        };
        [half(0, outputs), half(outputs, weight.rows.saturating_sub(outputs))]
    }
}

/// An activation function, applied to each value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x/2 (1 + erf(x / sqrt 2))`.
    Gelu,
    /// GELU by its tanh approximation.
    GeluTanh,
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `max(0, x)`.
    Relu,
}

/// A normalisation over each row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// The kind.
    pub kind: NormKind,
    /// Factor of each column.
    pub weight: Weight,
    /// Summand of each column.
    pub bias: Option<Weight>,
    /// Added to the variance, or the mean square.
    pub epsilon: f32,
}

/// Kinds of normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// Mean and variance (`LayerNorm`).
    Layer,
    /// The root of the mean square (`RMSNorm`).
    Rms,
}

/// Some columns of a matrix of activations.
#[derive(Debug)]
pub struct View<'a, B> {
    /// The matrix.
    pub buffer: &'a B,
    /// First column.
    pub column: usize,
    /// Columns of the whole matrix.
    pub stride: usize,
}

/// The operations of an engine. Rows are tokens unless stated otherwise. A `Buffer` does not know
/// its shape. Sizes that do not fit the buffers are an error of the caller, reported as `internal`.
pub trait Ops {
    /// F32 values in the engine's memory.
    type Buffer;
    /// Unsigned integers in the engine's memory.
    type Indices;

    /// Announces operations on the weights of one layer. Until the next call, no other layer's
    /// weights are used. An engine that cannot hold all layers copies this layer's weights to the
    /// device now.
    ///
    /// # Errors
    /// If the device fails.
    fn enter(&mut self, _layer: usize) -> Result<()> {
        Ok(())
    }

    /// Frees all buffers and integers that were made before, if the engine keeps their memory.
    ///
    /// # Errors
    /// If the device fails.
    fn restart(&mut self) -> Result<()> {
        Ok(())
    }

    /// Allocates a buffer of `values` values. The content is undefined.
    ///
    /// # Errors
    /// If memory runs out.
    fn buffer(&mut self, values: usize) -> Result<Self::Buffer>;

    /// Copies values to the engine.
    ///
    /// # Errors
    /// If memory runs out or the device fails. The same holds for all methods below.
    fn values(&mut self, values: &[f32]) -> Result<Self::Buffer>;

    /// Copies values to the first values of a buffer.
    ///
    /// # Errors
    /// As above.
    fn refill(&mut self, values: &[f32], buffer: &mut Self::Buffer) -> Result<()>;

    /// Copies integers to the engine.
    ///
    /// # Errors
    /// As above.
    fn indices(&mut self, values: &[u32]) -> Result<Self::Indices>;

    /// Waits for all earlier operations and copies the first `into.len()` values of a buffer to the
    /// host.
    ///
    /// # Errors
    /// As above.
    fn fetch(&mut self, buffer: &Self::Buffer, into: &mut [f32]) -> Result<()>;

    /// `out[i] = sum over the pairs of table[indices[i]]`. A row is as wide as the tables.
    ///
    /// # Errors
    /// As above. The caller has checked that the indices are in range.
    fn gather(
        &mut self,
        pairs: &[(&Self::Indices, Weight)],
        rows: usize,
        out: &mut Self::Buffer,
    ) -> Result<()>;

    /// Applies linear layers to the same `x`, and writes their results side by side to `out`:
    /// `out[i] = f(x[i] W1^T + b1) | f(x[i] W2^T + b2) | ...`.
    ///
    /// # Errors
    /// As above.
    fn linear(
        &mut self,
        x: &Self::Buffer,
        rows: usize,
        layers: &[Linear],
        activation: Option<Activation>,
        out: &mut Self::Buffer,
    ) -> Result<()>;

    /// `out[i][j] = f(both[i][gate + j]) * both[i][up + j]` for `width` columns. A row of `both`
    /// has `2 * width` columns; `gate_and_up` are the first columns of its halves.
    ///
    /// # Errors
    /// As above.
    fn gated(
        &mut self,
        both: &Self::Buffer,
        rows: usize,
        width: usize,
        gate_and_up: (usize, usize),
        activation: Activation,
        out: &mut Self::Buffer,
    ) -> Result<()>;

    /// A gate and what it gates, over the same `x`: `out = f(x G^T + g) * (x U^T + u)`, with `width`
    /// columns. `layers` are G and U, or one with the outputs of both side by side. `both` has room for
    /// these outputs; what it holds afterwards is undefined. With a `reader`, this layer must be the next operation
    /// on `out`, and for everything else `out` is undefined too.
    ///
    /// # Errors
    /// As above.
    fn linear_gated(
        &mut self,
        x: &Self::Buffer,
        rows: usize,
        layers: &[Linear],
        (width, activation): (usize, Activation),
        (both, out): (&mut Self::Buffer, &mut Self::Buffer),
        _reader: Option<&Linear>,
    ) -> Result<()> {
        self.linear(x, rows, layers, None, both)?;
        self.gated(both, rows, width, (0, width), activation, out)
    }

    /// `out = norm(x + residual)`; with `keep`, `x` becomes the sum. With `readers`, the next operation
    /// must apply these layers to `out`, and for everything else `out` is undefined.
    ///
    /// # Errors
    /// As above.
    fn norm(
        &mut self,
        x: &mut Self::Buffer,
        residual: Option<&Self::Buffer>,
        rows: usize,
        norm: &Norm,
        keep_and_readers: (bool, &[Linear]),
        out: &mut Self::Buffer,
    ) -> Result<()>;

    /// `y = x` for the first `values` values.
    ///
    /// # Errors
    /// As above.
    fn copy(&mut self, x: &Self::Buffer, values: usize, y: &mut Self::Buffer) -> Result<()>;

    /// `x += y` for the first `values` values.
    ///
    /// # Errors
    /// As above.
    fn add(&mut self, x: &mut Self::Buffer, y: &Self::Buffer, values: usize) -> Result<()>;

    /// Applies RoPE to each head's vectors in place. Pairs element j with j + `head_size/2`, or 2j
    /// with 2j + 1 if `attention.neighbours` is set. `turns` holds cosine and sine for each
    /// position and pair: `[tokens, head_size/2, 2]`. The heads are side by side, beginning at the
    /// given column of a matrix with the given stride.
    ///
    /// # Errors
    /// As above.
    fn rotate(
        &mut self,
        x: &mut Self::Buffer,
        column_and_stride: (usize, usize),
        heads: usize,
        attention: &AttentionParams,
        turns: &Self::Buffer,
    ) -> Result<()>;

    /// Normalises each head's vectors in place. The heads are side by side, beginning at the given
    /// column of a matrix with the given stride. The norm is as wide as a head.
    ///
    /// # Errors
    /// As above.
    fn norm_heads(
        &mut self,
        x: &mut Self::Buffer,
        column_and_stride: (usize, usize),
        rows: usize,
        heads: usize,
        norm: &Norm,
    ) -> Result<()>;

    /// Copies `rows` rows of `columns` columns from each of two views to a matrix with `columns`
    /// columns, beginning at its row `at`. Used to fill the KV cache.
    ///
    /// # Errors
    /// As above.
    fn keep(
        &mut self,
        from: (View<'_, Self::Buffer>, View<'_, Self::Buffer>),
        rows: usize,
        columns: usize,
        at: usize,
        into: (&mut Self::Buffer, &mut Self::Buffer),
    ) -> Result<()>;

    /// `softmax(scale q k^T) v` for each head, over the keys whose mask is 1. `out` has
    /// `heads * head_size` columns. Query head h uses key head `h * key_heads / heads`. The second
    /// value of `attention` is the number of cached keys and values before the first token. It may
    /// be above 0 only for a single sentence.
    ///
    /// # Errors
    /// As above.
    fn attend(
        &mut self,
        attention: (&AttentionParams, usize),
        queries: View<'_, Self::Buffer>,
        keys: View<'_, Self::Buffer>,
        values: View<'_, Self::Buffer>,
        mask: &Self::Indices,
        out: &mut Self::Buffer,
    ) -> Result<()>;

    /// Computes one vector for each sentence. The shape is (sentences, tokens, width).
    ///
    /// # Errors
    /// As above.
    fn pool(
        &mut self,
        pool: Pool,
        states: &Self::Buffer,
        shape: (usize, usize, usize),
        mask: &Self::Indices,
        out: &mut Self::Buffer,
    ) -> Result<()>;

    /// `out[i][j] = max over the mask's tokens of ln(1 + max(0, logits))`. The shape is as above.
    ///
    /// # Errors
    /// As above.
    fn splade(
        &mut self,
        logits: &Self::Buffer,
        shape: (usize, usize, usize),
        mask: &Self::Indices,
        out: &mut Self::Buffer,
    ) -> Result<()>;

    /// Divides each row by its L2 norm, at least 1e-12.
    ///
    /// # Errors
    /// As above.
    fn normalize(&mut self, x: &mut Self::Buffer, rows: usize, width: usize) -> Result<()>;

    /// Sets rows to zero where the mask is 0.
    ///
    /// # Errors
    /// As above.
    fn blank(
        &mut self,
        x: &mut Self::Buffer,
        rows: usize,
        width: usize,
        mask: &Self::Indices,
    ) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_layer_lie_behind_each_other() {
        let weight = Weight { offset: 512, dtype: DType::BF16, rows: 10, columns: 3 };
        let bias = Weight { offset: 4096, dtype: DType::F32, rows: 1, columns: 10 };
        let [first, second] = Linear { weight, bias: Some(bias), transposed: false }.halves(4);
        assert_eq!(first.weight, Weight { rows: 4, ..weight });
        assert_eq!(first.bias, Some(Weight { columns: 4, ..bias }));
        assert_eq!(second.weight, Weight { offset: 512 + 4 * 3 * 2, rows: 6, ..weight });
        assert_eq!(second.bias, Some(Weight { offset: 4096 + 4 * 4, columns: 6, ..bias }));
        assert_eq!([first.outputs(), second.outputs()], [4, 6]);
    }
}
