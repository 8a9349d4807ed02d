//! The content of a safetensors header.

use std::collections::BTreeMap;

use super::json::JsonError;
use crate::contract::DType;
use crate::loader::error::{LoadError, quote};
use crate::loader::remedies::header::{HEADER_NOT_JSON, KEY_TWICE};

/// Bytes of the length prefix.
pub const PREFIX: u64 = 8;

/// Longest header, in bytes. Source: the bound of the format's reference implementation.
pub const MAX_HEADER: u64 = 100_000_000;

/// The content of a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `__metadata__`, if it is there.
    pub metadata: Option<BTreeMap<String, String>>,
    /// The tensors, in the header's order.
    pub tensors: Vec<TensorInfo>,
}

/// The header's entry for one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name, any text.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// Its shape, outermost dimension first; empty for a scalar.
    pub shape: Vec<u64>,
    /// First byte, counted from the start of the data.
    pub begin: u64,
    /// One past the last byte, counted from the start of the data.
    pub end: u64,
}

impl TensorInfo {
    /// Number of elements; `None` if the product of the dimensions passes 64 bits on its way. It is
    /// taken in the shape's order, as the format's own implementation takes it: a dimension of 0
    /// saves those that follow it, and not those before it (R26).
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |product, dimension| product.checked_mul(*dimension))
    }

    /// Bytes between the offsets; 0 if the offsets are reversed.
    pub fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.begin)
    }
}

pub(super) fn refused(error: JsonError) -> LoadError {
    match error {
        JsonError::Syntax { at, what } => {
            LoadError::header(HEADER_NOT_JSON, format!("header is not JSON: {what} at byte {at}"))
                .expected("one strict JSON object", format!("{what} at byte {at}"))
        }
        JsonError::Duplicate { at, key } => {
            let key = quote(&key);
            let message = format!("key given twice, again at byte {at}: {key}");
            LoadError::header(KEY_TWICE.about([&key]), message)
                .expected("every key once in its object", key)
        }
    }
}
