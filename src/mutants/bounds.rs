//! Mutants of bounds: what lies at the border of a format's rules.

use super::mutant::{Mutant, reference};
use crate::loader::LoadDecisions;
use crate::loader::error::{LoadError, Result};
use crate::loader::format::safetensors;
use crate::loader::format::safetensors::{Header, TensorInfo};
use crate::loader::remedies::header::SIZE_OVERFLOW;

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "empty-inside-accepted",
        lie: "accepts a tensor without bytes inside another one's range",
        seen_in: "this project's reference loader, up to the commit before this mutant",
        needs_gpu: false,
        make: || reference(EmptyInside),
    },
    Mutant {
        name: "overflow-behind-zero-refused",
        lie: "multiplies a shape without its zeros, and refuses an empty tensor whose product is too large",
        seen_in: "readers that compute strides before sizes, such as NumPy's",
        needs_gpu: false,
        make: || reference(ZerosLeftOut),
    },
];

/// Accepts an empty tensor anywhere in the data.
struct EmptyInside;

impl LoadDecisions for EmptyInside {
    fn layout(&self, header: &Header, data_bytes: u64) -> Result<()> {
        let mut header = header.clone();
        for tensor in &mut header.tensors {
            if tensor.begin == tensor.end && tensor.end <= data_bytes {
                (tensor.begin, tensor.end) = (0, 0);
            }
        }
        safetensors::layout::check(&header, data_bytes)
    }
}

/// Multiplies all dimensions but those of zero.
struct ZerosLeftOut;

impl LoadDecisions for ZerosLeftOut {
    fn layout(&self, header: &Header, data_bytes: u64) -> Result<()> {
        let product = |tensor: &TensorInfo| {
            let sides = tensor.shape.iter().filter(|side| **side > 0);
            sides.copied().try_fold(1_u64, u64::checked_mul)
        };
        match header.tensors.iter().find(|tensor| product(tensor).is_none()) {
            Some(tensor) => Err(LoadError::header(SIZE_OVERFLOW, "size does not fit in 64 bits")
                .tensor(&tensor.name)),
            None => safetensors::layout::check(header, data_bytes),
        }
    }
}
