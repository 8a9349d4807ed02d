//! Device memory from `cuMemAlloc`, and checked ranges of it.
//!
//! Only plain allocations are used, never the stream-ordered pool. A legacy IPC handle cannot share
//! pool memory with another process, and the judge is another process than the loader.

use std::fmt;

use super::calls::CUipcMemHandle;
use super::context::Context;
use super::error::{GpuError, check_range, report};

/// A block of device memory, freed on drop.
#[derive(Debug)]
pub struct DeviceBuffer {
    context: Context,
    pointer: u64,
    bytes: usize,
}

impl Context {
    /// Allocates device memory, with undefined contents.
    ///
    /// # Errors
    ///
    /// [`GpuError::is_out_of_memory`] if it does not fit. Zero bytes are refused, because the
    /// driver has no empty allocations; the caller must handle this case.
    pub fn allocate(&self, bytes: usize) -> Result<DeviceBuffer, GpuError> {
        if bytes == 0 {
            return Err(GpuError::refused("allocate", "zero bytes asked for"));
        }
        let mut pointer = 0;
        // SAFETY: `pointer` outlives the call; any size may be asked for.
        unsafe { self.bind()?.cuMemAlloc_v2(&raw mut pointer, bytes) }?;
        Ok(DeviceBuffer { context: self.clone(), pointer, bytes })
    }
}

impl DeviceBuffer {
    /// The device address of the first byte.
    pub fn pointer(&self) -> u64 {
        self.pointer
    }

    /// The size asked for, in bytes; never zero.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The device it lies on.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The legacy IPC handle, by which another process on this machine can open the memory.
    ///
    /// It stays valid until this buffer is dropped. The process that made it cannot import it.
    pub fn ipc_handle(&self) -> Result<[u8; 64], GpuError> {
        let mut handle = CUipcMemHandle { reserved: [0; 64] };
        // SAFETY: `handle` outlives the call; the pointer is the base of a live allocation.
        unsafe { self.context.bind()?.cuIpcGetMemHandle(&raw mut handle, self.pointer) }?;
        Ok(handle.reserved.map(|byte| byte as u8))
    }

    /// Part of the buffer, checked to lie inside it.
    pub fn range(&self, offset: usize, bytes: usize) -> Result<DeviceRange<'_>, GpuError> {
        DeviceRange::inside(&self.context, self.pointer, self.bytes, offset, bytes)
    }

    /// Copies `source` to `offset` and waits until it has arrived.
    pub fn write(&self, offset: usize, source: &[u8]) -> Result<(), GpuError> {
        self.range(offset, source.len())?.write(source)
    }

    /// Copies from `offset` into `destination`, waiting for it.
    ///
    /// Uploads through a ring must have been [finished](crate::gpu::Uploader::finish) before. For
    /// long reads a [`Downloader`](crate::gpu::Downloader) is several times faster.
    pub fn read(&self, offset: usize, destination: &mut [u8]) -> Result<(), GpuError> {
        check_range("read", offset, destination.len(), self.bytes)?;
        if destination.is_empty() {
            return Ok(());
        }
        // SAFETY: the destination is a live, exclusive slice of that length; the source range lies
        // in a live allocation; the call returns when the copy is complete.
        unsafe {
            self.context.bind()?.cuMemcpyDtoH_v2(
                destination.as_mut_ptr().cast(),
                self.pointer + offset as u64,
                destination.len(),
            )
        }
    }

    /// Sets every byte, and waits for it.
    pub fn fill(&self, byte: u8) -> Result<(), GpuError> {
        // SAFETY: the range is exactly the live allocation.
        unsafe { self.context.bind()?.cuMemsetD8_v2(self.pointer, byte, self.bytes) }?;
        self.context.synchronize_null_stream()
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        // Copies into it may still be queued on a ring's stream, so the device is drained before
        // the memory is freed. If that fails, the context and its memory are lost, so there is
        // nothing to free.
        let released = self.context.synchronize().and_then(|()| {
            // SAFETY: the pointer came from `cuMemAlloc_v2`, is freed only here, and no copy that
            // this process queued is left.
            unsafe { self.context.bind()?.cuMemFree_v2(self.pointer) }
        });
        report(released);
    }
}

/// Unified (managed) memory, which a loader must not claim to be device memory.
///
/// Only tests of that claim allocate it.
#[derive(Debug)]
pub struct ManagedBuffer {
    context: Context,
    pointer: u64,
    bytes: usize,
}

impl ManagedBuffer {
    /// Allocates managed memory visible to every device.
    pub fn allocate(context: &Context, bytes: usize) -> Result<ManagedBuffer, GpuError> {
        /// `CU_MEM_ATTACH_GLOBAL`
        const ATTACH_GLOBAL: u32 = 1;
        if bytes == 0 {
            return Err(GpuError::refused("allocate", "zero bytes asked for"));
        }
        let mut pointer = 0;
        // SAFETY: `pointer` outlives the call; the flag is one of the two that are defined.
        unsafe { context.bind()?.cuMemAllocManaged(&raw mut pointer, bytes, ATTACH_GLOBAL) }?;
        Ok(ManagedBuffer { context: context.clone(), pointer, bytes })
    }

    /// The address, the same for host and device.
    pub fn pointer(&self) -> u64 {
        self.pointer
    }

    /// The size asked for, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for ManagedBuffer {
    fn drop(&mut self) {
        report(self.context.bind().and_then(|driver| {
            // SAFETY: the pointer came from `cuMemAllocManaged` and is freed only here; no safe
            // function copies to or from it.
            unsafe { driver.cuMemFree_v2(self.pointer) }
        }));
    }
}

/// Part of a live device allocation, own or imported.
#[derive(Clone, Copy)]
pub struct DeviceRange<'a> {
    context: &'a Context,
    pointer: u64,
    bytes: usize,
}

impl<'a> DeviceRange<'a> {
    /// `bytes` at `offset` in an allocation of `available` bytes at `base`, which must live for
    /// `'a`.
    pub(crate) fn inside(
        context: &'a Context,
        base: u64,
        available: usize,
        offset: usize,
        bytes: usize,
    ) -> Result<DeviceRange<'a>, GpuError> {
        check_range("range", offset, bytes, available)?;
        Ok(DeviceRange { context, pointer: base + offset as u64, bytes })
    }

    /// The device address of its first byte.
    pub fn pointer(&self) -> u64 {
        self.pointer
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Copies `source`, which must be as long, into it and waits until it has arrived.
    pub fn write(&self, source: &[u8]) -> Result<(), GpuError> {
        check_range("write", 0, source.len(), self.bytes)?;
        if source.is_empty() {
            return Ok(());
        }
        // SAFETY: the source is a live slice of that length; the target range lies in a live
        // allocation. The call has read the whole source when it returns, even if the last bytes
        // are still copied from the driver's own staging memory.
        unsafe {
            self.context.bind()?.cuMemcpyHtoD_v2(self.pointer, source.as_ptr().cast(), source.len())
        }?;
        // Streams of this module do not wait for the null stream, so this waits for it.
        self.context.synchronize_null_stream()
    }

    /// The device it lies on.
    pub fn context(&self) -> &'a Context {
        self.context
    }
}

impl fmt::Debug for DeviceRange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {:#x}", self.bytes, self.pointer)
    }
}
