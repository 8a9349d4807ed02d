//! The operations that a forward pass is made of, for every kind of memory.
//!
//! Activations are F32, row-major, a row a token. Weights are what the load put into the model's
//! memory: they are read where they lie, in their stored type, and every sum is F32. Operations are
//! carried out in the order of the calls; an engine may return before they are done.

use crate::contract::DType;
use crate::gpu::{AttentionParams, Pool};
use crate::loader::error::Result;

/// A matrix or vector of a model, where the load put it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Where it begins in the model's memory, in bytes.
    pub offset: u64,
    /// F32, F16 or BF16.
    pub dtype: DType,
    /// Rows; 1 for a vector.
    pub rows: usize,
    /// Columns: the length of a row, which lies together.
    pub columns: usize,
}

/// `y = x W^T + b`, with W of shape `[out, in]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// W.
    pub weight: Weight,
    /// b, of `out` values.
    pub bias: Option<Weight>,
    /// Whether W is stored as `[in, out]`, as GPT-2 has it.
    pub transposed: bool,
}

impl Linear {
    /// How many values it gives.
    pub fn outputs(&self) -> usize {
        if self.transposed { self.weight.columns } else { self.weight.rows }
    }
}

/// What is done to each value.
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
    /// What is taken out.
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

/// An engine's operations. Rows are tokens unless said otherwise; a `Buffer` knows nothing of its
/// shape. Sizes that do not fit the buffers are the caller's fault and come back as `internal`.
pub trait Ops {
    /// F32 values in the engine's memory.
    type Buffer;
    /// Unsigned integers in the engine's memory.
    type Indices;

    /// Says that operations on a layer's weights follow, and none on another layer's before the next
    /// such word: an engine that does not hold all of them at once brings them now.
    ///
    /// # Errors
    /// Where the device fails.
    fn enter(&mut self, _layer: usize) -> Result<()> {
        Ok(())
    }

    /// Room for so many values, content undefined.
    ///
    /// # Errors
    /// Where memory runs out.
    fn buffer(&mut self, values: usize) -> Result<Self::Buffer>;

    /// Brings values there.
    ///
    /// # Errors
    /// Where memory runs out, or the device fails. So of all that follow.
    fn values(&mut self, values: &[f32]) -> Result<Self::Buffer>;

    /// Brings integers there.
    ///
    /// # Errors
    /// As above.
    fn indices(&mut self, values: &[u32]) -> Result<Self::Indices>;

    /// Waits for all that was asked for and fetches the first values of a buffer.
    ///
    /// # Errors
    /// As above.
    fn fetch(&mut self, buffer: &Self::Buffer, into: &mut [f32]) -> Result<()>;

    /// `out[i] = sum over the pairs of table[indices[i]]`, rows of the tables' width.
    ///
    /// # Errors
    /// As above. Indices were checked to lie in their tables.
    fn gather(
        &mut self,
        pairs: &[(&Self::Indices, Weight)],
        rows: usize,
        out: &mut Self::Buffer,
    ) -> Result<()>;

    /// Applies layers to the same `x`, their results side by side in `out`:
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

    /// `out[i][j] = f(both[i][gate + j]) * both[i][up + j]` for `width` columns; `both` has
    /// `2 * width`, and the gate's half and the other one begin at these columns.
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

    /// `out = norm(x + residual)`; with `keep`, `x` becomes the sum.
    ///
    /// # Errors
    /// As above.
    fn norm(
        &mut self,
        x: &mut Self::Buffer,
        residual: Option<&Self::Buffer>,
        rows: usize,
        norm: &Norm,
        keep: bool,
        out: &mut Self::Buffer,
    ) -> Result<()>;

    /// `y = x`, so many values.
    ///
    /// # Errors
    /// As above.
    fn copy(&mut self, x: &Self::Buffer, values: usize, y: &mut Self::Buffer) -> Result<()>;

    /// `x += y`, so many values.
    ///
    /// # Errors
    /// As above.
    fn add(&mut self, x: &mut Self::Buffer, y: &Self::Buffer, values: usize) -> Result<()>;

    /// Rotates each head's vectors in place, pairing element j with j + `head_size/2`, or 2j with
    /// 2j + 1 where neighbours are turned. `turns` holds
    /// cosine and sine for each position and pair: `[tokens, head_size/2, 2]`. The heads lie side by
    /// side from this column of a matrix of that stride on.
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

    /// Normalises each head's vectors in place. The heads lie side by side from this column of a
    /// matrix of that stride on; the norm is as wide as a head.
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

    /// Copies so many columns of a matrix, from this column of that stride on, to rows `at` and after
    /// of a matrix that has no others.
    ///
    /// # Errors
    /// As above.
    fn keep(
        &mut self,
        from: View<'_, Self::Buffer>,
        rows: usize,
        columns: usize,
        at: usize,
        into: &mut Self::Buffer,
    ) -> Result<()>;

    /// `softmax(scale q k^T) v`, head by head, over the tokens whose mask is 1. `out` has
    /// `heads * head_size` columns. Query head h uses key head `h * key_heads / heads`. The mask is of the
    /// keys. With `attention` goes how many keys and values lie before the first token's own, of tokens
    /// that ran before: not zero for one sentence only.
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

    /// One vector for each sentence. The shape is (sentences, tokens, width).
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
