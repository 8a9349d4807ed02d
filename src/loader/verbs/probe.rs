//! Small operations that test a device: a matrix product, and a copy to the device and back.

use crate::contract::Phase;
use crate::gpu::{Blas, GpuError, RoundTrip};
use crate::loader::device::{Gpus, fault};
use crate::loader::error::{LoadError, Result};
use crate::loader::memory::block::Block;

/// Multiplies two F32 matrices in `block`, which begin at byte offsets `a` (`[m, k]`) and `b`
/// (`[k, n]`). Returns the product, `[m, n]`.
///
/// # Errors
/// `device_fault`; `cuda_unavailable` if cuBLAS is missing.
pub fn multiply(
    block: &Block,
    a: u64,
    b: u64,
    (m, k, n): (usize, usize, usize),
) -> Result<Vec<f32>> {
    let Some(buffer) = block.buffer() else {
        return Err(LoadError::internal("matrices in an empty model"));
    };
    let product = || {
        let mut blas = Blas::new(buffer.context())?;
        let a = buffer.range(a as usize, m * k * 4)?;
        let b = buffer.range(b as usize, k * n * 4)?;
        blas.multiply(a, b, (m, k, n))
    };
    product().map_err(|error| fault(block.ordinal(), Phase::Infer, &error))
}

/// Copies the bytes that `fill` writes to a device and back, `rounds` times, on a new stream.
/// Passes the result to `see`.
///
/// # Errors
/// Those of opening the device and of `fill` and `see`, and `device_fault`.
pub fn round_trip<T>(
    gpus: &mut Gpus,
    ordinal: u32,
    bytes: usize,
    rounds: u32,
    fill: impl FnOnce(&mut [u8]) -> Result<()>,
    see: impl FnOnce(&[u8]) -> Result<T>,
) -> Result<T> {
    let context = gpus.context(ordinal)?;
    if bytes == 0 {
        return see(&[]);
    }
    let failed = |error: GpuError| fault(ordinal, Phase::Copy, &error);
    let mut trip = RoundTrip::new(&context, bytes).map_err(failed)?;
    fill(trip.bytes_mut())?;
    let mut trip = trip.go(rounds).map_err(failed)?;
    see(trip.bytes_mut())
}
