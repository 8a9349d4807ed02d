//! Helpers for a kernel launch: pointers to arguments, and the number of blocks.

use std::ffi::c_void;
use std::ptr;

use crate::gpu::driver::error::GpuError;

/// Threads of an element-wise block; each handles one value.
pub(in crate::gpu) const BLOCK: u32 = 256;

/// A kernel's argument.
pub(in crate::gpu) fn argument<T>(value: &mut T) -> *mut c_void {
    ptr::from_mut(value).cast()
}

/// The number of blocks of `BLOCK` threads for `count` values.
pub(in crate::gpu) fn blocks(count: u64) -> Result<u32, GpuError> {
    u32::try_from(count.div_ceil(u64::from(BLOCK)))
        .map_err(|_| GpuError::refused("launch", format!("too many values: {count}")))
}
