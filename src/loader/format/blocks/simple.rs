//! Blocks with one scale, or one scale and one minimum, and blocks of small floating-point or
//! ternary elements.

use super::bits::{half, nibble, word};

/// The sixteen values of IQ4 elements. Source: the table `kvalues_iq4nl` of llama.cpp.
pub(super) const IQ4: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The values of E2M1 elements, doubled. Source: OCP Microscaling Formats, version 1.0.
const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// Splits 16 bytes into 32 elements: the low halves are the first sixteen.
fn halves(bytes: &[u8], mut put: impl FnMut(usize, u8)) {
    for (at, byte) in bytes.iter().enumerate() {
        put(at, nibble(*byte, false));
        put(at + bytes.len(), nibble(*byte, true));
    }
}

/// Layout: scale, 16 bytes of elements. The value is scale x (element - 8).
pub(super) fn q4_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    halves(&block[2..18], |at, element| out[at] = scale * (f32::from(element) - 8.0));
}

/// Layout: scale, minimum, 16 bytes of elements. The value is scale x element + minimum.
pub(super) fn q4_1(block: &[u8], out: &mut [f32]) {
    let (scale, least) = (half(block, 0), half(block, 2));
    halves(&block[4..20], |at, element| out[at] = scale * f32::from(element) + least);
}

/// Layout: scale, 32 highest bits, 16 bytes with the low four bits. The value is scale x (element -
/// 16).
pub(super) fn q5_0(block: &[u8], out: &mut [f32]) {
    let (scale, high) = (half(block, 0), word(block, 2));
    halves(&block[6..22], |at, low| {
        let element = low | ((high >> at & 1) as u8) << 4;
        out[at] = scale * (f32::from(element) - 16.0);
    });
}

/// Layout: scale, minimum, 32 highest bits, 16 bytes with the low four bits.
pub(super) fn q5_1(block: &[u8], out: &mut [f32]) {
    let (scale, least, high) = (half(block, 0), half(block, 2), word(block, 4));
    halves(&block[8..24], |at, low| {
        let element = low | ((high >> at & 1) as u8) << 4;
        out[at] = scale * f32::from(element) + least;
    });
}

/// Layout: scale, 32 signed bytes.
pub(super) fn q8_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    for (value, byte) in out.iter_mut().zip(&block[2..34]) {
        *value = scale * f32::from(byte.cast_signed());
    }
}

/// Layout: scale, 16 bytes of elements, each an index into a table.
pub(super) fn iq4_nl(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    halves(&block[2..18], |at, element| {
        out[at] = scale * f32::from(IQ4[usize::from(element)]);
    });
}

/// Layout: scale as a power of two (E8M0), 16 bytes of E2M1 elements. The elements are doubled, so
/// half the scale is used; below 2^-126 it is subnormal.
pub(super) fn mxfp4(block: &[u8], out: &mut [f32]) {
    let bits = match block[0] {
        exponent @ 0..2 => 0x0020_0000 << exponent,
        exponent => u32::from(exponent - 1) << 23,
    };
    let scale = f32::from_bits(bits);
    halves(&block[1..17], |at, element| {
        out[at] = scale * f32::from(E2M1[usize::from(element)]);
    });
}

/// Layout: four scales (unsigned E4M3), 32 bytes of E2M1 elements; a scale has eight bytes.
pub(super) fn nvfp4(block: &[u8], out: &mut [f32]) {
    for (part, bytes) in block[4..36].chunks_exact(8).enumerate() {
        let scale = half_e4m3(block[part]);
        let out = &mut out[16 * part..][..16];
        halves(bytes, |at, element| out[at] = scale * f32::from(E2M1[usize::from(element)]));
    }
}

/// Half the value of an unsigned E4M3 number, whose top bit is not used. 0x7F counts as zero.
fn half_e4m3(byte: u8) -> f32 {
    let (exponent, fraction) = (byte >> 3 & 15, f32::from(byte & 7));
    match (byte, exponent) {
        (0x7f, _) => 0.0,
        (_, 0) => fraction * 0.5f32.powi(10),
        _ => (1.0 + fraction / 8.0) * 2f32.powi(i32::from(exponent) - 8),
    }
}

/// Layout: 48 bytes of five ternary elements each, four bytes of four each, scale. A byte is a
/// fraction of 256 whose digits in base 3 are the elements; multiplying by 3 gives the next digit.
pub(super) fn tq1_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 52);
    let mut rest = out;
    for (from, count, digits) in [(0, 32, 5), (32, 16, 5), (48, 4, 4)] {
        let (part, after) = rest.split_at_mut(count * digits);
        for (power, row) in [1u8, 3, 9, 27, 81].iter().zip(part.chunks_exact_mut(count)) {
            for (value, byte) in row.iter_mut().zip(&block[from..]) {
                let digit = (u16::from(byte.wrapping_mul(*power)) * 3) >> 8;
                *value = scale * (f32::from(digit) - 1.0);
            }
        }
        rest = after;
    }
}

/// Layout: 64 bytes of elements of two bits, scale. The value is scale x (element - 1).
pub(super) fn tq2_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 64);
    for (at, value) in out.iter_mut().enumerate() {
        let byte = block[at / 128 * 32 + at % 32];
        let element = byte >> (2 * (at % 128 / 32)) & 3;
        *value = scale * (f32::from(element) - 1.0);
    }
}
