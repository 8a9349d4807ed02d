//! Widens F16 and BF16 to F32 by arithmetic on sign, exponent and mantissa (IEEE 754).
//!
//! Every finite F16 and BF16 number is also an F32 number, so the result is exact. A NaN must stay
//! a NaN; its sign, payload and quiet bit may change, because hardware changes them too.

use std::sync::OnceLock;

use crate::contract::DType;

/// The first difference between widened elements and the correct ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// An element has the wrong bits.
    #[error("element {index}: stored {stored:#x}, expected {expected:#010x}, found {found:#010x}")]
    Element {
        /// Index of the element.
        index: usize,
        /// The bits in the file.
        stored: u32,
        /// The F32 bits expected; for a NaN, with the quiet bit set.
        expected: u32,
        /// The F32 bits found.
        found: u32,
    },
    /// Too many or too few bytes.
    #[error("expected {expected} bytes of F32, found {found}")]
    Length {
        /// Four bytes for each stored element.
        expected: usize,
        /// Number of bytes found.
        found: usize,
    },
    /// A dtype that cannot be widened.
    #[error("{0} cannot be widened to F32")]
    DType(DType),
}

/// A 16-bit float format: number of exponent bits and of mantissa bits, and one sign bit.
struct Format {
    exponent_bits: u32,
    mantissa_bits: u32,
}

const F16: Format = Format { exponent_bits: 5, mantissa_bits: 10 };
const BF16: Format = Format { exponent_bits: 8, mantissa_bits: 7 };

/// F32 quiet bit: the highest bit of the mantissa.
const QUIET: u32 = 0x0040_0000;

impl Format {
    /// The F32 bits of a stored pattern; for a NaN with the quiet bit set.
    fn widen(&self, stored: u16) -> u32 {
        let fraction_steps = 1u32 << self.mantissa_bits;
        let exponent_steps = 1u32 << self.exponent_bits;
        let mantissa = u32::from(stored) % fraction_steps;
        let exponent = u32::from(stored) / fraction_steps % exponent_steps;
        let negative = u32::from(stored) / fraction_steps / exponent_steps == 1;
        let bias = exponent_steps / 2 - 1;
        let sign = if negative { -1.0 } else { 1.0 };
        if exponent == exponent_steps - 1 {
            let sign_bit = if negative { 0x8000_0000 } else { 0 };
            return match mantissa {
                0 => sign_bit + 0x7f80_0000,
                _ => (sign_bit + 0x7f80_0000 + (mantissa << (23 - self.mantissa_bits))) | QUIET,
            };
        }
        let fraction = f64::from(mantissa) / f64::from(fraction_steps);
        // Exponent field 0 means subnormal: no leading one, and the exponent of field 1.
        let (leading, field) = if exponent == 0 { (0.0, 1) } else { (1.0, exponent) };
        let power = f64::from(field) - f64::from(bias);
        let value = sign * (leading + fraction) * 2f64.powf(power);
        (value as f32).to_bits()
    }

    fn table(&self) -> Vec<u32> {
        (0..=u16::MAX).map(|stored| self.widen(stored)).collect()
    }
}

fn table(dtype: DType) -> Option<&'static [u32]> {
    static F16_TABLE: OnceLock<Vec<u32>> = OnceLock::new();
    static BF16_TABLE: OnceLock<Vec<u32>> = OnceLock::new();
    match dtype {
        DType::F16 => Some(F16_TABLE.get_or_init(|| F16.table())),
        DType::BF16 => Some(BF16_TABLE.get_or_init(|| BF16.table())),
        _ => None,
    }
}

fn is_nan(bits: u32) -> bool {
    f32::from_bits(bits).is_nan()
}

/// Whether the bits are equal, or both are a NaN. IEEE 754 only recommends that a conversion keeps
/// a NaN's payload, and CUDA's conversion from F16 gives the same NaN for every input NaN.
pub(super) fn same(expected: u32, found: u32) -> bool {
    expected == found || (is_nan(expected) && is_nan(found))
}

/// Little-endian F16 or BF16 elements as little-endian F32; F32 elements unchanged. `None` for any
/// other dtype.
pub fn widened(dtype: DType, stored: &[u8]) -> Option<Vec<u8>> {
    if dtype == DType::F32 {
        return Some(stored.to_vec());
    }
    let table = table(dtype)?;
    let mut out = Vec::with_capacity(stored.len() * 2);
    for pair in stored.chunks_exact(2) {
        let bits = u16::from_le_bytes([pair[0], pair[1]]);
        out.extend_from_slice(&table[usize::from(bits)].to_le_bytes());
    }
    Some(out)
}

/// Calls `each` with every element's value, in order. Does nothing for dtypes other than F16, BF16
/// and F32.
pub fn for_each_value(dtype: DType, stored: &[u8], mut each: impl FnMut(f32)) {
    if dtype == DType::F32 {
        stored.chunks_exact(4).for_each(|b| each(f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    } else if let Some(table) = table(dtype) {
        stored.chunks_exact(2).for_each(|b| {
            each(f32::from_bits(table[usize::from(u16::from_le_bytes([b[0], b[1]]))]));
        });
    }
}

/// Compares elements of a file with the elements that a loader holds after it was asked for F32.
/// Both are little-endian. F32 elements must be equal bit for bit.
///
/// # Errors
/// The first difference.
pub fn same_after_widening(dtype: DType, stored: &[u8], found: &[u8]) -> Result<(), Mismatch> {
    let width = match dtype {
        DType::F32 => 4,
        DType::F16 | DType::BF16 => 2,
        other => return Err(Mismatch::DType(other)),
    };
    let expected = stored.len() / width * 4;
    if found.len() != expected {
        return Err(Mismatch::Length { expected, found: found.len() });
    }
    let table = table(dtype);
    for (index, (stored, found)) in
        stored.chunks_exact(width).zip(found.chunks_exact(4)).enumerate()
    {
        let stored = stored.iter().rev().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let found = u32::from_le_bytes([found[0], found[1], found[2], found[3]]);
        let (expected, right) = match table {
            Some(table) => {
                let expected = table[stored as usize];
                (expected, same(expected, found))
            }
            None => (stored, stored == found),
        };
        if !right {
            return Err(Mismatch::Element { index, stored, expected, found });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_come_out() {
        for (stored, value) in [
            (0x0000u16, 0.0f32),
            (0x8000, -0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(F16.widen(stored), value.to_bits(), "{stored:#x}");
        }
        for (stored, bits) in
            [(0x3f80u16, 0x3f80_0000u32), (0x0001, 0x0001_0000), (0xff7f, 0xff7f_0000)]
        {
            assert_eq!(BF16.widen(stored), bits, "{stored:#x}");
        }
    }

    #[test]
    fn every_bf16_is_the_upper_half_of_its_f32() {
        for stored in 0..=u16::MAX {
            let upper = u32::from(stored) << 16;
            assert!(same(BF16.widen(stored), upper), "{stored:#x}");
        }
    }

    #[test]
    fn nan_stays_nan_whatever_its_payload() {
        let stored = 0x7d01u16.to_le_bytes();
        for right in [0x7fa0_2000u32, 0x7fe0_2000, 0x7fff_ffff] {
            assert_eq!(same_after_widening(DType::F16, &stored, &right.to_le_bytes()), Ok(()));
        }
        for wrong in [0x7f80_0000u32, 0xff80_0000, 0x7f7f_ffff, 0] {
            assert!(same_after_widening(DType::F16, &stored, &wrong.to_le_bytes()).is_err());
        }
    }

    #[test]
    fn differences_are_told() {
        let stored = [0x00, 0x3c, 0x01, 0x00];
        let mut found = widened(DType::F16, &stored).expect("F16 widens");
        assert_eq!(same_after_widening(DType::F16, &stored, &found), Ok(()));
        found[4..].fill(0);
        assert_eq!(
            same_after_widening(DType::F16, &stored, &found),
            Err(Mismatch::Element { index: 1, stored: 1, expected: 0x3380_0000, found: 0 })
        );
        assert_eq!(
            same_after_widening(DType::F16, &stored, &found[..4]),
            Err(Mismatch::Length { expected: 8, found: 4 })
        );
        let signalling = 0x7f80_0001u32.to_le_bytes();
        assert_eq!(same_after_widening(DType::F32, &signalling, &signalling), Ok(()));
        let quieted = 0x7fc0_0001u32.to_le_bytes();
        assert!(same_after_widening(DType::F32, &signalling, &quieted).is_err());
    }
}
