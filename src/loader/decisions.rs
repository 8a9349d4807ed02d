//! The decisions of the load path, each replaceable.
//!
//! A loader can lie only where it decides something: what a checksum is, whether a header is
//! acceptable, which bytes go where. Each such point is one method of [`LoadDecisions`], whose default is
//! the honest one, so [`Honest`] is empty. A deliberately broken loader overrides one or two
//! methods and leaves the path itself alone; no broken behaviour lives in this house.

use std::ops::Range;
use std::path::Path;

use crate::contract::generation::{Prompt, Sampling};
use crate::contract::inference::{Batch, State};
use crate::contract::plan::{LoadTimes, MemoryPlan, Residency};
use crate::contract::reply::{DeviceInfo, Gate, GateReport};
use crate::contract::request::{DeviceQuery, DtypePolicy, Format};
use crate::contract::{DType, Device};

use super::error::{LoadError, Result};
use super::format::ImportedModel;
use super::format::blocks::Packing;
use super::format::safetensors;
use super::format::safetensors::{Header, TensorInfo};
use super::format::widen;
use super::gates;
use super::gates::Scan;
use super::infer::{RunnableModel, Search};
use super::memory::Memory;
use super::memory::layout::Layout;
use super::memory::sink::Sink;
use super::read::file::OpenFile;

/// What the load path asks before it does anything that a claim rests on.
///
/// Calls come in the order of the methods; where a model has several files, several threads call at
/// once. Errors returned here fail the request; everything that was reserved is freed.
pub trait LoadDecisions: Send + Sync {
    /// What is told of a device. `found` is the driver's answer, checked against the query's profile.
    ///
    /// # Errors
    /// Those of `found`.
    fn device_info(&self, _query: &DeviceQuery, found: Result<DeviceInfo>) -> Result<DeviceInfo> {
        found
    }

    /// Which device a load really goes to. `opened` says whether the one asked for could be opened.
    ///
    /// # Errors
    /// Those of `opened`: no other device takes its place.
    fn device(&self, asked: Device, opened: Result<()>) -> Result<Device> {
        opened.map(|()| asked)
    }

    /// Which device the answer names.
    fn claimed_device(&self, _asked: Device, real: Device) -> Device {
        real
    }

    /// The file to read, given the file as opened. Nothing of it but its head has been read. What
    /// is returned is hashed and used in one pass.
    ///
    /// # Errors
    /// Those of opening, where a decision opens another.
    fn source(&self, opened: OpenFile) -> Result<OpenFile> {
        Ok(opened)
    }

    /// Reads the header's text.
    ///
    /// # Errors
    /// The `invalid_header` family.
    fn header(&self, text: &[u8]) -> Result<Header> {
        safetensors::parse(text)
    }

    /// The format that a file is read as, given the one that was asked for.
    fn format(&self, asked: Format, _path: &Path) -> Format {
        asked
    }

    /// What a file of another format than safetensors holds, given what its reader found.
    fn imported_model(&self, _format: Format, read: ImportedModel) -> ImportedModel {
        read
    }

    /// Appends the elements of whole blocks as little-endian F32.
    fn unpack(&self, packing: Packing, blocks: &[u8], out: &mut Vec<u8>) {
        packing.unpack(blocks, out);
    }

    /// Finds a model's parts among its tensors, all headers read and nothing else. `documents` is what
    /// the weights' own file says, where its format has words for that.
    ///
    /// # Errors
    /// `invalid_config`, `unknown_architecture`, `incomplete_model`, `shape_mismatch`,
    /// `invalid_tokenizer`, `invalid_template`; `invalid_request` for a configuration that is
    /// missing, or told twice.
    fn model(&self, search: &Search) -> Result<RunnableModel> {
        search.find()
    }

    /// The tensors that are told to be unused.
    fn unused(&self, found: Vec<String>) -> Vec<String> {
        found
    }

    /// Where a decoder's weights are to be, given where there is room for them.
    fn residency(&self, fits: Residency) -> Residency {
        fits
    }

    /// What comes for each layer of a decoder that is streamed, given what it needs.
    fn streamed(&self, _model: &mut RunnableModel, needed: Layout) -> Layout {
        needed
    }

    /// The plan that is told.
    fn plan(&self, made: MemoryPlan) -> MemoryPlan {
        made
    }

    /// The times that are told.
    fn times(&self, taken: LoadTimes) -> LoadTimes {
        taken
    }

    /// Checks the header against `data_bytes` bytes of data.
    ///
    /// # Errors
    /// The `invalid_layout` family.
    fn layout(&self, header: &Header, data_bytes: u64) -> Result<()> {
        safetensors::layout::check(header, data_bytes)
    }

    /// The element type that a tensor has in memory.
    fn kept(&self, tensor: &TensorInfo, keep: DtypePolicy) -> DType {
        match (keep, tensor.dtype) {
            (DtypePolicy::F32, DType::F16 | DType::BF16) => DType::F32,
            (_, stored) => stored,
        }
    }

    /// Which bytes of the data are the tensor's, counted from the data's start. Bytes past the end
    /// of the file, and any that are missing from the range, are left zero.
    fn span(&self, tensor: &TensorInfo) -> Range<u64> {
        tensor.begin..tensor.end
    }

    /// Turns stored elements into kept ones. `scratch` is empty and may be used for the result.
    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        if kept == tensor.dtype {
            return bytes;
        }
        widen::widen(tensor.dtype, bytes, scratch);
        scratch
    }

    /// Puts kept elements of `tensor` at `offset` of the model's memory on `device`.
    ///
    /// # Errors
    /// Those of [`Sink::put`].
    fn place(
        &self,
        _device: Device,
        _tensor: &TensorInfo,
        sink: &mut dyn Sink,
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        sink.put(offset, bytes)
    }

    /// Checks, after the last byte was read, that the file is still the one that was opened.
    ///
    /// # Errors
    /// `file_changed`.
    fn unchanged(&self, source: &OpenFile) -> Result<()> {
        source.unchanged()
    }

    /// The SHA-256 to report, and to compare with the one asked for, given that of the bytes used.
    fn digest(&self, _path: &Path, used: [u8; 32]) -> [u8; 32] {
        used
    }

    /// Whether a digest is the one asked for.
    fn digests_match(&self, asked: &[u8; 32], actual: &[u8; 32]) -> bool {
        asked == actual
    }

    /// Whether a sealed part is what was found: of the seal itself, a header, or a chunk.
    fn sealed_matches(&self, _part: Part, sealed: &[u8; 32], found: &[u8; 32]) -> bool {
        sealed == found
    }

    /// Whether bytes are hashed at all.
    fn hashes(&self) -> bool {
        true
    }

    /// Runs all gates over all tensors, in the header's order.
    ///
    /// # Errors
    /// The `gate_failed` family.
    fn admit(&self, tensors: &[(&TensorInfo, &Scan)]) -> Result<Vec<GateReport>> {
        gates::run(tensors.iter().copied(), |gate, tensor, scan| self.judge(gate, tensor, scan))
    }

    /// Judges one tensor by one gate that looks at its kind.
    ///
    /// # Errors
    /// The gate's code.
    fn judge(&self, gate: Gate, tensor: &TensorInfo, scan: &Scan) -> Result<()> {
        gates::judge(gate, tensor, scan)
    }

    /// Hands the model over, everything verified.
    ///
    /// # Errors
    /// None of the honest loader's.
    fn settle(&self, _memory: &Memory) -> Result<()> {
        Ok(())
    }

    /// What becomes of a shard that cannot be opened.
    ///
    /// # Errors
    /// Why it cannot.
    fn shard_missing(&self, error: LoadError) -> Result<()> {
        Err(error)
    }

    /// What becomes of an index that its shards contradict.
    ///
    /// # Errors
    /// Those of `checked`.
    fn index(&self, checked: Result<()>) -> Result<()> {
        checked
    }

    /// What a model is run on, given what was asked for.
    fn input(&self, batch: Batch) -> Batch {
        batch
    }

    /// What a model is to go on from, given what was asked for.
    ///
    /// # Errors
    /// None of the honest loader's.
    fn prompt(&self, _model: &RunnableModel, asked: Prompt) -> Result<Prompt> {
        Ok(asked)
    }

    /// The tokens that end a sequence, given the model's.
    fn ends(&self, ends: &[u32]) -> Vec<u32> {
        ends.to_vec()
    }

    /// How tokens are chosen, given what was asked for.
    fn sampling(&self, asked: Sampling) -> Sampling {
        asked
    }

    /// Whether keys and values of tokens that ran are kept.
    fn caches(&self) -> bool {
        true
    }

    /// The prompt that the answer names, given the one that the model was given.
    fn told(&self, _asked: &Prompt, given: Vec<u32>) -> Vec<u32> {
        given
    }

    /// What is answered as the output of a batch, given what the model gave. `handle` names the
    /// model.
    fn output(&self, _handle: u64, _batch: &Batch, given: State) -> State {
        given
    }

    /// What is validated against a golden reference, given what the model gave.
    fn validated(&self, given: Vec<f32>, _golden: &[f32]) -> Vec<f32> {
        given
    }

    /// The device pointer to report for a model's block, given the real one.
    fn pointer(&self, _handle: u64, real: u64) -> u64 {
        real
    }

    /// Lets a model's memory go.
    fn release(&self, memory: Memory) {
        drop(memory);
    }
}

/// A part of what is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The seal's own file, against its pin.
    Seal,
    /// A file's header, length prefix included.
    Header,
    /// A chunk of a file's data, by its number.
    Chunk(u64),
}

/// The reference: every default as it stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Honest;

impl LoadDecisions for Honest {}
