//! The one load path.
//!
//! Order: device, open, header, reserve, then one pass over the data in which every chunk is hashed
//! and every tensor's part of it scanned, converted and placed; then the verdicts, in this order:
//! file unchanged, digest, gates. The data is read once, in chunks, into memory that only this
//! path sees, so the bytes that were hashed and judged are those that lie in the model, and no more
//! than a chunk and the staging ring is held beside the model itself. Any failure drops the model's
//! memory before it is reported.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::contract::reply::{GateReport, TensorEntry, Transfer};
use crate::contract::request;
use crate::contract::{Class, Code, DType, Device, Phase};

use super::cuda::Gpus;
use super::error::{LoadError, Result};
use super::header::{self, Header, PREFIX, TensorInfo};
use super::memory::{self, ALIGNMENT, Memory};
use super::source::Source;
use super::steps::Steps;
use super::stream;
use super::widen::width;

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    /// Where the load was asked to go, and where the bytes are.
    pub asked: Device,
    /// Size of the file, in bytes.
    pub file_bytes: u64,
    /// SHA-256 of the bytes that were used.
    pub sha256: [u8; 32],
    /// The tensors, in the header's order.
    pub tensors: Vec<Held>,
    /// The header's `__metadata__`.
    pub metadata: Option<BTreeMap<String, String>>,
    /// What the gates looked at; empty without admission.
    pub gates: Vec<GateReport>,
    /// How the bytes travelled to a device.
    pub transfer: Option<Transfer>,
    /// How long the load took.
    pub duration: Duration,
    /// The bytes.
    pub memory: Memory,
}

/// A tensor of a loaded model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What the file says of it.
    pub info: TensorInfo,
    /// Its element type in memory.
    pub dtype: DType,
    /// Where it begins in the model's memory, in bytes.
    pub offset: u64,
    /// Its size in memory, in bytes.
    pub bytes: u64,
}

impl Held {
    /// The contract's form.
    pub fn entry(&self) -> TensorEntry {
        TensorEntry {
            name: self.info.name.clone(),
            stored: self.info.dtype,
            dtype: self.dtype,
            shape: self.info.shape.clone(),
            bytes: self.bytes,
        }
    }
}

impl Model {
    /// The tensor with that name.
    ///
    /// # Errors
    /// `unknown_tensor`.
    pub fn tensor(&self, name: &str) -> Result<&Held> {
        self.tensors.iter().find(|tensor| tensor.info.name == name).ok_or_else(|| {
            LoadError::refused(Phase::Request, Code::UnknownTensor, "no such tensor in the model")
                .tensor(name)
                .expected("a name that the load reported", super::error::quote(name))
        })
    }

    /// A tensor's bytes, in its element type in memory.
    ///
    /// # Errors
    /// `out_of_host_memory`, `device_fault`.
    pub fn read(&self, tensor: &Held) -> Result<Vec<u8>> {
        let mut bytes = memory::host_bytes(tensor.bytes)?;
        self.memory.read(tensor.offset, &mut bytes)?;
        Ok(bytes)
    }
}

/// Loads a file.
///
/// # Errors
/// Every refusal of the contract's `load`. Nothing stays behind but what is kept for the next load:
/// device contexts and staging rings.
pub fn load(gpus: &mut Gpus, steps: &dyn Steps, request: &request::Load) -> Result<Model> {
    load_file(gpus, steps, request).map_err(|error| match error.phase() {
        // Nothing is wrong with the file, and it was not looked at.
        Phase::Preflight => error,
        _ => error.path(&request.path),
    })
}

fn load_file(gpus: &mut Gpus, steps: &dyn Steps, request: &request::Load) -> Result<Model> {
    let start = Instant::now();
    let asked_digest = request.expect_sha256.as_deref().map(parse_digest).transpose()?;
    let opened = match request.device {
        Device::Cpu => Ok(()),
        Device::Cuda(ordinal) => gpus.context(ordinal).map(drop),
    };
    let device = steps.device(request.device, opened)?;
    let opened = Source::open(&request.path)?;
    let mut source = steps.source(opened)?;
    let mut hasher = Sha256::new();
    let (header, data_bytes) = read_header(&mut source, steps, &mut hasher)?;
    let (tensors, total) = plan(steps, &header, request.keep)?;
    let mut sink = memory::reserve(gpus, device, total)?;
    let scans = stream::run(
        stream::Job { source: &mut source, data_bytes, tensors: &tensors, scan: request.admit },
        stream::Consumers { hasher: &mut hasher, steps, device, sink: &mut *sink },
    )?;
    steps.unchanged(&source)?;
    let sha256 = steps.digest(&request.path, hasher.finalize().into());
    if let Some(asked) = asked_digest
        && !steps.digests_match(&asked, &sha256)
    {
        return Err(LoadError::refused(Phase::Verify, Code::ChecksumMismatch, "SHA-256 differs")
            .expected(hex(&asked), hex(&sha256))
            .remedy("download the file again, or correct the digest asked for"));
    }
    let gates = if request.admit {
        let pairs: Vec<_> = tensors.iter().map(|tensor| &tensor.info).zip(&scans).collect();
        steps.admit(&pairs)?
    } else {
        Vec::new()
    };
    let (memory, transfer) = sink.finish()?;
    Ok(Model {
        asked: request.device,
        file_bytes: source.bytes(),
        sha256,
        tensors,
        metadata: header.metadata,
        gates,
        transfer,
        duration: start.elapsed(),
        memory,
    })
}

/// Reads and checks everything before the data; returns the data's size, too.
fn read_header(
    source: &mut Source,
    steps: &dyn Steps,
    hasher: &mut Sha256,
) -> Result<(Header, u64)> {
    let length = header::text_length(source.head(), source.bytes())?;
    let data_bytes = source.bytes() - PREFIX - length;
    let mut text = memory::host_bytes(length)?;
    let mut prefix = [0; PREFIX as usize];
    source.read(&mut prefix)?;
    source.read(&mut text)?;
    hasher.update(prefix);
    hasher.update(&text);
    let header = steps.header(&text)?;
    steps.layout(&header, data_bytes)?;
    header::layout::check_held(&header)?;
    Ok((header, data_bytes))
}

/// Gives every tensor its place, in the order of their bytes in the file.
fn plan(steps: &dyn Steps, header: &Header, keep: request::Keep) -> Result<(Vec<Held>, u64)> {
    let too_large = || LoadError::out_of_host_memory(u64::MAX, u64::MAX);
    let mut tensors = Vec::with_capacity(header.tensors.len());
    for info in &header.tensors {
        let dtype = steps.kept(info, keep);
        let width = width(dtype).ok_or_else(|| LoadError::internal("kept dtype without width"))?;
        let bytes = info.elements().and_then(|count| count.checked_mul(width));
        let bytes = bytes.ok_or_else(too_large)?;
        tensors.push(Held { info: info.clone(), dtype, offset: 0, bytes });
    }
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|index| tensors[*index].info.begin);
    let mut total = 0u64;
    for index in order {
        let tensor = &mut tensors[index];
        if tensor.bytes == 0 {
            continue;
        }
        tensor.offset = total.checked_next_multiple_of(ALIGNMENT).ok_or_else(too_large)?;
        total = tensor.offset.checked_add(tensor.bytes).ok_or_else(too_large)?;
    }
    Ok((tensors, total))
}

/// Hashes a file as it is, in the way that a load does.
///
/// # Errors
/// Those of opening and reading.
pub fn hash_file(path: &Path) -> Result<[u8; 32]> {
    let mut source = Source::open(path)?;
    let mut hasher = Sha256::new();
    stream::chunks(&mut source, |_, chunk| {
        hasher.update(&chunk[..]);
        Ok(())
    })?;
    source.unchanged()?;
    Ok(hasher.finalize().into())
}

/// A digest as 64 lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse_digest(text: &str) -> Result<[u8; 32]> {
    let wrong = || {
        LoadError::new(
            Class::Refused,
            Phase::Request,
            Code::InvalidRequest,
            "expect_sha256 is no SHA-256",
        )
        .expected("64 lower-case hex digits", super::error::quote(text))
        .remedy("give the digest as sha256sum prints it")
    };
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(wrong());
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.as_chunks::<2>().0) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(digest)
}

#[cfg(test)]
pub(in crate::loader) mod tests;
