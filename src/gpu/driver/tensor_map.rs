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
        let row_bytes = columns as u64 * 2;
        let sizes = [columns as u64, rows as u64];
        TensorMap::tiled(
            context,
            address,
            sizes,
            &[row_bytes],
            [box_columns as u32, box_rows as u32],
        )
    }

    /// Two such matrices of one shape. Rows are brought in groups of eight: eight of the matrix at
    /// the lower address, the same eight of the other one, and so on. A box has `groups` groups of
    /// each.
    ///
    /// # Errors
    ///
    /// As above; or if the number of rows is no multiple of eight.
    pub(crate) fn of_pairs(
        context: &Context,
        addresses: [u64; 2],
        (rows, columns): (usize, usize),
        (groups, box_columns): (usize, usize),
    ) -> Result<TensorMap, GpuError> {
        const GROUP: usize = 8;
        if !rows.is_multiple_of(GROUP) {
            return Err(GpuError::refused("tensor map", format!("groups of 8 in {rows} rows")));
        }
        let (first, apart) = (addresses[0].min(addresses[1]), addresses[0].abs_diff(addresses[1]));
        let row_bytes = columns as u64 * 2;
        let sizes = [columns as u64, GROUP as u64, 2, (rows / GROUP) as u64];
        let strides = [row_bytes, apart, row_bytes * GROUP as u64];
        let of_box = [box_columns as u32, GROUP as u32, 2, groups as u32];
        TensorMap::tiled(context, first, sizes, &strides, of_box)
    }

    /// BF16 elements with these sizes, the innermost dimension first. The strides are those of the
    /// other dimensions, in bytes.
    fn tiled<const N: usize>(
        context: &Context,
        address: u64,
        sizes: [u64; N],
        strides: &[u64],
        of_box: [u32; N],
    ) -> Result<TensorMap, GpuError> {
        let driver = context.bind()?;
        let mut map = TensorMap([0; 16]);
        let every_element = [1u32; N];
        if strides.len() + 1 != N {
            return Err(GpuError::refused("tensor map", "a stride for each dimension but one"));
        }
        // SAFETY: the arrays have as many values as the call reads for N dimensions, and outlive it;
        // the map has the size and alignment that the driver asks for. The address is only stored:
        // whoever launches a kernel with the map vouches for the memory.
        unsafe {
            driver.cuTensorMapEncodeTiled(
                ptr::from_mut(&mut map).cast(),
                CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                N as u32,
                address as *mut c_void,
                sizes.as_ptr(),
                strides.as_ptr(),
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
