//! Blocks of 256 elements in groups, each group with its own scale and some with a minimum, which
//! the block's scale multiplies.

use super::bits::{half, nibble, short};
use super::simple::IQ4;

/// The byte of element `at`, and the shift to its two bits. Each 32 bytes hold 128 elements.
const fn two_bits(at: usize) -> (usize, usize) {
    (at / 128 * 32 + at % 32, at % 128 / 32 * 2)
}

/// Layout: sixteen bytes with a scale and a minimum of four bits each, 64 bytes of elements, scale
/// of the scales, scale of the minima.
pub(super) fn q2_k(block: &[u8], out: &mut [f32]) {
    let (scale, least) = (half(block, 80), half(block, 82));
    for (group, values) in out.chunks_exact_mut(16).enumerate() {
        let own = scale * f32::from(nibble(block[group], false));
        let minimum = least * f32::from(nibble(block[group], true));
        for (at, value) in values.iter_mut().enumerate() {
            let (byte, shift) = two_bits(16 * group + at);
            *value = own * f32::from(block[16 + byte] >> shift & 3) - minimum;
        }
    }
}

/// Layout: 32 bytes with the highest bits, 64 bytes with the low two bits, twelve bytes with sixteen
/// scales of six bits, the scale of the scales. A highest bit of zero subtracts four.
pub(super) fn q3_k(block: &[u8], out: &mut [f32]) {
    let (scale, packed) = (half(block, 108), &block[96..108]);
    for (group, values) in out.chunks_exact_mut(16).enumerate() {
        let low = nibble(packed[group % 8], group >= 8);
        let high = packed[8 + group % 4] >> (2 * (group / 4)) & 3;
        let own = scale * (f32::from(low | high << 4) - 32.0);
        for (at, value) in values.iter_mut().enumerate() {
            let at = 16 * group + at;
            let (byte, shift) = two_bits(at);
            let low = f32::from(block[32 + byte] >> shift & 3);
            let high = block[at % 32] >> (at / 32) & 1;
            *value = own * (if high == 1 { low } else { low - 4.0 });
        }
    }
}

/// Layout: scale of the scales, scale of the minima, twelve bytes with scales and minima, 128 bytes
/// of elements. Each 32 bytes hold one group in their low halves and the next group in their high
/// halves.
pub(super) fn q4_k(block: &[u8], out: &mut [f32]) {
    groups_of_32(block, out, |at, group| nibble(block[16 + group / 2 * 32 + at], group % 2 == 1));
}

/// As Q4_K, with 32 bytes of fifth bits before the elements: bit g of a byte is that of group g.
pub(super) fn q5_k(block: &[u8], out: &mut [f32]) {
    groups_of_32(block, out, |at, group| {
        let low = nibble(block[48 + group / 2 * 32 + at], group % 2 == 1);
        low | (block[16 + at] >> group & 1) << 4
    });
}

/// Unpacks eight groups of 32 elements, each with a scale and a minimum of six bits. `element` gives
/// an element by its position in its group.
fn groups_of_32(block: &[u8], out: &mut [f32], element: impl Fn(usize, usize) -> u8) {
    let (scale, least) = (half(block, 0), half(block, 2));
    for (group, values) in out.chunks_exact_mut(32).enumerate() {
        let (own, minimum) = six_bits(&block[4..16], group);
        let (own, minimum) = (scale * f32::from(own), least * f32::from(minimum));
        for (at, value) in values.iter_mut().enumerate() {
            *value = own * f32::from(element(at, group)) - minimum;
        }
    }
}

/// Returns scale and minimum of a group. For the first four groups, each is the low six bits of one
/// byte. For the last four, the low four bits of both share one of the last four bytes, and the
/// high two bits are the top bits of the first eight bytes.
fn six_bits(packed: &[u8], group: usize) -> (u8, u8) {
    match group {
        0..4 => (packed[group] & 63, packed[group + 4] & 63),
        _ => (
            packed[group + 4] & 15 | packed[group - 4] >> 6 << 4,
            packed[group + 4] >> 4 | packed[group] >> 6 << 4,
        ),
    }
}

/// Layout: 128 bytes with the low four bits of the elements, 64 bytes with the high two bits,
/// sixteen signed scales, the scale of the scales. Each half of the block is four rows of 32
/// elements; a group is half a row.
pub(super) fn q6_k(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 208);
    for (group, values) in out.chunks_exact_mut(16).enumerate() {
        let (part, row) = (group / 8, group % 8 / 2);
        let low = &block[64 * part + 32 * (row % 2) + 16 * (group % 2)..][..16];
        let high = &block[128 + 32 * part + 16 * (group % 2)..][..16];
        let own = scale * f32::from(block[192 + group].cast_signed());
        for ((value, low), high) in values.iter_mut().zip(low).zip(high) {
            let element = nibble(*low, row >= 2) | (high >> (2 * row) & 3) << 4;
            *value = own * (f32::from(element) - 32.0);
        }
    }
}

/// Layout: scale of the scales, eight scales' high two bits, four bytes with their low four bits,
/// 128 bytes of elements, each an index into a table.
pub(super) fn iq4_xs(block: &[u8], out: &mut [f32]) {
    let (scale, high) = (half(block, 0), short(block, 2));
    for (group, values) in out.chunks_exact_mut(32).enumerate() {
        let low = nibble(block[4 + group / 2], group % 2 == 1);
        let own = low | ((high >> (2 * group) & 3) as u8) << 4;
        let own = scale * (f32::from(own) - 32.0);
        for (at, value) in values.iter_mut().enumerate() {
            let element = nibble(block[8 + 16 * group + at % 16], at >= 16);
            *value = own * f32::from(IQ4[usize::from(element)]);
        }
    }
}
