//! A tensor with its place in a model's memory.

use crate::contract::DType;
use crate::contract::reply::TensorEntry;

use super::Import;
use super::safetensors::TensorInfo;

/// A tensor of a loaded model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedTensor {
    /// What the file says of it.
    pub info: TensorInfo,
    /// Its element type in memory.
    pub dtype: DType,
    /// Where it begins in the model's memory, in bytes.
    pub offset: u64,
    /// Its size in memory, in bytes.
    pub bytes: u64,
    /// What is done to its bytes on their way there, besides a change of type.
    pub import: Import,
}

impl PlacedTensor {
    /// The contract's form.
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
