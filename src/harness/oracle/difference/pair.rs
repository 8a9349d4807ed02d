//! A tensor, and its expected and found bytes element by element.

use crate::contract::DType;
use crate::harness::oracle::widen::same;

/// So many wrong elements are looked at. A rule that explains all of them explains the others too.
pub(super) const LOOKED_AT: usize = 1 << 16;

/// A tensor as its file has it, and what a loader was asked to hold.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    /// Element type in the file.
    pub dtype: DType,
    /// Element type in memory.
    pub kept: DType,
    /// Its shape, outermost dimension first.
    pub shape: &'a [u64],
    /// Its bytes in the file.
    pub stored: &'a [u8],
}

/// Expected and found bytes of one tensor.
pub(super) struct Pair<'a> {
    pub(super) tensor: &'a Tensor<'a>,
    pub(super) expected: &'a [u8],
    pub(super) found: &'a [u8],
}

impl Pair<'_> {
    /// Number of elements.
    pub(super) fn elements(&self) -> usize {
        self.expected.len() / wide(self.tensor.kept)
    }

    /// The bits of an element in the file.
    pub(super) fn stored(&self, at: usize) -> u64 {
        element(self.tensor.stored, wide(self.tensor.dtype), at)
    }

    /// The bits that it must have in memory.
    pub(super) fn expected(&self, at: usize) -> u64 {
        element(self.expected, wide(self.tensor.kept), at)
    }

    /// The bits found.
    pub(super) fn found(&self, at: usize) -> u64 {
        element(self.found, wide(self.tensor.kept), at)
    }

    /// Whether an element is as it must be. A converted NaN may have other bits.
    pub(super) fn is_right(&self, at: usize) -> bool {
        let (expected, found) = (self.expected(at), self.found(at));
        let converted = self.tensor.kept != self.tensor.dtype;
        expected == found || (converted && same(expected as u32, found as u32))
    }
}

/// Bytes of one element; types of less than a byte are compared byte by byte.
pub(super) fn wide(dtype: DType) -> usize {
    usize::try_from(dtype.bits() / 8).unwrap_or(1).max(1)
}

/// The little-endian element at an index; 0 beyond the end.
pub(super) fn element(bytes: &[u8], wide: usize, at: usize) -> u64 {
    let found = bytes.get(at * wide..(at + 1) * wide).unwrap_or_default();
    found.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}
