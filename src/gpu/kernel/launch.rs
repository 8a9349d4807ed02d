//! What a launch is told: the pointers to a kernel's arguments, and how many blocks it takes.

use std::ffi::c_void;
use std::ptr;

use crate::gpu::driver::error::GpuError;

/// Values that an element-wise block takes.
pub(in crate::gpu) const BLOCK: u32 = 256;

/// A kernel's argument.
pub(in crate::gpu) fn argument<T>(value: &mut T) -> *mut c_void {
    ptr::from_mut(value).cast()
}

/// Blocks for so many values, one a thread.
pub(in crate::gpu) fn blocks(count: u64) -> Result<u32, GpuError> {
    u32::try_from(count.div_ceil(u64::from(BLOCK)))
        .map_err(|_| GpuError::refused("launch", format!("too many values: {count}")))
}
