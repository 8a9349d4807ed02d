//! Mutants that change single values on their way: signs of zero, payloads of NaN, the smallest and the
//! largest numbers, the lower digits of integers.

use crate::contract::DType;
use crate::loader::LoadDecisions;
use crate::loader::decisions::Honest;
use crate::loader::format::safetensors::TensorInfo;
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "negative-zero-lost",
        lie: "stores zero without its sign",
        seen_in: "copies that add zero",
        needs_gpu: false,
        make: || reference(Elements(unsigned_zero)),
    },
    Mutant {
        name: "signalling-nan-quieted",
        lie: "sets the quiet bit of every NaN",
        seen_in: "copies through a floating-point register",
        needs_gpu: false,
        make: || reference(Elements(quieted)),
    },
    Mutant {
        name: "nan-payload-lost",
        lie: "replaces every NaN by the usual one",
        seen_in: "conversions that know one NaN",
        needs_gpu: false,
        make: || reference(Elements(one_nan)),
    },
    Mutant {
        name: "halves-subnormals-flushed",
        lie: "flushes subnormal F16 and BF16 values to zero, also where nothing is converted",
        seen_in: "copies by arithmetic with fast-math flags",
        needs_gpu: false,
        make: || reference(Elements(flushed_halves)),
    },
    Mutant {
        name: "infinity-clamped",
        lie: "replaces infinities by the largest number of their type",
        seen_in: "converters that clamp to be safe",
        needs_gpu: false,
        make: || reference(Elements(clamped)),
    },
    Mutant {
        name: "i64-through-double",
        lie: "keeps the upper 53 bits of I64 values",
        seen_in: "programs whose numbers are all doubles",
        needs_gpu: false,
        make: || {
            reference(Elements(|dtype, bits| match dtype {
                DType::I64 => (bits as i64 as f64) as i64 as u64,
                _ => bits,
            }))
        },
    },
    Mutant {
        name: "i64-made-unsigned",
        lie: "replaces negative I64 values by zero",
        seen_in: "indices that are kept as unsigned numbers",
        needs_gpu: false,
        make: || {
            reference(Elements(|dtype, bits| match dtype {
                DType::I64 if (bits as i64) < 0 => 0,
                _ => bits,
            }))
        },
    },
];

/// Changes the bits of every stored element.
struct Elements(fn(DType, u64) -> u64);

impl LoadDecisions for Elements {
    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        let width = (tensor.dtype.bits() / 8).max(1) as usize;
        let mut changed = Vec::with_capacity(bytes.len());
        for element in bytes.chunks(width) {
            let mut wide = [0; 8];
            wide[..element.len()].copy_from_slice(element);
            let bits = (self.0)(tensor.dtype, u64::from_le_bytes(wide));
            changed.extend_from_slice(&bits.to_le_bytes()[..element.len()]);
        }
        let mut widened = Vec::new();
        scratch.extend_from_slice(Honest.convert(tensor, kept, &changed, &mut widened));
        scratch
    }
}

/// The form of a floating-point type: bits of the sign, of the exponent and of the fraction.
struct Form {
    sign: u64,
    exponent: u64,
    fraction: u64,
}

impl Form {
    fn of(dtype: DType) -> Option<Form> {
        let (sign, exponent, fraction) = match dtype {
            DType::F16 => (0x8000, 0x7c00, 0x03ff),
            DType::BF16 => (0x8000, 0x7f80, 0x007f),
            DType::F32 => (0x8000_0000, 0x7f80_0000, 0x007f_ffff),
            _ => return None,
        };
        Some(Form { sign, exponent, fraction })
    }

    fn is_nan(&self, bits: u64) -> bool {
        bits & self.exponent == self.exponent && bits & self.fraction != 0
    }

    /// The highest bit of the fraction, which a quiet NaN has.
    fn quiet(&self) -> u64 {
        self.fraction.div_ceil(2)
    }
}

fn unsigned_zero(dtype: DType, bits: u64) -> u64 {
    match Form::of(dtype) {
        Some(form) if bits == form.sign => 0,
        _ => bits,
    }
}

fn quieted(dtype: DType, bits: u64) -> u64 {
    match Form::of(dtype) {
        Some(form) if form.is_nan(bits) => bits | form.quiet(),
        _ => bits,
    }
}

fn one_nan(dtype: DType, bits: u64) -> u64 {
    match Form::of(dtype) {
        Some(form) if form.is_nan(bits) => form.exponent | form.quiet(),
        _ => bits,
    }
}

fn flushed_halves(dtype: DType, bits: u64) -> u64 {
    match Form::of(dtype) {
        Some(form) if dtype != DType::F32 && bits & form.exponent == 0 => bits & form.sign,
        _ => bits,
    }
}

fn clamped(dtype: DType, bits: u64) -> u64 {
    match Form::of(dtype) {
        Some(form) if bits & !form.sign == form.exponent => bits - 1,
        _ => bits,
    }
}
