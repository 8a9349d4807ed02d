//! Descriptions of matrices for the tensor copy engine (TMA) of compute capability 9.0 and later.

use std::ffi::c_void;
use std::ptr;

use super::calls::{
    CUtensorMap, CUtensorMapDataType, CUtensorMapFloatOOBfill, CUtensorMapInterleave,
    CUtensorMapL2promotion, CUtensorMapSwizzle,
};
use super::context::Context;
use super::error::GpuError;

/// What the copy engine needs to know about a matrix in device memory. Passed to kernels by value.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(128))]
pub(crate) struct TensorMap([u64; 16]);

impl TensorMap {
    /// A matrix of BF16 elements at an address, with its rows and columns. It is brought in boxes
    /// of rows and columns; a row of a box must have 128 bytes, which shared memory then holds
    /// swizzled. What lies outside the matrix arrives as zeros.
    ///
    /// # Errors
    ///
    /// If the address or the bytes of a row are no multiple of 16, or a size is out of range.
    pub(crate) fn of_rows(
        context: &Context,
        (address, rows, columns): (u64, usize, usize),
        (box_rows, box_columns): (usize, usize),
    ) -> Result<TensorMap, GpuError> {
        let driver = context.bind()?;
        let mut map = TensorMap([0; 16]);
        let sizes = [columns as u64, rows as u64];
        let row_bytes = [columns as u64 * 2];
        let of_box = [box_columns as u32, box_rows as u32];
        let every_element = [1u32; 2];
        // SAFETY: the arrays have as many values as the call reads for two dimensions, and outlive
        // it; the map has the size and alignment that the driver asks for. The address is only
        // stored: whoever launches a kernel with the map vouches for the memory.
        unsafe {
            driver.cuTensorMapEncodeTiled(
                ptr::from_mut(&mut map).cast(),
                CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                sizes.len() as u32,
                address as *mut c_void,
                sizes.as_ptr(),
                row_bytes.as_ptr(),
                of_box.as_ptr(),
                every_element.as_ptr(),
                CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        }?;
        Ok(map)
    }
}

const _: () = {
    assert!(size_of::<TensorMap>() == size_of::<CUtensorMap>());
    assert!(align_of::<TensorMap>() >= align_of::<CUtensorMap>());
};
