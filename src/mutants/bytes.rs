//! Mutants that change tensor bytes: not copied, misread, or converted without being asked.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use half::{bf16, f16};

use crate::contract::request::DtypePolicy;
use crate::contract::{DType, Device};
use crate::loader::LoadDecisions;
use crate::loader::decisions::Honest;
use crate::loader::error::Result;
use crate::loader::format::safetensors;
use crate::loader::format::safetensors::{Header, PREFIX, TensorInfo};
use crate::loader::format::widen;
use crate::loader::memory::sink::Sink;

/// Allocates the memory, but copies nothing.
pub struct NeverMoved;

impl LoadDecisions for NeverMoved {
    fn place(
        &self,
        _device: Device,
        _tensor: &TensorInfo,
        _sink: &mut dyn Sink,
        _offset: u64,
        _bytes: &[u8],
    ) -> Result<()> {
        Ok(())
    }
}

/// Reads BF16 bits as F16 bits, whether the tensor is widened or kept as stored.
pub struct Bf16AsF16;

impl LoadDecisions for Bf16AsF16 {
    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        match (tensor.dtype, kept) {
            (DType::BF16, DType::F32) => {
                widen::widen(DType::F16, bytes, scratch);
                scratch
            }
            // Convert the misread value through F32 back to BF16, the dtype in the tensor table.
            (DType::BF16, _) => {
                scratch.extend(
                    halves(bytes).flat_map(|bits| {
                        bf16::from_f32(f16::from_bits(bits).to_f32()).to_le_bytes()
                    }),
                );
                scratch
            }
            _ => Honest.convert(tensor, kept, bytes, scratch),
        }
    }
}

/// Gives F16 subnormals an implicit leading one.
pub struct F16Subnormal;

impl LoadDecisions for F16Subnormal {
    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        if tensor.dtype != DType::F16 || kept != DType::F32 {
            return Honest.convert(tensor, kept, bytes, scratch);
        }
        scratch.extend(halves(bytes).flat_map(|bits| {
            let (exponent, fraction) = (bits >> 10 & 0x1f, u32::from(bits & 0x3ff));
            if exponent == 0 && fraction != 0 {
                let sign = u32::from(bits & 0x8000) << 16;
                (sign | (127 - 15) << 23 | fraction << 13).to_le_bytes()
            } else {
                f16::from_bits(bits).to_f32().to_le_bytes()
            }
        }));
        scratch
    }
}

/// Narrows BF16 to F16.
pub struct Bf16ToF16;

impl LoadDecisions for Bf16ToF16 {
    fn kept(&self, tensor: &TensorInfo, keep: DtypePolicy) -> DType {
        match tensor.dtype {
            DType::BF16 if keep == DtypePolicy::Stored => DType::F16,
            _ => Honest.kept(tensor, keep),
        }
    }

    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        if (tensor.dtype, kept) != (DType::BF16, DType::F16) {
            return Honest.convert(tensor, kept, bytes, scratch);
        }
        scratch.extend(
            halves(bytes)
                .flat_map(|bits| f16::from_f32(bf16::from_bits(bits).to_f32()).to_le_bytes()),
        );
        scratch
    }
}

/// Stores F16 and BF16 as F32 without being asked.
pub struct Widened;

impl LoadDecisions for Widened {
    fn kept(&self, tensor: &TensorInfo, _keep: DtypePolicy) -> DType {
        Honest.kept(tensor, DtypePolicy::F32)
    }
}

/// Converts F16 and BF16 tensors to zeros.
pub struct HalfZeros;

impl LoadDecisions for HalfZeros {
    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        if !matches!(tensor.dtype, DType::F16 | DType::BF16) {
            return Honest.convert(tensor, kept, bytes, scratch);
        }
        scratch.resize(bytes.len() / 2 * (kept.bits() / 8) as usize, 0);
        scratch
    }
}

/// Reads a tensor whose file offset is not a multiple of its element size from the next multiple.
#[derive(Default)]
pub struct Shifted {
    data_begin: AtomicU64,
}

impl LoadDecisions for Shifted {
    fn header(&self, text: &[u8]) -> Result<Header> {
        self.data_begin.store(PREFIX + text.len() as u64, Relaxed);
        safetensors::parse(text)
    }

    fn span(&self, tensor: &TensorInfo) -> Range<u64> {
        let width = tensor.dtype.bits() / 8;
        let begin = self.data_begin.load(Relaxed) + tensor.begin;
        let shift = begin.next_multiple_of(width) - begin;
        tensor.begin + shift..tensor.end + shift
    }
}

fn halves(bytes: &[u8]) -> impl Iterator<Item = u16> + '_ {
    bytes.as_chunks::<2>().0.iter().map(|two| u16::from_le_bytes(*two))
}

/// Transposes square matrices, so that every shape still matches.
pub struct Transposed;

impl LoadDecisions for Transposed {
    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        let width = (tensor.dtype.bits() / 8) as usize;
        match tensor.shape.as_slice() {
            &[rows, columns] if rows == columns && bytes.len() as u64 == tensor.bytes() => {
                let side = rows as usize;
                for at in 0..side * side {
                    let from = (at % side * side + at / side) * width;
                    scratch.extend_from_slice(&bytes[from..from + width]);
                }
                scratch
            }
            _ => Honest.convert(tensor, kept, bytes, scratch),
        }
    }
}
