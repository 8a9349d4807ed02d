//! Checks that sizes, offsets and file size agree, and that the tensors cover the data exactly
//! once.

use crate::contract::DType;

use super::header::{Header, TensorInfo};
use crate::loader::error::{LoadError, Result, quote, shape_text};
use crate::loader::remedies::Remedy;
use crate::loader::remedies::header::{
    DTYPE_NOT_HELD, GAP, OFFSETS_REVERSED, OVERLAP, SIZE_MISMATCH, SIZE_OVERFLOW, TRAILING_BYTES,
    TRUNCATED,
};

/// The element types that the loader can hold. These are the types of weights, and I64 for index
/// buffers of real encoders (`embeddings.position_ids`). I64 is never converted.
pub const HELD: [DType; 4] = [DType::F16, DType::BF16, DType::F32, DType::I64];

/// Checks every tensor for itself, then all against a data section of `data_bytes` bytes.
///
/// Order of the checks: each tensor in the header's order (reversed offsets, size overflow, size
/// against offsets), then overlaps and gaps in the order of the offsets, then the end of the file.
/// A tensor without bytes lies where another one begins or ends, or at the end of the data: inside
/// another one's range it would overlap (R26). The time is O(n log n).
///
/// # Errors
/// Every code of the `invalid_layout` family.
pub fn check(header: &Header, data_bytes: u64) -> Result<()> {
    for tensor in &header.tensors {
        check_size(tensor)?;
    }
    let mut order: Vec<&TensorInfo> = header.tensors.iter().collect();
    // A tensor without bytes comes before the one that begins at the same offset.
    order.sort_by_key(|tensor| (tensor.begin, tensor.end));
    let (mut covered, mut needed) = (0, 0);
    for tensor in order {
        needed = needed.max(tensor.end);
        if tensor.begin < covered {
            return Err(wrong(tensor, OVERLAP, "shares bytes with another tensor")
                .expected(format!("begin at {covered}"), format!("begin at {}", tensor.begin)));
        }
        if tensor.bytes() == 0 {
            continue;
        }
        if tensor.begin > covered {
            return Err(wrong(tensor, GAP, "bytes before it belong to no tensor")
                .expected(format!("begin at {covered}"), format!("begin at {}", tensor.begin)));
        }
        covered = tensor.end;
    }
    if needed > data_bytes {
        return Err(LoadError::header(TRUNCATED, "file ends before its last tensor does")
            .expected(format!("{needed} bytes of data"), format!("{data_bytes} bytes")));
    }
    if covered < data_bytes {
        return Err(LoadError::header(TRAILING_BYTES, "bytes after the last tensor")
            .expected(format!("{covered} bytes of data"), format!("{data_bytes} bytes")));
    }
    Ok(())
}

/// Refuses element types of the format that the loader does not hold.
///
/// # Errors
/// `unsupported_dtype`, with the first such tensor and its element type.
pub fn check_held(tensors: &[TensorInfo]) -> Result<()> {
    match tensors.iter().find(|tensor| !HELD.contains(&tensor.dtype)) {
        None => Ok(()),
        Some(tensor) => Err(LoadError::header(
            DTYPE_NOT_HELD,
            format!("tensor {}: dtype not held: {}", quote(&tensor.name), tensor.dtype),
        )
        .expected(HELD.map(DType::name).join(", "), tensor.dtype)
        .tensor(&tensor.name)
        .dtype(tensor.dtype)),
    }
}

fn check_size(tensor: &TensorInfo) -> Result<()> {
    if tensor.begin > tensor.end {
        return Err(wrong(tensor, OFFSETS_REVERSED, "ends before it begins")
            .expected("begin <= end", format!("begin {}, end {}", tensor.begin, tensor.end)));
    }
    // Count in bits, because some types are smaller than a byte. The reference implementation does
    // so too.
    let bits = tensor.elements().and_then(|count| count.checked_mul(tensor.dtype.bits()));
    let Some(bits) = bits else {
        return Err(wrong(tensor, SIZE_OVERFLOW, "size does not fit in 64 bits").expected(
            "shape x dtype below 2^64 bits",
            format!("{} of shape {}", tensor.dtype, shape_text(&tensor.shape)),
        ));
    };
    let there = tensor.bytes();
    if bits % 8 != 0 || bits / 8 != there {
        return Err(wrong(tensor, SIZE_MISMATCH, "size and offsets disagree")
            .expected(format!("{bits} bits by shape and dtype"), format!("{there} bytes")));
    }
    Ok(())
}

fn wrong(tensor: &TensorInfo, cause: Remedy, what: &str) -> LoadError {
    LoadError::header(cause, format!("tensor {}: {what}", quote(&tensor.name))).tensor(&tensor.name)
}
