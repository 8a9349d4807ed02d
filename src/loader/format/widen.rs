//! Converts F16 and BF16 to F32, exactly.
//!
//! Every finite 16-bit value, including subnormals, and both infinities have exactly one F32
//! counterpart, so widening loses nothing. A NaN keeps its sign and payload; the payload moves to
//! the top of the wider fraction. So the quiet bit stays the quiet bit, and a signalling NaN stays
//! signalling. (The conversion instructions of processors set the quiet bit, and so does the `half`
//! crate.) The code uses only integers, because moving a signalling NaN through a float register
//! may make it quiet.

use crate::contract::DType;

/// Bytes of one element; `None` for types whose elements are not whole bytes.
pub const fn width(dtype: DType) -> Option<u64> {
    let bits = dtype.bits();
    if bits.is_multiple_of(8) { Some(bits / 8) } else { None }
}

/// The F32 bits of an F16 value.
pub const fn f16_bits_to_f32(half: u16) -> u32 {
    let sign = ((half & 0x8000) as u32) << 16;
    let exponent = ((half >> 10) & 0x1f) as u32;
    let fraction = (half & 0x3ff) as u32;
    match (exponent, fraction) {
        (0, 0) => sign,
        (0, _) => {
            // A subnormal's value is fraction x 2^-24. Its leading bit becomes the implicit one.
            let leading = 31 - fraction.leading_zeros();
            let exponent = leading + 103; // 127 - 24
            sign | exponent << 23 | (fraction << (23 - leading)) & 0x7f_ffff
        }
        (0x1f, _) => sign | 0x7f80_0000 | fraction << 13,
        _ => sign | (exponent + 112) << 23 | fraction << 13, // 112 = 127 - 15
    }
}

/// The F32 bits of a BF16 value: its own bits on top of sixteen zeros.
pub const fn bf16_bits_to_f32(half: u16) -> u32 {
    (half as u32) << 16
}

/// Appends the F32 form of little-endian elements of type `dtype` to `out`.
///
/// F32 is copied. `bytes` must be whole elements. For types other than F16, BF16 and F32, nothing
/// is appended.
pub fn widen(dtype: DType, bytes: &[u8], out: &mut Vec<u8>) {
    match dtype {
        DType::F16 => widen_with(bytes, out, f16_bits_to_f32),
        DType::BF16 => widen_with(bytes, out, bf16_bits_to_f32),
        DType::F32 => out.extend_from_slice(bytes),
        _ => {}
    }
}

fn widen_with(bytes: &[u8], out: &mut Vec<u8>, convert: impl Fn(u16) -> u32) {
    let (halves, _) = bytes.as_chunks::<2>();
    out.reserve(halves.len() * 4);
    for half in halves {
        out.extend_from_slice(&convert(u16::from_le_bytes(*half)).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computes the value by the definition of a binary format with these exponent and fraction
    /// bits.
    fn by_definition(bits: u16, exponent_bits: u32, fraction_bits: u32) -> f64 {
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        let bias = (1i32 << (exponent_bits - 1)) - 1;
        let exponent = i32::from((bits & 0x7fff) >> fraction_bits);
        let fraction = f64::from(bits & ((1 << fraction_bits) - 1)) / f64::from(1 << fraction_bits);
        if exponent == (1 << exponent_bits) - 1 {
            return if fraction == 0.0 { sign * f64::INFINITY } else { f64::NAN };
        }
        let (whole, power) = if exponent == 0 { (0.0, 1 - bias) } else { (1.0, exponent - bias) };
        sign * (whole + fraction) * 2f64.powi(power)
    }

    fn check(dtype: DType, exponent_bits: u32, fraction_bits: u32) {
        for bits in 0..=u16::MAX {
            let mut wide = Vec::new();
            widen(dtype, &bits.to_le_bytes(), &mut wide);
            let wide = u32::from_le_bytes(wide.try_into().unwrap());
            let expected = by_definition(bits, exponent_bits, fraction_bits);
            assert_eq!(wide >> 31, u32::from(bits >> 15), "{dtype} {bits:#06x}: sign");
            if expected.is_nan() {
                let payload = u32::from(bits & ((1 << fraction_bits) - 1)) << (23 - fraction_bits);
                assert_eq!(wide & 0x7fff_ffff, 0x7f80_0000 | payload, "{dtype} {bits:#06x}: NaN");
            } else {
                let value = f64::from(f32::from_bits(wide));
                assert_eq!(value, expected, "{dtype} {bits:#06x}");
            }
        }
    }

    #[test]
    fn every_f16_pattern_is_exact() {
        check(DType::F16, 5, 10);
    }

    #[test]
    fn every_bf16_pattern_is_exact() {
        check(DType::BF16, 8, 7);
    }

    #[test]
    fn f32_is_copied() {
        let mut out = vec![9];
        widen(DType::F32, &[1, 2, 3, 4], &mut out);
        assert_eq!(out, [9, 1, 2, 3, 4]);
    }
}
