//! Copies bytes to a device and back, many times, on its own stream.

use std::mem;

use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::GpuError;
use crate::gpu::driver::memory::DeviceBuffer;
use crate::gpu::driver::pinned::PinnedBuffer;
use crate::gpu::driver::stream::Stream;

/// Memory for round trips, set up once: two page-locked buffers and one on the device.
///
/// Each trip copies from one page-locked buffer to the device, and from there into the other
/// buffer. The next trip starts from that buffer, so an error in one trip shows in the final bytes.
#[derive(Debug)]
pub struct RoundTrip {
    stream: Stream,
    device: DeviceBuffer,
    from: PinnedBuffer,
    to: PinnedBuffer,
}

impl RoundTrip {
    /// Allocates three buffers of `bytes` bytes each. Zero bytes are refused.
    pub fn new(context: &Context, bytes: usize) -> Result<RoundTrip, GpuError> {
        Ok(RoundTrip {
            stream: Stream::new(context)?,
            device: context.allocate(bytes)?,
            from: PinnedBuffer::allocate(context, bytes)?,
            to: PinnedBuffer::allocate(context, bytes)?,
        })
    }

    /// The bytes that the next trip starts from; after trips, those that came back.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.from.as_mut_slice()
    }

    /// Makes this many trips and waits for the last one.
    ///
    /// # Errors
    /// Those of the driver. The memory is then leaked, because a copy may still run.
    pub fn go(mut self, rounds: u32) -> Result<RoundTrip, GpuError> {
        let bytes = self.from.bytes();
        for _ in 0..rounds {
            let queued = {
                // SAFETY: all three memories are `bytes` long and alive; nobody touches them until
                // the stream is drained below, and where it cannot be, they are never freed.
                unsafe {
                    self.stream
                        .copy_to_device(self.from.as_slice().as_ptr(), self.device.pointer(), bytes)
                        .and_then(|()| {
                            self.stream.copy_to_host(self.device.pointer(), self.to.start(), bytes)
                        })
                }
            };
            if let Err(error) = self.stream.synchronize().and(queued) {
                mem::forget(self);
                return Err(error);
            }
            mem::swap(&mut self.from, &mut self.to);
        }
        Ok(self)
    }
}
