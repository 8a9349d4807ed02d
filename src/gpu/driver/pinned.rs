//! Page-locked host memory, which the copy engines access without the driver's own staging memory.

use std::{ptr, slice};

use super::context::Context;
use super::error::{GpuError, report};

/// Page-locked host memory, freed on drop.
///
/// The memory is cached, not write-combined. Write-combined memory uploads no faster, and the
/// processor, which hashes and scans the bytes, reads it many times slower. Locking costs about
/// 0.4 s per GiB, so buffers are small and reused.
#[derive(Debug)]
pub struct PinnedBuffer {
    context: Context,
    start: *mut u8,
    bytes: usize,
}

// SAFETY: it owns its memory alone, and page-locked memory may be used and freed by any thread.
unsafe impl Send for PinnedBuffer {}
// SAFETY: a shared reference gives shared slices only.
unsafe impl Sync for PinnedBuffer {}

impl PinnedBuffer {
    /// Allocates and locks `bytes` bytes, filled with zeros. Refused if `bytes` is 0.
    pub fn allocate(context: &Context, bytes: usize) -> Result<PinnedBuffer, GpuError> {
        /// No flags: cached. Where host and device share their addresses, as on 64-bit Linux, every
        /// device reaches it at the same address whatever the flags are.
        const PLAIN: u32 = 0;
        if bytes == 0 {
            return Err(GpuError::refused("allocate", "zero bytes asked for"));
        }
        let mut start = ptr::null_mut();
        // SAFETY: `start` outlives the call; any size may be asked for.
        unsafe { context.bind()?.cuMemHostAlloc(&raw mut start, bytes, PLAIN) }?;
        let start = start.cast::<u8>();
        // SAFETY: the driver gave `bytes` writable bytes here. They are written before any slice
        // is made of them, since what they held is not defined.
        unsafe { start.write_bytes(0, bytes) };
        Ok(PinnedBuffer { context: context.clone(), start, bytes })
    }

    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `bytes` initialised bytes, owned by `self`. Code that queues a device copy into
        // them (only in this crate) holds the buffer until the copy has ended.
        unsafe { slice::from_raw_parts(self.start, self.bytes) }
    }

    /// Its bytes, to write.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as for `as_slice`, and `&mut self` makes it the only one.
        unsafe { slice::from_raw_parts_mut(self.start, self.bytes) }
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its start, for a copy into it.
    pub(crate) fn start(&mut self) -> *mut u8 {
        self.start
    }

    /// The context that locked it.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        report(self.context.bind().and_then(|driver| {
            // SAFETY: the pointer came from `cuMemHostAlloc` and is freed only here; a buffer with
            // a copy in flight is never dropped, its holder waits or leaks it.
            unsafe { driver.cuMemFreeHost(self.start.cast()) }
        }));
    }
}
