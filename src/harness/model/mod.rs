//! Models that can be run, made by the harness: configuration, head and every weight are known.

use serde_json::Value;

use crate::contract::DType;
use crate::contract::encoder::Head;

/// A model as the harness knows it.
#[derive(Clone, Debug)]
pub struct Model {
    /// What stands in `config.json`.
    pub config: Value,
    /// What becomes of the token states.
    pub head: Head,
    /// Every tensor, in the order of the file.
    pub tensors: Vec<Tensor>,
    /// How many files the tensors are spread over.
    pub shards: usize,
}

/// One tensor of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// Its shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Its elements, little-endian, row-major.
    pub bytes: Vec<u8>,
}

impl Model {
    /// A tensor by name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}
