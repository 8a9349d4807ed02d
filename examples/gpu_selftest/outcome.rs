//! The result of a check, its assertions, and its test bytes.

use std::fmt::Display;

use weighbridge::gpu::GpuError;

/// What a check found, or why it failed.
pub type Outcome = Result<String, String>;

/// Fails with a message unless a condition holds.
pub fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// The error that a call must return.
pub fn expect_error<T>(
    result: Result<T, GpuError>,
    is_right: impl FnOnce(&GpuError) -> bool,
) -> Result<GpuError, String> {
    match result {
        Ok(_) => Err("a call succeeded that must fail".into()),
        Err(error) if is_right(&error) => Ok(error),
        Err(error) => Err(format!("the wrong error: {error}")),
    }
}

/// Bytes without a period, so that an exchanged slot or page is visible.
pub fn pattern(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut filled = vec![0; bytes];
    for piece in filled.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        piece.copy_from_slice(&state.to_le_bytes()[..piece.len()]);
    }
    filled
}

/// The first position at which two byte strings differ.
pub fn first_difference(seen: &[u8], wanted: &[u8]) -> String {
    match seen.iter().zip(wanted).position(|(seen, wanted)| seen != wanted) {
        Some(at) => {
            format!("byte {at} of {} is {:#x}, not {:#x}", wanted.len(), seen[at], wanted[at])
        }
        None => format!("{} bytes in place of {}", seen.len(), wanted.len()),
    }
}

/// The text of an error.
pub fn words(error: impl Display) -> String {
    error.to_string()
}
