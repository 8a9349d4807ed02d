//! Values of weights from a seed, so that any part of any tensor can be made by itself and another
//! program can repeat it.
//!
//! A tensor's key is the first eight bytes, little-endian, of SHA-256 over `SEED/NAME`. Element i
//! takes `z = mix(key + (i + 1) * 0x9e3779b97f4a7c15)` with the mixing of SplitMix64, of that the
//! upper 24 bits as a number k, and is `middle + spread * ((k - 2^23) / 2^23)`, each operation in F32,
//! rounded once more to the tensor's type. Nothing here depends on a platform's mathematics.

use std::num::NonZero;
use std::thread;

use half::{bf16, f16};
use sha2::{Digest, Sha256};

use crate::contract::DType;

use super::tensors::Spec;

/// Elements that one thread makes at a time.
const SHARE: usize = 1 << 20;

/// A tensor's bytes.
pub fn bytes(seed: &str, spec: &Spec, dtype: DType) -> Vec<u8> {
    let width = (dtype.bits() / 8) as usize;
    let key = key(seed, &spec.name);
    let mut bytes = vec![0u8; spec.elements() * width];
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = (spec.elements().div_ceil(threads)).max(SHARE) * width;
    thread::scope(|scope| {
        for (part, target) in bytes.chunks_mut(share).enumerate() {
            let first = part * share / width;
            scope.spawn(move || {
                for (i, place) in target.chunks_mut(width).enumerate() {
                    put(place, element(key, (first + i) as u64, spec), dtype);
                }
            });
        }
    });
    bytes
}

/// Values rounded to a type, little-endian.
pub fn encode(values: &[f32], dtype: DType) -> Vec<u8> {
    let width = (dtype.bits() / 8) as usize;
    let mut bytes = vec![0u8; values.len() * width];
    for (place, value) in bytes.chunks_mut(width).zip(values) {
        put(place, *value, dtype);
    }
    bytes
}

fn key(seed: &str, name: &str) -> u64 {
    let digest = Sha256::digest(format!("{seed}/{name}"));
    digest.iter().take(8).rev().fold(0, |key, byte| key << 8 | u64::from(*byte))
}

fn element(key: u64, index: u64, spec: &Spec) -> f32 {
    let mut z = key.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    let unit = ((z >> 40) as i32 - (1 << 23)) as f32 / (1 << 23) as f32;
    spec.middle + spec.spread * unit
}

fn put(place: &mut [u8], value: f32, dtype: DType) {
    match dtype {
        DType::F16 => place.copy_from_slice(&f16::from_f32(value).to_le_bytes()),
        DType::BF16 => place.copy_from_slice(&bf16::from_f32(value).to_le_bytes()),
        _ => place.copy_from_slice(&value.to_le_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(elements: usize) -> Spec {
        Spec { name: "a".into(), shape: vec![elements], middle: 1.0, spread: 0.5 }
    }

    #[test]
    fn values_are_those_of_the_description() {
        // By the description in Python: hashlib, integers, numpy.float32.
        let bytes = bytes("seed", &spec(3), DType::F32);
        let values: Vec<f32> =
            bytes.as_chunks().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect();
        assert_eq!(values, [0.911_964, 0.747_312_96, 0.740_284_26]);
    }

    #[test]
    fn threads_make_no_difference() {
        let whole = bytes("seed", &spec(3 * SHARE + 17), DType::BF16);
        let key = key("seed", "a");
        for index in [0, 1, SHARE - 1, SHARE, 2 * SHARE + 5, 3 * SHARE + 16] {
            let value = bf16::from_f32(element(key, index as u64, &spec(1)));
            assert_eq!(whole[index * 2..index * 2 + 2], value.to_le_bytes(), "{index}");
        }
    }
}
