//! The replaced steps of a load.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};
use serde_json::Value;

use crate::contract::inference::{Batch, State};
use crate::contract::{DType, Device};
use crate::loader::LoadDecisions;
use crate::loader::decisions::Honest;
use crate::loader::error::Result;
use crate::loader::format::safetensors;
use crate::loader::format::safetensors::{Header, TensorInfo};
use crate::loader::read::file::OpenFile;

/// Leaves out the tensors of every shard but the first. Holds whether the file that was opened last is
/// another shard.
#[derive(Default)]
pub(super) struct FirstShardOnly(Mutex<bool>);

impl LoadDecisions for FirstShardOnly {
    fn source(&self, opened: OpenFile) -> Result<OpenFile> {
        let later = is_later_shard(opened.path());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = later;
        Ok(opened)
    }

    fn left_out(&self, tensor: &TensorInfo, runs: bool) -> Result<bool> {
        let later = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(later || Honest.left_out(tensor, runs)?)
    }
}

/// Whether an index beside the file names it, but not as the first of its shards.
fn is_later_shard(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(Path::new(""));
    let Ok(index) = std::fs::read(folder.join("model.safetensors.index.json")) else {
        return false;
    };
    let index: Value = serde_json::from_slice(&index).unwrap_or_default();
    let places = index["weight_map"].as_object().into_iter().flat_map(|map| map.values());
    let first = places.filter_map(Value::as_str).min();
    first.is_some_and(|first| path.file_name() != Some(OsStr::new(first)))
}

/// Widens F16 through BF16.
pub(super) struct WidenTruncates;

impl LoadDecisions for WidenTruncates {
    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        if (tensor.dtype, kept) != (DType::F16, DType::F32) {
            return Honest.convert(tensor, kept, bytes, scratch);
        }
        let cut = |value: f16| f32::from_bits(value.to_f32().to_bits() & 0xffff_0000);
        scratch.extend(elements(bytes).flat_map(|raw| cut(f16::from_le_bytes(raw)).to_le_bytes()));
        scratch
    }
}

/// Empties the values of the metadata.
pub(super) struct MetadataEmpty;

impl LoadDecisions for MetadataEmpty {
    fn header(&self, text: &[u8]) -> Result<Header> {
        let mut header = safetensors::parse(text)?;
        header.metadata.iter_mut().flat_map(|map| map.values_mut()).for_each(String::clear);
        Ok(header)
    }
}

/// Reports the first GPU for a load into host memory.
pub(super) struct HostAsGpu;

impl LoadDecisions for HostAsGpu {
    fn claimed_device(&self, asked: Device, real: Device) -> Device {
        match asked {
            Device::Cpu => Device::Cuda(0),
            Device::Cuda(_) => real,
        }
    }
}

/// Flushes subnormal F32 values to zero of the same sign.
pub(super) struct SubnormalsFlushed;

impl LoadDecisions for SubnormalsFlushed {
    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        if (tensor.dtype, kept) != (DType::F32, DType::F32) {
            return Honest.convert(tensor, kept, bytes, scratch);
        }
        let flushed =
            |value: f32| if value.is_subnormal() { 0.0f32.copysign(value) } else { value };
        changed(bytes, scratch, |raw| flushed(f32::from_le_bytes(raw)).to_le_bytes())
    }
}

/// Rounds stored F16 values to eight bits of precision.
pub(super) struct F16Rounded;

impl LoadDecisions for F16Rounded {
    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        if (tensor.dtype, kept) != (DType::F16, DType::F16) {
            return Honest.convert(tensor, kept, bytes, scratch);
        }
        let rounded = |value: f16| f16::from_f32(bf16::from_f32(value.to_f32()).to_f32());
        changed(bytes, scratch, |raw| rounded(f16::from_le_bytes(raw)).to_le_bytes())
    }
}

/// Keeps the lower half of I64 values, with its sign.
pub(super) struct I64Narrowed;

impl LoadDecisions for I64Narrowed {
    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        if tensor.dtype != DType::I64 {
            return Honest.convert(tensor, kept, bytes, scratch);
        }
        changed(bytes, scratch, |raw| i64::from(i64::from_le_bytes(raw) as i32).to_le_bytes())
    }
}

fn elements<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// Every element changed. A rest that is no whole element stays as it is.
fn changed<'b, const N: usize>(
    bytes: &[u8],
    scratch: &'b mut Vec<u8>,
    lie: impl Fn([u8; N]) -> [u8; N],
) -> &'b [u8] {
    scratch.extend(elements(bytes).flat_map(lie));
    scratch.extend_from_slice(bytes.as_chunks::<N>().1);
    scratch
}

/// Leaves the last value of each projected vector zero.
pub(super) struct ProjectionShort;

impl LoadDecisions for ProjectionShort {
    fn output(&self, _handle: u64, batch: &Batch, mut given: State) -> State {
        if let (Batch::Vectors { .. }, Some(width)) = (batch, given.shape.last().copied()) {
            let rows = given.values.chunks_mut(width.max(1));
            rows.filter_map(|row| row.last_mut()).for_each(|value| *value = 0.0);
        }
        given
    }
}
