//! Names wrong elements by what each of them became.

use super::pair::{LOOKED_AT, Pair, wide};
use crate::contract::DType;
use crate::harness::oracle::widen::widened;

/// The rules that explain every one of these wrong elements, the most telling first. A tensor with few wrong
/// elements leaves several open; others of the same load may decide among them.
pub(super) fn names(pair: &Pair<'_>, wrong: &[usize]) -> Vec<String> {
    let (dtype, kept) = (pair.tensor.dtype, pair.tensor.kept);
    let every = |rule: &dyn Fn(usize) -> bool| wrong.iter().all(|at| rule(*at));
    let mut names = sign(pair, wrong);
    if wrong.len() == 1 && (pair.expected(wrong[0]) ^ pair.found(wrong[0])).count_ones() == 1 {
        names.push("one bit changed".to_owned());
    }
    if every(&|at| pair.found(at) & !sign_bit(pair) == 0) {
        names.push(zeros(pair, wrong));
    }
    if kept == DType::F32 && dtype != kept {
        names.extend(misread(pair, wrong));
    } else if wide(dtype) > 1 && every(&|at| pair.found(at) == swapped(pair.stored(at), dtype)) {
        names.push(format!("{dtype} with its bytes swapped"));
    }
    names.extend(rounded(pair, wrong));
    let kind = |bits: u64| kind(dtype, bits);
    if names.is_empty()
        && let Some(first) = kind(pair.stored(wrong[0]))
        && every(&|at| kind(pair.stored(at)) == Some(first))
    {
        names.push(format!("{first} of {dtype} changed"));
    }
    names
}

fn sign_bit(pair: &Pair<'_>) -> u64 {
    1 << (wide(pair.tensor.kept) * 8 - 1)
}

/// A sign that was lost or flipped. One wrong element is too little for that where right elements contradict.
fn sign(pair: &Pair<'_>, wrong: &[usize]) -> Vec<String> {
    let sign = sign_bit(pair);
    if !matches!(pair.tensor.dtype, DType::F16 | DType::BF16 | DType::F32 | DType::F64) {
        return Vec::new();
    }
    let lost = |at: usize| pair.found(at) == pair.expected(at) & !sign;
    let flipped = |at: usize| pair.found(at) == pair.expected(at) ^ sign;
    let holds = |rule: &dyn Fn(usize) -> bool| match wrong {
        [_] => (0..pair.elements().min(LOOKED_AT)).all(rule) && wrong.iter().all(|at| rule(*at)),
        _ => wrong.iter().all(|at| rule(*at)),
    };
    let rules: [(&str, &dyn Fn(usize) -> bool); 2] =
        [("sign lost", &lost), ("sign flipped", &flipped)];
    rules.into_iter().filter(|(_, rule)| holds(*rule)).map(|(name, _)| name.to_owned()).collect()
}

fn zeros(pair: &Pair<'_>, wrong: &[usize]) -> String {
    let dtype = pair.tensor.dtype;
    if wrong.iter().all(|at| kind(dtype, pair.stored(*at)) == Some("subnormals")) {
        return format!("subnormals of {dtype} read as zero");
    }
    if wrong.iter().all(|at| matches!(kind(dtype, pair.stored(*at)), Some("NaN" | "infinities"))) {
        return "NaN and infinities read as zero".to_owned();
    }
    let rest = wrong[0] * wide(pair.tensor.kept);
    let holds_more = pair.found[..rest].iter().any(|byte| *byte != 0);
    match holds_more && pair.found[rest..].iter().all(|byte| *byte == 0) {
        true => "zeros at the end".to_owned(),
        false => "zeros found".to_owned(),
    }
}

/// Elements of 16 bits that were taken for another type when they were widened.
fn misread(pair: &Pair<'_>, wrong: &[usize]) -> Option<String> {
    let dtype = pair.tensor.dtype;
    // A NaN may become another one.
    let is = |read: u64, found: u64| read == found || (is_nan(read) && is_nan(found));
    let every = |rule: &dyn Fn(u64) -> Option<u64>| {
        wrong.iter().all(|at| rule(pair.stored(*at)).is_some_and(|read| is(read, pair.found(*at))))
    };
    let other = if dtype == DType::BF16 { DType::F16 } else { DType::BF16 };
    if every(&|bits| widen(other, bits)) {
        Some(format!("{dtype} read as {other}"))
    } else if every(&|bits| widen(dtype, swapped(bits, dtype))) {
        Some(format!("{dtype} with its bytes swapped"))
    } else if every(&Some) {
        Some(format!("{dtype} not converted: its bits taken for F32"))
    } else if every(&|bits| Some(u64::from((bits as f32).to_bits()))) {
        Some(format!("{dtype} read as an integer"))
    } else {
        None
    }
}

/// Elements that went through a type with fewer bits.
fn rounded(pair: &Pair<'_>, wrong: &[usize]) -> Option<String> {
    let (dtype, kept) = (pair.tensor.dtype, pair.tensor.kept);
    // Whether every value found is near the value that another reading of the element gives.
    let all_near = |read: &dyn Fn(usize) -> Option<f64>, held: DType, error: f64| {
        wrong.iter().all(|at| {
            let found = value(held, pair.found(*at));
            read(*at).zip(found).is_some_and(|(right, found)| is_near(right, found, error))
        })
    };
    let near =
        |held: DType, error: f64| all_near(&|at| value(kept, pair.expected(at)), held, error);
    let read_as = |other: DType, error: f64| {
        kept == dtype && all_near(&|at| value(other, pair.stored(at)), kept, error)
    };
    let low = |bits: u32| wrong.iter().all(|at| pair.found(*at) & ((1 << bits) - 1) == 0);
    match kept {
        DType::F32 if low(16) && near(kept, 1.0 / 128.0) => {
            Some(format!("{dtype} rounded to BF16"))
        }
        DType::F32 if low(13) && near(kept, 1.0 / 1024.0) => {
            Some(format!("{dtype} rounded to the 10 bits of F16"))
        }
        DType::BF16 if read_as(DType::F16, 1.0 / 128.0) => Some("BF16 read as F16".to_owned()),
        DType::F16 if read_as(DType::BF16, 1.0 / 1024.0) => Some("F16 read as BF16".to_owned()),
        DType::BF16 if near(DType::F16, 1.0 / 1024.0) => Some("BF16 converted to F16".to_owned()),
        DType::F16 if near(DType::BF16, 1.0 / 128.0) => Some("F16 converted to BF16".to_owned()),
        _ => None,
    }
}

/// Whether a value may have become the other one on its way through a smaller type: near it, beyond its
/// largest value, or below its smallest.
fn is_near(right: f64, found: f64, error: f64) -> bool {
    let (largest, smallest) = (65_504.0, 1.0 / f64::from(1 << 14));
    (right.is_nan() && found.is_nan())
        || (right - found).abs() <= error * right.abs()
        || (right.abs() >= largest && !found.is_finite())
        || (right.abs() < smallest && (right - found).abs() <= smallest / 1024.0)
}

fn widen(dtype: DType, bits: u64) -> Option<u64> {
    let bytes = u16::try_from(bits).ok()?.to_le_bytes();
    let wide: [u8; 4] = widened(dtype, &bytes)?.try_into().ok()?;
    Some(u64::from(u32::from_le_bytes(wide)))
}

fn value(dtype: DType, bits: u64) -> Option<f64> {
    let bits = if dtype == DType::F32 { bits } else { widen(dtype, bits)? };
    Some(f64::from(f32::from_bits(u32::try_from(bits).ok()?)))
}

fn is_nan(bits: u64) -> bool {
    u32::try_from(bits).is_ok_and(|bits| f32::from_bits(bits).is_nan())
}

fn swapped(bits: u64, dtype: DType) -> u64 {
    bits.swap_bytes() >> (64 - 8 * wide(dtype))
}

/// Whether a stored element is an ordinary number, which shows best what became of it.
pub(super) fn is_ordinary(dtype: DType, bits: u64) -> bool {
    bits != 0 && kind(dtype, bits).is_none()
}

/// What kind of number a stored element is, if it is a special one.
fn kind(dtype: DType, bits: u64) -> Option<&'static str> {
    let mantissa = match dtype {
        DType::F16 => 10,
        DType::BF16 => 7,
        DType::F32 => 23,
        _ => return None,
    };
    let magnitude = bits & !(1 << (wide(dtype) * 8 - 1));
    let (exponent, fraction) = (magnitude >> mantissa, magnitude & ((1 << mantissa) - 1));
    let largest = (1 << (wide(dtype) * 8 - 1 - mantissa)) - 1;
    match (exponent, fraction) {
        (0, 0) => None,
        (0, _) => Some("subnormals"),
        (full, 0) if full == largest => Some("infinities"),
        (full, _) if full == largest => Some("NaN"),
        _ => None,
    }
}
