//! Streams, events, and the two asynchronous copies.
//!
//! The copies are unsafe, and only `src/gpu` calls them. Their callers, such as
//! [`Uploader`](crate::gpu::Uploader) and [`Downloader`](crate::gpu::Downloader), keep the host
//! memory alive and unchanged until the copies end.

use std::ptr;

use super::calls::{CUevent, CUstream};
use super::context::Context;
use super::error::{GpuError, report};

/// A queue of device work, independent of the null stream.
#[derive(Debug)]
pub struct Stream {
    context: Context,
    raw: CUstream,
}

// SAFETY: the driver's handles are valid in every thread, and its calls are thread-safe.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    /// A new, empty stream.
    pub fn new(context: &Context) -> Result<Stream, GpuError> {
        /// `CU_STREAM_NON_BLOCKING`: does not wait for the null stream, nor the other way round.
        const NON_BLOCKING: u32 = 1;
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` outlives the call; the flag is a defined one.
        unsafe { context.bind()?.cuStreamCreate(&raw mut raw, NON_BLOCKING) }?;
        Ok(Stream { context: context.clone(), raw })
    }

    /// Waits until all work queued so far is done.
    pub fn synchronize(&self) -> Result<(), GpuError> {
        // SAFETY: the stream is alive until `self` is dropped.
        unsafe { self.context.bind()?.cuStreamSynchronize(self.raw) }
    }

    /// Makes work queued from now on wait for the latest recording of `event`. Does not wait if the
    /// event was never recorded.
    pub fn wait(&self, event: &Event) -> Result<(), GpuError> {
        /// No flags: the only one that exists would capture the wait into a graph.
        const PLAIN: u32 = 0;
        // SAFETY: both handles are alive, and the driver keeps what it needs of the event.
        unsafe { self.context.bind()?.cuStreamWaitEvent(self.raw, event.raw, PLAIN) }
    }

    /// The driver's handle, for a launch.
    pub(crate) fn raw(&self) -> CUstream {
        self.raw
    }

    /// The context that it belongs to.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Queues a copy from host memory to the device.
    ///
    /// # Safety
    ///
    /// Until the copy has ended on the device: `from` is readable for `bytes` and nobody writes
    /// to it, and `to` is a live range of `bytes` on this context's device.
    pub(crate) unsafe fn copy_to_device(
        &self,
        from: *const u8,
        to: u64,
        bytes: usize,
    ) -> Result<(), GpuError> {
        let driver = self.context.bind()?;
        // SAFETY: the caller vouches for both ranges; the stream is alive.
        unsafe { driver.cuMemcpyHtoDAsync_v2(to, from.cast(), bytes, self.raw) }
    }

    /// Queues a copy from the device to host memory.
    ///
    /// # Safety
    ///
    /// Until the copy has ended on the device: `to` is writable for `bytes` and nobody else
    /// touches it, and `from` is a live range of `bytes` on this context's device.
    pub(crate) unsafe fn copy_to_host(
        &self,
        from: u64,
        to: *mut u8,
        bytes: usize,
    ) -> Result<(), GpuError> {
        let driver = self.context.bind()?;
        // SAFETY: the caller vouches for both ranges; the stream is alive.
        unsafe { driver.cuMemcpyDtoHAsync_v2(to.cast(), from, bytes, self.raw) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        report(self.context.bind().and_then(|driver| {
            // SAFETY: destroyed only here; the driver lets queued work end before it releases it.
            unsafe { driver.cuStreamDestroy_v2(self.raw) }
        }));
    }
}

/// A CUDA event: a mark in a stream, which passes when all work before it has ended.
#[derive(Debug)]
pub struct Event {
    context: Context,
    raw: CUevent,
}

// SAFETY: the driver's handles are valid in every thread, and its calls are thread-safe.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// A new event, not recorded yet, that does not measure time. A wait for it spins.
    pub fn new(context: &Context) -> Result<Event, GpuError> {
        /// `CU_EVENT_DISABLE_TIMING`: a timed event delays the copies after it by microseconds, a
        /// twentieth of a slot's copy.
        const UNTIMED: u32 = 2;
        Event::with_flags(context, UNTIMED)
    }

    /// A new event that measures time.
    pub fn timed(context: &Context) -> Result<Event, GpuError> {
        const TIMED: u32 = 0;
        Event::with_flags(context, TIMED)
    }

    fn with_flags(context: &Context, flags: u32) -> Result<Event, GpuError> {
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` outlives the call; both sets of flags above are defined.
        unsafe { context.bind()?.cuEventCreate(&raw mut raw, flags) }?;
        Ok(Event { context: context.clone(), raw })
    }

    /// Records the event after all work that is in the stream now.
    pub fn record(&self, stream: &Stream) -> Result<(), GpuError> {
        // SAFETY: both handles are alive; handles of two contexts are an error, not undefined.
        unsafe { self.context.bind()?.cuEventRecord(self.raw, stream.raw) }
    }

    /// Waits until the event has passed; returns at once if it was never recorded.
    pub fn synchronize(&self) -> Result<(), GpuError> {
        // SAFETY: the event is alive until `self` is dropped.
        unsafe { self.context.bind()?.cuEventSynchronize(self.raw) }
    }

    /// Seconds of device time from `start` to this event; both must be [`timed`](Self::timed) and
    /// have passed.
    pub fn seconds_since(&self, start: &Event) -> Result<f64, GpuError> {
        let mut milliseconds = 0.0;
        // SAFETY: the target outlives the call and both events are alive.
        unsafe {
            self.context.bind()?.cuEventElapsedTime_v2(&raw mut milliseconds, start.raw, self.raw)
        }?;
        Ok(f64::from(milliseconds) / 1e3)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        report(self.context.bind().and_then(|driver| {
            // SAFETY: destroyed only here; a pending record ends before the driver releases it.
            unsafe { driver.cuEventDestroy_v2(self.raw) }
        }));
    }
}
