//! Asks the driver about an address, independently of what a loader claims about it.

use std::ffi::c_void;
use std::ptr;

use super::calls::CUpointer_attribute;
use super::context::Context;
use super::error::GpuError;

/// The driver's answer about one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointerFacts {
    /// The memory lies on a device, not on the host.
    pub is_device: bool,
    /// The memory is unified (managed) and may move.
    pub managed: bool,
    /// The CUDA ordinal of the device it belongs to.
    pub ordinal: i32,
    /// A legacy IPC handle can be made for it: true of `cuMemAlloc` memory, false of pool memory.
    pub ipc_capable: bool,
    /// Where the allocation around the address begins.
    pub range_base: u64,
    /// How long that allocation is, in bytes.
    pub range_bytes: u64,
}

/// Asks the driver about an address of this process.
///
/// # Errors
///
/// [`GpuError::is_invalid_value`] for an address that CUDA does not know. Nothing else tells an
/// invented address from a real one.
pub fn pointer_facts(context: &Context, pointer: u64) -> Result<PointerFacts, GpuError> {
    /// `CU_MEMORYTYPE_DEVICE`
    const DEVICE: u32 = 2;
    let driver = context.bind()?;
    // Attributes are 1, 4 or 8 bytes wide. A zeroed, little-endian target of 8 bytes gives the
    // right value for each width.
    let mut memory_type: u64 = 0;
    // SAFETY: the target outlives the call and is wide enough; the driver looks the address up in
    // its own tables and never reads through it.
    unsafe {
        driver.cuPointerGetAttribute(
            (&raw mut memory_type).cast(),
            CUpointer_attribute::CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
            pointer,
        )
    }?;
    // The plural form gives zero, and no error, for an attribute that this kind of memory lacks.
    // It would do so for an unknown address too, so it comes second.
    let mut attributes = [
        CUpointer_attribute::CU_POINTER_ATTRIBUTE_IS_MANAGED,
        CUpointer_attribute::CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
        CUpointer_attribute::CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE,
        CUpointer_attribute::CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
        CUpointer_attribute::CU_POINTER_ATTRIBUTE_RANGE_SIZE,
    ];
    let mut values = [0u64; 5];
    let mut targets = values.each_mut().map(|value| ptr::from_mut(value).cast::<c_void>());
    // SAFETY: attributes and targets are arrays of five that outlive the call, each target as wide
    // as the widest attribute; the address is looked up, not read through.
    unsafe {
        driver.cuPointerGetAttributes(5, attributes.as_mut_ptr(), targets.as_mut_ptr(), pointer)
    }?;
    let [managed, ordinal, ipc_capable, start, length] = values;
    let (is_device, managed) = (memory_type as u32 == DEVICE, managed as u32 != 0);
    let (range_base, range_bytes) = match is_device && !managed {
        true => address_range(context, pointer)?,
        // `address_range` works only for device allocations.
        false => (start, length),
    };
    Ok(PointerFacts {
        is_device,
        managed,
        ordinal: ordinal as i32,
        ipc_capable: ipc_capable as u32 != 0,
        range_base,
        range_bytes,
    })
}

/// Base and length in bytes of the device allocation around an address.
pub(crate) fn address_range(context: &Context, pointer: u64) -> Result<(u64, u64), GpuError> {
    let (mut base, mut bytes) = (0, 0);
    // SAFETY: both targets outlive the call; the address is looked up, not read through.
    unsafe { context.bind()?.cuMemGetAddressRange_v2(&raw mut base, &raw mut bytes, pointer) }?;
    Ok((base, bytes as u64))
}
