//! Reads a model's weights in host memory as F32.

use half::{bf16, f16};

use crate::contract::DType;
use crate::loader::error::{LoadError, Result};
use crate::loader::infer::ops::Weight;

/// Operations over a model's bytes.
pub struct HostOps<'m> {
    model: &'m [u8],
}

impl<'m> HostOps<'m> {
    /// Creates operations on a model's memory.
    pub fn new(model: &'m [u8]) -> Self {
        HostOps { model }
    }

    fn bytes(&self, weight: &Weight, first: usize, count: usize) -> Result<&'m [u8]> {
        let width = if weight.dtype == DType::F32 { 4 } else { 2 };
        let start = weight.offset as usize + first * width;
        let bytes = self.model.get(start..start + count * width);
        bytes.ok_or_else(|| LoadError::internal("a weight outside its model"))
    }

    /// Reads `count` elements of a weight from element `first` on, as F32.
    pub(super) fn read(&self, weight: &Weight, first: usize, count: usize) -> Result<Vec<f32>> {
        let bytes = self.bytes(weight, first, count)?;
        let halves = || bytes.as_chunks::<2>().0.iter();
        Ok(match weight.dtype {
            DType::F16 => halves().map(|raw| f16::from_le_bytes(*raw).to_f32()).collect(),
            DType::BF16 => halves().map(|raw| bf16::from_le_bytes(*raw).to_f32()).collect(),
            _ => bytes.as_chunks().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect(),
        })
    }

    pub(super) fn vector(&self, weight: &Weight) -> Result<Vec<f32>> {
        self.read(weight, 0, weight.rows * weight.columns)
    }
}
