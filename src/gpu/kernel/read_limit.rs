//! Measures how fast a device reads its own memory, which limits the speed of decoding.

use super::Kernels;
use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::GpuError;
use crate::gpu::driver::stream::{Event, Stream};
use crate::gpu::kernel::launch::argument;

/// Bytes of a measured read: many times the size of a device's caches.
const BYTES: usize = 4 << 30;

/// Runs. The fastest one counts, because other work on the machine slows the others.
const RUNS: usize = 8;

/// Threads per block, and blocks per multiprocessor.
const THREADS: u32 = 512;
const BLOCKS: usize = 4;

/// The best rate at which a kernel reads device memory, in GB/s (10^9 bytes a second), by the
/// device's own clock. Needs 4 GiB on the device.
///
/// # Errors
///
/// [`GpuError::is_out_of_memory`]; or another error of the driver.
pub fn read_limit(context: &Context) -> Result<f64, GpuError> {
    let kernels = Kernels::new(context)?;
    let (data, sums) = (context.allocate(BYTES)?, context.allocate(4)?);
    data.fill(0x5a)?;
    sums.fill(0)?;
    let stream = Stream::new(context)?;
    let (begin, end) = (Event::timed(context)?, Event::timed(context)?);
    let blocks = u32::try_from(context.multiprocessors()? * BLOCKS)
        .map_err(|_| GpuError::refused("read limit", "too many blocks"))?;
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let (mut from, mut to) = (data.pointer(), sums.pointer());
        let mut count = (BYTES / 16) as u64;
        begin.record(&stream)?;
        let arguments = &mut [argument(&mut from), argument(&mut count), argument(&mut to)];
        // SAFETY: the arguments are those of the kernel, which reads exactly `data` and adds to the
        // four bytes of `sums`; the drops of both wait for the device.
        unsafe { kernels.read_all.launch(&stream, blocks, THREADS, arguments) }?;
        end.record(&stream)?;
        end.synchronize()?;
        best = best.min(end.seconds_since(&begin)?);
    }
    Ok(BYTES as f64 / best / 1e9)
}
