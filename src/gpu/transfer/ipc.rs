//! Device memory of another process, opened by its legacy IPC handle.

use std::sync::{Mutex, PoisonError};

use super::download::Downloader;
use crate::gpu::driver::calls::CUipcMemHandle;
use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::{GpuError, report};
use crate::gpu::driver::memory::DeviceRange;
use crate::gpu::driver::pointer::address_range;

/// Another process's device allocation, mapped here; closed on drop.
#[derive(Debug)]
pub struct ImportedBuffer {
    context: Context,
    pointer: u64,
    bytes: usize,
    // Made by the first read and kept, since locking its memory costs milliseconds.
    staging: Mutex<Option<Downloader>>,
}

impl Context {
    /// Opens the allocation behind `handle`. The exporter claims that it holds `bytes`.
    ///
    /// # Errors
    ///
    /// The driver's error for a handle that is stale, invented or from this process. Refused if
    /// the mapped allocation is shorter than `bytes`.
    pub fn import(&self, handle: [u8; 64], bytes: usize) -> Result<ImportedBuffer, GpuError> {
        /// `CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS`, the one flag that the call accepts.
        const LAZY_PEER_ACCESS: u32 = 1;
        let raw = CUipcMemHandle { reserved: handle.map(|byte| byte as core::ffi::c_char) };
        let mut pointer = 0;
        // SAFETY: `pointer` outlives the call; the driver checks the handle and refuses one that
        // it did not make.
        unsafe { self.bind()?.cuIpcOpenMemHandle_v2(&raw mut pointer, raw, LAZY_PEER_ACCESS) }?;
        // From here on the mapping is closed by the destructor, on the error paths too.
        let imported =
            ImportedBuffer { context: self.clone(), pointer, bytes, staging: Mutex::new(None) };
        let (base, length) = address_range(self, pointer)?;
        let mapped = (base + length).saturating_sub(pointer);
        match bytes as u64 <= mapped {
            true => Ok(imported),
            false => Err(GpuError::refused(
                "import",
                format!("exporter claims {bytes} bytes, mapped allocation holds {mapped}"),
            )),
        }
    }
}

impl ImportedBuffer {
    /// The device address of the first byte, in this process.
    pub fn pointer(&self) -> u64 {
        self.pointer
    }

    /// The size that the exporter claims, in bytes; the mapping holds at least that.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Part of the memory, checked to lie inside the claimed size.
    ///
    /// The exporter can still free or change the memory. This shows as an error of the driver or
    /// as other bytes.
    pub fn range(&self, offset: usize, bytes: usize) -> Result<DeviceRange<'_>, GpuError> {
        DeviceRange::inside(&self.context, self.pointer, self.bytes, offset, bytes)
    }

    /// Copies from `offset` into `destination` through pinned staging, waiting for it.
    pub fn read(&self, offset: usize, destination: &mut [u8]) -> Result<(), GpuError> {
        let range = self.range(offset, destination.len())?;
        self.staged(|staging| staging.read(range, destination))
    }

    /// Copies `source` to `offset`, waiting for it. The exporter sees the change.
    pub fn write(&self, offset: usize, source: &[u8]) -> Result<(), GpuError> {
        self.range(offset, source.len())?.write(source)
    }

    /// Passes the bytes from `offset` on to `see` in pieces, in order, each with its distance from
    /// `offset`, without collecting them in memory.
    pub fn visit(
        &self,
        offset: usize,
        bytes: usize,
        see: impl FnMut(usize, &[u8]),
    ) -> Result<(), GpuError> {
        let range = self.range(offset, bytes)?;
        self.staged(|staging| staging.visit(range, see))
    }

    fn staged(
        &self,
        work: impl FnOnce(&mut Downloader) -> Result<(), GpuError>,
    ) -> Result<(), GpuError> {
        // Staging stays usable after a panic in `work`, because each use drains it first.
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *staging {
            Some(staging) => work(staging),
            None => work(staging.insert(Downloader::new(&self.context)?)),
        }
    }
}

impl Drop for ImportedBuffer {
    fn drop(&mut self) {
        // Dropping the staging waits for any copy out of the mapping that an error left behind.
        drop(self.staging.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        report(self.context.bind().and_then(|driver| {
            // SAFETY: the pointer came from `cuIpcOpenMemHandle_v2`, is closed only here, and
            // nothing of this process reads through it any more: ranges borrow `self`.
            unsafe { driver.cuIpcCloseMemHandle(self.pointer) }
        }));
    }
}
