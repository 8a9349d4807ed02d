//! `GpuMemoryAllocator`: device memory by address, for callers that manage it themselves.

use std::collections::BTreeMap;

use crate::contract::Phase;
use crate::gpu::{Context, DeviceBuffer};

use crate::loader::device;
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};
use crate::loader::memory::block::allocate;
use crate::loader::remedies::Remedy;
use crate::loader::remedies::request::{ADDRESS_NOT_KNOWN, NOTHING_TO_ALLOCATE, RANGE_OUTSIDE};

/// A device address returned by an allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DevicePtr(u64);

impl DevicePtr {
    /// The address, as the driver gave it.
    pub fn as_raw(self) -> u64 {
        self.0
    }
}

/// Allocates and frees device memory.
pub trait GpuMemoryAllocator: Send + Sync {
    /// Allocates device memory with undefined content.
    ///
    /// # Errors
    /// `out_of_device_memory`; `invalid_request` for zero bytes.
    fn allocate(&mut self, size_bytes: usize) -> Result<DevicePtr>;

    /// Copies bytes to the start of an allocation and waits for them.
    ///
    /// # Errors
    /// `invalid_request` for an unknown address, or for more bytes than the allocation holds;
    /// `device_fault`.
    fn copy_to_device(&self, to: DevicePtr, from: &[u8]) -> Result<()>;

    /// Frees an allocation.
    ///
    /// # Errors
    /// `invalid_request` for an unknown address, or one that was freed before.
    fn free(&mut self, pointer: DevicePtr) -> Result<()>;

    /// Bytes allocated and not yet freed.
    fn total_allocated(&self) -> usize;

    /// Free bytes on the device, as the driver reports them for all processes.
    ///
    /// # Errors
    /// `device_fault`.
    fn available_memory(&self) -> Result<usize>;
}

/// The reference implementation, with plain `cuMemAlloc`. Frees all remaining allocations on drop.
#[derive(Debug)]
pub struct CudarGpuAllocator {
    context: Context,
    blocks: BTreeMap<DevicePtr, DeviceBuffer>,
}

impl CudarGpuAllocator {
    /// Opens a device.
    ///
    /// # Errors
    /// `cuda_unavailable`, `invalid_device`.
    pub fn new(device_id: u32) -> Result<Self> {
        let context = Gpus::default().context(device_id)?;
        Ok(CudarGpuAllocator { context, blocks: BTreeMap::new() })
    }
}

impl GpuMemoryAllocator for CudarGpuAllocator {
    fn allocate(&mut self, size_bytes: usize) -> Result<DevicePtr> {
        let buffer = allocate(&self.context, size_bytes as u64)?;
        let buffer = buffer.ok_or_else(|| {
            wrong(NOTHING_TO_ALLOCATE, "no empty allocations", "1 byte or more", 0)
        })?;
        let pointer = DevicePtr(buffer.pointer());
        self.blocks.insert(pointer, buffer);
        Ok(pointer)
    }

    fn copy_to_device(&self, to: DevicePtr, from: &[u8]) -> Result<()> {
        let buffer = self.blocks.get(&to).ok_or_else(|| unknown(to))?;
        if from.len() > buffer.bytes() {
            let most = format!("at most {} bytes", buffer.bytes());
            let message = "more bytes than the allocation holds";
            return Err(wrong(RANGE_OUTSIDE, message, &most, from.len() as u64));
        }
        buffer
            .write(0, from)
            .map_err(|error| device::fault(self.context.ordinal(), Phase::Copy, &error))
    }

    fn free(&mut self, pointer: DevicePtr) -> Result<()> {
        self.blocks.remove(&pointer).map(drop).ok_or_else(|| unknown(pointer))
    }

    fn total_allocated(&self) -> usize {
        self.blocks.values().map(DeviceBuffer::bytes).sum()
    }

    fn available_memory(&self) -> Result<usize> {
        let memory = self.context.memory();
        let memory =
            memory.map_err(|error| device::fault(self.context.ordinal(), Phase::Alloc, &error))?;
        Ok(memory.0)
    }
}

fn unknown(pointer: DevicePtr) -> LoadError {
    let message = "address not given out by this allocator";
    wrong(ADDRESS_NOT_KNOWN, message, "an address that is held", pointer.0)
}

fn wrong(cause: Remedy, what: &str, expected: &str, actual: u64) -> LoadError {
    LoadError::refused(Phase::Request, cause, what).expected(expected, actual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    #[test]
    fn an_allocator_needs_a_device() {
        if crate::gpu::device_count().is_err() {
            let error = CudarGpuAllocator::new(0).expect_err("no device");
            assert_eq!((error.code(), error.phase()), (Code::CudaUnavailable, Phase::Preflight));
        }
    }

    #[test]
    fn an_address_of_another_is_refused_with_the_address() {
        let error = unknown(DevicePtr(4096));
        let failure = error.failure();
        let told = (failure.expected.as_deref(), failure.actual.as_deref());
        assert_eq!(told, (Some("an address that is held"), Some("4096")));
        assert_eq!((failure.code, DevicePtr(4096).as_raw()), (Code::InvalidRequest, 4096));
    }
}
