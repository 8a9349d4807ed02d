//! Unpacks blocks of quantised elements to F32. Every product is rounded to F32 in the order of the
//! formats' reference implementations, so that results can be compared bit for bit.

use super::widen::f16_bits_to_f32;

/// How elements are packed, by llama.cpp's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// 32 elements of eight bits with one scale.
    Q8_0,
    /// 256 elements of four bits: eight groups, each with a scale and a minimum of six bits.
    Q4K,
    /// 256 elements of six bits: sixteen groups, each with a scale of eight bits.
    Q6K,
}

/// The longest block, in bytes.
pub const LONGEST_BLOCK: usize = 210;

impl Packing {
    /// Elements of a block.
    pub const fn elements(self) -> u64 {
        match self {
            Packing::Q8_0 => 32,
            Packing::Q4K | Packing::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub const fn bytes(self) -> u64 {
        match self {
            Packing::Q8_0 => 34,
            Packing::Q4K => 144,
            Packing::Q6K => LONGEST_BLOCK as u64,
        }
    }

    /// Appends the elements of whole blocks to `out`, as little-endian F32.
    pub fn unpack(self, blocks: &[u8], out: &mut Vec<u8>) {
        let one = match self {
            Packing::Q8_0 => q8_0,
            Packing::Q4K => q4_k,
            Packing::Q6K => q6_k,
        };
        let elements = blocks.len() as u64 / self.bytes() * self.elements();
        out.reserve(elements as usize * 4);
        for block in blocks.chunks_exact(self.bytes() as usize) {
            one(block, &mut |value: f32| out.extend_from_slice(&value.to_le_bytes()));
        }
    }
}

/// Reads the F16 at byte `at` of a block.
fn half(block: &[u8], at: usize) -> f32 {
    f32::from_bits(f16_bits_to_f32(u16::from_le_bytes([block[at], block[at + 1]])))
}

/// Layout: scale, 32 signed bytes.
fn q8_0(block: &[u8], put: &mut dyn FnMut(f32)) {
    let scale = half(block, 0);
    for byte in &block[2..34] {
        put(scale * f32::from(byte.cast_signed()));
    }
}

/// Layout: scale of the scales, scale of the minima, twelve bytes with scales and minima, 128 bytes
/// of elements. Each 32 bytes hold one group in their low halves and the next group in their high
/// halves.
fn q4_k(block: &[u8], put: &mut dyn FnMut(f32)) {
    let (scale, least) = (half(block, 0), half(block, 2));
    let (packed, elements) = block[4..].split_at(12);
    for (pair, bytes) in elements.chunks_exact(32).enumerate() {
        for high in [false, true] {
            let (own, minimum) = six_bits(packed, 2 * pair + usize::from(high));
            let (own, minimum) = (scale * f32::from(own), least * f32::from(minimum));
            for byte in bytes {
                let element = if high { byte >> 4 } else { byte & 15 };
                put(own * f32::from(element) - minimum);
            }
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
fn q6_k(block: &[u8], put: &mut dyn FnMut(f32)) {
    let scale = half(block, 208);
    for part in 0..2 {
        let low = &block[64 * part..][..64];
        let high = &block[128 + 32 * part..][..32];
        let scales = &block[192 + 8 * part..][..8];
        for row in 0..4 {
            for at in 0..32 {
                let byte = low[at + 32 * (row % 2)];
                let low = if row < 2 { byte & 15 } else { byte >> 4 };
                let element = low | (high[at] >> (2 * row) & 3) << 4;
                let own = scale * f32::from(scales[2 * row + at / 16].cast_signed());
                put(own * (f32::from(element) - 32.0));
            }
        }
    }
}
