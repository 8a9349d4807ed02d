//! The parameters of the operations, and sizes that follow from them.

use crate::gpu::driver::error::{GpuError, check_range};
use crate::gpu::driver::memory::DeviceBuffer;
use crate::gpu::kernel::tensor_scan::Element;

/// Head sizes that attention is compiled for. A head uses the smallest one that it fits in; a larger
/// one uses the kernel for any size.
pub(super) const HEAD_SIZES: [u32; 3] = [32, 64, 128];

/// Queries per block that attention is compiled for, for each head size. Small blocks suit short
/// inputs, because there are more of them. Large blocks suit long inputs, because they load the
/// keys less often. Even larger ones would not fit in the shared memory of smaller cards.
pub(super) const QUERIES: [&[u32]; 3] = [&[16, 64, 128], &[16, 64], &[16, 32]];

/// How tensor cores take F32 values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// As the sum of parts that hold as much as an F32 sum shows: three BF16 parts, which are exact, or
    /// two FP16 parts with a scale (`product_parts.cu`).
    #[default]
    Exact,
    /// Rounded to the nearest BF16 value. Only on devices of compute capability 9.0.
    Bf16,
}

impl Precision {
    /// BF16 parts of a value.
    pub(super) const fn parts(self) -> usize {
        match self {
            Precision::Exact => 3,
            Precision::Bf16 => 1,
        }
    }

    /// Parts of a value that the kernels for capability 9.0 multiply: FP16 ones, or one of BF16.
    pub(super) const fn product_parts(self) -> usize {
        match self {
            Precision::Exact => 2,
            Precision::Bf16 => 1,
        }
    }

    /// What stands before every source that names `PARTS` or `HALVES`.
    pub(super) fn definition(self) -> String {
        let halves = if self == Precision::Exact { "#define HALVES\n" } else { "" };
        format!("#define PARTS {}u\n{halves}", self.parts())
    }
}

/// The largest head that every kernel takes. A decoder's sums of one head fill the shared memory of
/// a block: see `queries_of_block` in `gpu::decode`.
pub const LARGEST_HEAD: usize = 1024;

/// Keys of a tile in the kernels.
const KEYS: u32 = 64;

/// Shared memory of an attention block, in bytes.
pub(super) const fn attention_bytes(size: u32, queries: u32) -> u32 {
    4 * ((size + 4) * (queries + KEYS) + KEYS * size + KEYS * (queries + 4))
}

/// Shared memory of a block of the attention kernel for any head size, in bytes.
pub(super) const fn attention_any_bytes(head_size: u32) -> u32 {
    4 * (2 * head_size + KEYS)
}

/// A matrix of a model: rows of `columns` stored elements, without gaps.
#[derive(Clone, Copy, Debug)]
pub struct DeviceWeight<'m> {
    /// The memory that it lies in.
    pub memory: &'m DeviceBuffer,
    /// Where it begins there, in bytes.
    pub offset: u64,
    /// Its element type.
    pub element: Element,
    /// Rows; 1 for a vector.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
}

impl DeviceWeight<'_> {
    /// Its address, after a check that it lies in its memory and is aligned for its type.
    pub(in crate::gpu) fn address(&self) -> Result<u64, GpuError> {
        let width = self.element.bytes();
        let bytes = self.rows.checked_mul(self.columns).and_then(|count| count.checked_mul(width));
        let bytes = bytes
            .ok_or_else(|| GpuError::refused("weight", "a size that does not fit in 64 bits"))?;
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX);
        check_range("weight", offset, bytes, self.memory.bytes())?;
        let address = self.memory.pointer() + self.offset;
        match address.is_multiple_of(width as u64) {
            true => Ok(address),
            false => Err(GpuError::refused("weight", "misaligned")),
        }
    }
}

/// A linear layer's weight and optional bias.
pub(super) type Layer<'m> = (DeviceWeight<'m>, Option<DeviceWeight<'m>>);

/// The activation function after a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ActivationParams {
    /// Nothing.
    Plain = 0,
    /// GELU by the error function.
    Gelu = 1,
    /// GELU by its tanh approximation.
    GeluTanh = 2,
    /// `x / (1 + exp(-x))`.
    Silu = 3,
    /// `max(0, x)`.
    Relu = 4,
}

/// A normalisation over rows.
#[derive(Clone, Copy, Debug)]
pub struct NormParams<'m> {
    /// Whether it divides by the root mean square only (RMSNorm), without subtracting the mean.
    pub rms: bool,
    /// Factor of each column.
    pub weight: DeviceWeight<'m>,
    /// Summand of each column.
    pub bias: Option<DeviceWeight<'m>>,
    /// Added to the variance or the mean square.
    pub epsilon: f32,
}

/// Attention over sentences of one length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionParams {
    /// Sentences.
    pub rows: usize,
    /// Tokens of each, padding included.
    pub tokens: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; a divisor of `heads`.
    pub key_heads: usize,
    /// Size of a head, at most [`LARGEST_HEAD`].
    pub head_size: usize,
    /// Factor of each score before the softmax.
    pub scale: f32,
    /// Whether a token sees only those up to itself.
    pub causal: bool,
    /// How many of those tokens a token sees, itself included; `None`: all. Used only if `causal`.
    pub window: Option<usize>,
    /// Whether rotary positions rotate neighbours (2j, 2j + 1), not elements half a head apart.
    pub neighbours: bool,
}

/// How token states become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Pool {
    /// The mean over the mask's tokens.
    Mean = 0,
    /// The first token.
    First = 1,
    /// The mask's last token.
    Last = 2,
}

/// A size as the kernels take it.
pub(super) fn word(size: usize) -> Result<u32, GpuError> {
    u32::try_from(size).map_err(|_| GpuError::refused("size", format!("too large: {size}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_fits_every_card_of_capability_8() {
        // Cards of capability 8.6, 8.9 and 12.0 allow a block 99 KiB; the others allow more.
        for (size, queries) in HEAD_SIZES.iter().zip(QUERIES) {
            for count in queries {
                assert!(attention_bytes(*size, *count) <= 99 << 10, "{size} {count}");
            }
        }
        // What a block may use without asking for more.
        assert!(attention_any_bytes(LARGEST_HEAD as u32) <= 48 << 10);
    }
}
