//! Reads the numbers of a block.

use crate::loader::format::widen::f16_bits_to_f32;

/// Reads the F16 at byte `at` of a block.
pub(super) fn half(block: &[u8], at: usize) -> f32 {
    f32::from_bits(f16_bits_to_f32(short(block, at)))
}

/// Reads the 16-bit number at byte `at` of a block.
pub(super) fn short(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

/// Reads the 32-bit number at byte `at` of a block.
pub(super) fn word(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

/// A group of four bits: the low or the high half of a byte.
pub(super) fn nibble(byte: u8, high: bool) -> u8 {
    if high { byte >> 4 } else { byte & 15 }
}
