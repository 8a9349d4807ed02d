//! A tensor with its position in a model's memory.

use crate::contract::DType;
use crate::contract::reply::TensorEntry;

use super::Import;
use super::safetensors::TensorInfo;

/// A tensor of a loaded model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedTensor {
    /// The file's description.
    pub info: TensorInfo,
    /// Its element type in memory.
    pub dtype: DType,
    /// Offset in the model's memory, in bytes.
    pub offset: u64,
    /// Its size in memory, in bytes.
    pub bytes: u64,
    /// Conversions of its bytes between file and memory, besides a change of dtype.
    pub import: Import,
}

impl PlacedTensor {
    /// Converts to the contract's form.
    pub fn entry(&self) -> TensorEntry {
        TensorEntry {
            name: self.info.name.clone(),
            stored: self.info.dtype,
            dtype: self.dtype,
            shape: self.info.shape.clone(),
            bytes: self.bytes,
        }
    }
}
