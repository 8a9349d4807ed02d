//! Checks the positions of tensors in the data of a GGUF or APR file. Tensors follow each other at
//! the format's alignment, with only padding between them.

use crate::loader::error::{LoadError, Result, quote, shape_text};
use crate::loader::remedies::Remedy;
use crate::loader::remedies::header::{
    GAP, INVALID_LAYOUT, OVERLAP, SIZE_OVERFLOW, TRAILING_BYTES, TRUNCATED,
};

use super::ImportedTensor;

/// Stored size of a tensor, in bytes.
///
/// # Errors
/// `size_overflow`; `invalid_layout` if a row is not a whole number of blocks.
pub fn stored_bytes(tensor: &ImportedTensor) -> Result<u64> {
    let info = &tensor.info;
    let overflow = || {
        LoadError::header(SIZE_OVERFLOW, "size does not fit in 64 bits")
            .tensor(&info.name)
            .expected("a size below 2^64", format!("shape {}", shape_text(&info.shape)))
    };
    let elements = info.elements().ok_or_else(overflow)?;
    let (unit, bytes) = match tensor.import.packing {
        None => (1, info.dtype.bits() / 8),
        Some(packing) => (packing.elements(), packing.bytes()),
    };
    let row = info.shape.last().copied().unwrap_or(1);
    if !row.is_multiple_of(unit) {
        return Err(LoadError::header(INVALID_LAYOUT, "a row is not a whole number of blocks")
            .tensor(&info.name)
            .expected(format!("rows of a multiple of {unit} elements"), row));
    }
    (elements / unit).checked_mul(bytes).ok_or_else(overflow)
}

/// Checks all tensors against `data_bytes` bytes of data. Padding after the last tensor is allowed.
///
/// # Errors
/// `overlap`, `gap`, `truncated`, `trailing_bytes`, `size_overflow`.
pub fn check<'t>(
    tensors: impl IntoIterator<Item = &'t ImportedTensor>,
    alignment: u64,
    data_bytes: u64,
) -> Result<()> {
    let mut order: Vec<&ImportedTensor> = tensors.into_iter().collect();
    order.sort_by_key(|tensor| (tensor.info.begin, tensor.info.end));
    let mut end = 0;
    for tensor in order {
        let info = &tensor.info;
        let next = aligned(end, alignment)?;
        let fault = |cause: Remedy, message: &str| {
            Err(LoadError::header(cause, format!("{message}: {}", quote(&info.name)))
                .tensor(&info.name)
                .expected(format!("a tensor that begins at byte {next}"), info.begin))
        };
        match info.begin.cmp(&next) {
            std::cmp::Ordering::Less => return fault(OVERLAP, "tensors overlap"),
            std::cmp::Ordering::Greater => return fault(GAP, "bytes that no tensor claims"),
            std::cmp::Ordering::Equal => end = info.end,
        }
    }
    if end > data_bytes {
        return Err(LoadError::header(TRUNCATED, "file ends inside its tensors")
            .expected(format!("{end} bytes of data"), format!("{data_bytes} bytes")));
    }
    let most = aligned(end, alignment)?;
    if data_bytes > most {
        return Err(LoadError::header(TRAILING_BYTES, "bytes after the last tensor")
            .expected(format!("at most {most} bytes of data"), format!("{data_bytes} bytes")));
    }
    Ok(())
}

fn aligned(at: u64, alignment: u64) -> Result<u64> {
    at.checked_next_multiple_of(alignment).ok_or_else(|| -> LoadError {
        LoadError::header(SIZE_OVERFLOW, "a tensor's offset does not fit in 64 bits")
            .expected("an offset below 2^64", at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Code, DType};
    use crate::loader::format::Import;
    use crate::loader::format::safetensors::TensorInfo;

    #[test]
    fn an_end_that_cannot_be_aligned_is_refused() {
        let tensor = |name: &str, begin, end| {
            let (name, dtype, shape) = (name.to_owned(), DType::F32, vec![1]);
            let info = TensorInfo { name, dtype, shape, begin, end };
            ImportedTensor { info, import: Import::default(), file: 0 }
        };
        let all = [tensor("a", 0, u64::MAX - 3), tensor("b", u64::MAX - 3, u64::MAX)];
        let error = check(&all, 32, 100).expect_err("no place behind it");
        let failure = error.failure();
        assert_eq!(failure.code, Code::SizeOverflow);
        assert_eq!(failure.actual, Some((u64::MAX - 3).to_string()));
        let error = check(&all[..1], 32, 100).expect_err("beyond the data");
        assert_eq!(error.code(), Code::Truncated);
    }
}
