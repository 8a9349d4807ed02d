//! The replaced steps of the mutants of this folder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};

use crate::contract::reply::Reply;
use crate::contract::request::{Request, Unload};
use crate::contract::{DType, Device, Loader};
use crate::loader::decisions::Honest;
use crate::loader::error::Result;
use crate::loader::format::safetensors;
use crate::loader::format::safetensors::{Header, TensorInfo};
use crate::loader::format::widen;
use crate::loader::memory::sink::Sink;
use crate::loader::read::file::OpenFile;
use crate::loader::{LoadDecisions, ReferenceLoader};
use crate::mutants::between::{Answer, Between};

/// Changes a header after it is parsed.
pub(super) struct Headers(pub(super) fn(&mut Header));

impl LoadDecisions for Headers {
    fn header(&self, text: &[u8]) -> Result<Header> {
        let mut header = safetensors::parse(text)?;
        (self.0)(&mut header);
        Ok(header)
    }
}

pub(super) fn first_type(header: &mut Header) {
    let mut first: BTreeMap<u64, DType> = BTreeMap::new();
    for tensor in &mut header.tensors {
        tensor.dtype = *first.entry(tensor.dtype.bits()).or_insert(tensor.dtype);
    }
}

pub(super) fn empty_dropped(header: &mut Header) {
    header.tensors.retain(|tensor| tensor.bytes() > 0);
}

pub(super) fn scalars_as_vectors(header: &mut Header) {
    let scalars = header.tensors.iter_mut().filter(|tensor| tensor.shape.is_empty());
    scalars.for_each(|tensor| tensor.shape.push(1));
}

pub(super) fn metadata_dropped(header: &mut Header) {
    header.metadata = None;
}

pub(super) fn metadata_made_up(header: &mut Header) {
    let usual = || BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    header.metadata.get_or_insert_with(usual);
}

/// Longer names are cut, in characters.
const LONGEST_NAME: usize = 64;

pub(super) fn names_cleaned(header: &mut Header) {
    let plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '.' | '_');
    for tensor in &mut header.tensors {
        let name = tensor.name.to_ascii_lowercase();
        let name = name.trim_start_matches('_').chars().filter(|one| plain(*one));
        tensor.name = name.take(LONGEST_NAME).collect();
        if tensor.name.is_empty() {
            tensor.name = "tensor".to_owned();
        }
    }
}

pub(super) fn dims_joined(header: &mut Header) {
    for tensor in &mut header.tensors {
        tensor.shape.retain(|side| *side != 1);
        if let [others @ .., last] = tensor.shape.as_slice()
            && others.len() > 1
        {
            tensor.shape = vec![others.iter().product(), *last];
        }
    }
}

pub(super) fn sides_swapped(header: &mut Header) {
    header.tensors.iter_mut().filter(|tensor| tensor.shape.len() == 2).for_each(|tensor| {
        tensor.shape.reverse();
    });
}

/// Leaves the last tensor of shard `N-of-N` unwritten. Holds its name while that shard loads.
#[derive(Default)]
pub(super) struct LastOfLastShard {
    opened_last: Mutex<bool>,
    name: Mutex<Option<String>>,
}

impl LoadDecisions for LastOfLastShard {
    fn source(&self, opened: OpenFile) -> Result<OpenFile> {
        let name = opened.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let last = name.rsplit_once("-of-").is_some_and(|(rest, count)| rest.ends_with(count));
        *self.opened_last.lock().unwrap_or_else(PoisonError::into_inner) = last;
        Ok(opened)
    }

    fn header(&self, text: &[u8]) -> Result<Header> {
        let header = safetensors::parse(text)?;
        let last = *self.opened_last.lock().unwrap_or_else(PoisonError::into_inner);
        let tensor = header.tensors.iter().max_by_key(|tensor| tensor.end).filter(|_| last);
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) =
            tensor.map(|tensor| tensor.name.clone());
        Ok(header)
    }

    fn place(
        &self,
        _device: Device,
        tensor: &TensorInfo,
        sink: &mut dyn Sink,
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        let name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        match name.as_ref() == Some(&tensor.name) {
            true => Ok(()),
            false => sink.put(offset, bytes),
        }
    }
}

pub(super) struct IndexUnchecked;

impl LoadDecisions for IndexUnchecked {
    fn index(&self, _checked: Result<()>) -> Result<()> {
        Ok(())
    }
}

pub(super) struct Bf16Swapped;

impl LoadDecisions for Bf16Swapped {
    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        if tensor.dtype != DType::BF16 {
            return Honest.convert(tensor, kept, bytes, scratch);
        }
        let swapped: Vec<u8> =
            bytes.as_chunks::<2>().0.iter().flat_map(|[low, high]| [*high, *low]).collect();
        match kept {
            DType::F32 => widen::widen(DType::BF16, &swapped, scratch),
            _ => scratch.extend(swapped),
        }
        scratch
    }
}

/// Reads pairs of elements as F32, which fills half of the tensor; the rest is zero.
pub(super) struct Bf16AsF32;

impl LoadDecisions for Bf16AsF32 {
    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        if tensor.dtype != DType::BF16 {
            return Honest.convert(tensor, kept, bytes, scratch);
        }
        let pairs = bytes.as_chunks::<4>().0;
        match kept {
            DType::F32 => scratch.extend_from_slice(pairs.as_flattened()),
            _ => {
                let rounded = pairs.iter().map(|raw| bf16::from_f32(f32::from_le_bytes(*raw)));
                scratch.extend(rounded.flat_map(bf16::to_le_bytes));
            }
        }
        scratch.resize(bytes.len() / 2 * (kept.bits() / 8) as usize, 0);
        scratch
    }
}

pub(super) struct TailDropped;

impl LoadDecisions for TailDropped {
    fn place(
        &self,
        _device: Device,
        _tensor: &TensorInfo,
        sink: &mut dyn Sink,
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        sink.put(offset, &bytes[..bytes.len() / 16 * 16])
    }
}

pub(super) struct NansScrubbed;

impl LoadDecisions for NansScrubbed {
    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        let mut all = Vec::new();
        all.extend_from_slice(Honest.convert(tensor, kept, bytes, scratch));
        match kept {
            DType::F32 => scrub(&mut all, |raw| f32::from_le_bytes(raw).is_finite()),
            DType::F16 => scrub(&mut all, |raw| f16::from_le_bytes(raw).is_finite()),
            DType::BF16 => scrub(&mut all, |raw| bf16::from_le_bytes(raw).is_finite()),
            _ => {}
        }
        *scratch = all;
        scratch
    }
}

fn scrub<const N: usize>(bytes: &mut [u8], is_finite: impl Fn([u8; N]) -> bool) {
    let elements = bytes.as_chunks_mut::<N>().0.iter_mut();
    elements.filter(|raw| !is_finite(**raw)).for_each(|raw| raw.fill(0));
}

/// Largest piece that is cached, in bytes.
const MOST: usize = 1 << 20;

/// The first bytes placed, by tensor name, shape and offset in the model.
type Pieces = BTreeMap<(String, Vec<u64>, u64), Vec<u8>>;

#[derive(Default)]
pub(super) struct FirstByName(Mutex<Pieces>);

impl LoadDecisions for FirstByName {
    fn place(
        &self,
        _device: Device,
        tensor: &TensorInfo,
        sink: &mut dyn Sink,
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        if bytes.len() > MOST {
            return sink.put(offset, bytes);
        }
        let mut pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tensor.name.clone(), tensor.shape.clone(), offset);
        let first = pieces.entry(key).or_insert_with(|| bytes.to_vec());
        sink.put(offset, if first.len() == bytes.len() { first } else { bytes })
    }
}

/// The handles of the loaded models.
#[derive(Default)]
pub(super) struct WrongOneFreed(BTreeSet<u64>);

impl Between for WrongOneFreed {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        if let Request::Unload(Unload { handle }) = &request
            && self.0.contains(handle)
            && let Some(handle) = self.0.pop_first()
        {
            return loader.answer(Request::Unload(Unload { handle }));
        }
        let reply = loader.answer(request)?;
        if let Reply::Load(loaded) = &reply {
            self.0.insert(loaded.handle);
        }
        Ok(reply)
    }
}
