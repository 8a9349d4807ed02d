//! What the driver itself says about an address, whoever claims what about it.

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
/// [`GpuError::is_invalid_value`] for an address that CUDA does not know. That is the only test of
/// realness: made-up addresses and real ones look alike.
pub fn pointer_facts(context: &Context, pointer: u64) -> Result<PointerFacts, GpuError> {
    /// `CU_MEMORYTYPE_DEVICE`
    const DEVICE: u32 = 2;
    let driver = context.bind()?;
    let ask = |attribute| {
        // Attributes are 1, 4 or 8 bytes wide. A zeroed, 8 byte wide, little-endian target holds
        // each of them rightly.
        let mut value: u64 = 0;
        // SAFETY: the target outlives the call and is as wide as the widest attribute asked for
        // here; the driver looks the address up in its own tables and never reads through it.
        unsafe { driver.cuPointerGetAttribute((&raw mut value).cast(), attribute, pointer) }?;
        Ok::<u64, GpuError>(value)
    };
    let is_device = ask(CUpointer_attribute::CU_POINTER_ATTRIBUTE_MEMORY_TYPE)? as u32 == DEVICE;
    let managed = ask(CUpointer_attribute::CU_POINTER_ATTRIBUTE_IS_MANAGED)? as u32 != 0;
    let ordinal = ask(CUpointer_attribute::CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)? as i32;
    let ipc_capable =
        ask(CUpointer_attribute::CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE)? as u32 != 0;
    let (range_base, range_bytes) = if is_device && !managed {
        address_range(context, pointer)?
    } else {
        // The call above knows device allocations only.
        (
            ask(CUpointer_attribute::CU_POINTER_ATTRIBUTE_RANGE_START_ADDR)?,
            ask(CUpointer_attribute::CU_POINTER_ATTRIBUTE_RANGE_SIZE)?,
        )
    };
    Ok(PointerFacts { is_device, managed, ordinal, ipc_capable, range_base, range_bytes })
}

/// Base and length in bytes of the device allocation around an address.
pub(super) fn address_range(context: &Context, pointer: u64) -> Result<(u64, u64), GpuError> {
    let (mut base, mut bytes) = (0, 0);
    // SAFETY: both targets outlive the call; the address is looked up, not read through.
    unsafe { context.bind()?.cuMemGetAddressRange_v2(&raw mut base, &raw mut bytes, pointer) }?;
    Ok((base, bytes as u64))
}
