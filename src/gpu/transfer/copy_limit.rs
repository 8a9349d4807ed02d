//! Measures the best copy speeds of the machine, and can fill device memory until little is free.

use std::mem;
use std::time::Instant;

use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::GpuError;
use crate::gpu::driver::memory::DeviceBuffer;
use crate::gpu::driver::pinned::PinnedBuffer;
use crate::gpu::driver::stream::{Event, Stream};

/// Bytes a measured copy moves: 1.2 ms at 55 GB/s pinned, 11 ms at 6 GB/s pageable, so that all
/// the runs together, with the locking of the buffer, stay below a quarter of a second.
const COPY_BYTES: usize = 64 << 20;

/// Runs of each copy. The fastest one counts, because other work on the machine slows the others.
const RUNS: usize = 5;

/// The smallest piece of device memory that the driver allocates, in bytes.
const SMALLEST_BALLAST: usize = 2 << 20;

/// Copy speeds by the device's own clock, in GB/s (10^9 bytes a second).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CopyLimit {
    /// Host to device from pinned memory.
    pub h2d_pinned_gbps: f64,
    /// Host to device from ordinary memory, through the driver's own staging.
    pub h2d_pageable_gbps: f64,
    /// Device to host into pinned memory.
    pub d2h_pinned_gbps: f64,
}

/// Measures the copy speeds: best of five copies of 64 MiB each, after one that is not counted.
///
/// Needs 64 MiB on the device and twice that on the host.
pub fn copy_limit(context: &Context) -> Result<CopyLimit, GpuError> {
    let device = context.allocate(COPY_BYTES)?;
    let mut pinned = PinnedBuffer::allocate(context, COPY_BYTES)?;
    // Written, not only reserved: all pages that were never written map to one page of zeros.
    let pageable = vec![0x5a_u8; COPY_BYTES];
    let timer = Timer::new(context)?;
    let measured = measure(&timer, device.pointer(), &mut pinned, &pageable);
    if measured.is_err() {
        // A copy may still run, so the host memory is leaked. The device memory's destructor waits
        // for the device.
        mem::forget(pinned);
        mem::forget(pageable);
    }
    measured
}

/// Copies to one device in a measurement of several at once.
const COPIES_AT_ONCE: usize = 16;

/// The best speed of copies from pinned memory to all these devices at once, in GB/s of all together.
///
/// Needs 64 MiB on each device, and as much on the host for each.
///
/// # Errors
///
/// Those of opening a device and of allocating; the driver's.
pub fn copy_limit_at_once(ordinals: &[u32]) -> Result<f64, GpuError> {
    let lane = |ordinal: &u32| {
        let context = Context::open(*ordinal)?;
        let pinned = PinnedBuffer::allocate(&context, COPY_BYTES)?;
        Ok((Stream::new(&context)?, context.allocate(COPY_BYTES)?, pinned))
    };
    let lanes: Vec<(Stream, DeviceBuffer, PinnedBuffer)> =
        ordinals.iter().map(lane).collect::<Result<_, GpuError>>()?;
    let mut shortest = f64::INFINITY;
    for run in 0..=RUNS {
        let start = Instant::now();
        let queue = |(stream, device, pinned): &(Stream, DeviceBuffer, PinnedBuffer)| {
            (0..COPIES_AT_ONCE).try_for_each(|_| {
                let from = pinned.as_slice().as_ptr();
                // SAFETY: both ranges are `COPY_BYTES` long, and live until the stream was waited for; where
                // that fails, they are never freed.
                unsafe { stream.copy_to_device(from, device.pointer(), COPY_BYTES) }
            })
        };
        let mut done = lanes.iter().try_for_each(queue);
        for (stream, ..) in &lanes {
            // Every stream is waited for, whatever has failed.
            let ended = stream.synchronize();
            done = done.and(ended);
        }
        if let Err(error) = done {
            mem::forget(lanes);
            return Err(error);
        }
        if run > 0 {
            shortest = shortest.min(start.elapsed().as_secs_f64());
        }
    }
    Ok((lanes.len() * COPIES_AT_ONCE * COPY_BYTES) as f64 / shortest / 1e9)
}

/// The three speeds. All three memories are `COPY_BYTES` long and must not be freed if this fails.
fn measure(
    timer: &Timer,
    device: u64,
    pinned: &mut PinnedBuffer,
    pageable: &[u8],
) -> Result<CopyLimit, GpuError> {
    Ok(CopyLimit {
        h2d_pinned_gbps: timer.best(|stream| {
            // SAFETY: both ranges are `COPY_BYTES` long. The timer drains the stream before it
            // returns, and where it cannot, the caller keeps the memory for ever.
            unsafe { stream.copy_to_device(pinned.as_slice().as_ptr(), device, COPY_BYTES) }
        })?,
        h2d_pageable_gbps: timer.best(|stream| {
            // SAFETY: as above.
            unsafe { stream.copy_to_device(pageable.as_ptr(), device, COPY_BYTES) }
        })?,
        d2h_pinned_gbps: timer.best(|stream| {
            // SAFETY: as above; `pinned` is borrowed by this closure alone until then.
            unsafe { stream.copy_to_host(device, pinned.start(), COPY_BYTES) }
        })?,
    })
}

/// Times copies on a stream of its own.
struct Timer {
    stream: Stream,
    start: Event,
    end: Event,
}

impl Timer {
    fn new(context: &Context) -> Result<Timer, GpuError> {
        Ok(Timer {
            stream: Stream::new(context)?,
            start: Event::timed(context)?,
            end: Event::timed(context)?,
        })
    }

    /// The best speed in GB/s. A success, and a failure to queue, return with the stream drained.
    fn best(&self, mut copy: impl FnMut(&Stream) -> Result<(), GpuError>) -> Result<f64, GpuError> {
        let mut shortest = f64::INFINITY;
        for run in 0..=RUNS {
            let queued = self
                .start
                .record(&self.stream)
                .and_then(|()| copy(&self.stream))
                .and_then(|()| self.end.record(&self.stream));
            self.stream.synchronize()?;
            queued?;
            if run > 0 {
                shortest = shortest.min(self.end.seconds_since(&self.start)?);
            }
        }
        Ok(COPY_BYTES as f64 / shortest / 1e9)
    }
}

/// Device memory that is allocated only to leave little for others; freed on drop.
#[derive(Debug)]
pub struct Ballast {
    blocks: Vec<DeviceBuffer>,
}

impl Ballast {
    /// Allocates until about `leave_bytes` are free: at most 2 MiB more, and less only if another
    /// process allocates meanwhile or the driver takes some for its own tables.
    pub fn fill_until(context: &Context, leave_bytes: usize) -> Result<Ballast, GpuError> {
        let mut blocks: Vec<DeviceBuffer> = Vec::new();
        let mut largest = usize::MAX;
        loop {
            let spare = context.memory()?.0.saturating_sub(leave_bytes);
            // Rounded down to whole pieces, so that the driver's rounding up takes nothing more.
            let wanted = spare.min(largest) / SMALLEST_BALLAST * SMALLEST_BALLAST;
            if wanted == 0 {
                return Ok(Ballast { blocks });
            }
            match context.allocate(wanted) {
                Ok(block) => blocks.push(block),
                // Free memory may be in several pieces, and not all of it can be allocated.
                Err(error) if error.is_out_of_memory() => largest = wanted / 2,
                Err(error) => return Err(error),
            }
        }
    }

    /// What it holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(DeviceBuffer::bytes).sum()
    }
}
