//! The decisions of the load path, each replaceable.
//!
//! A loader can lie only where it decides something: what a checksum is, whether a header is
//! acceptable, which bytes go where. Each such decision is one method of [`LoadDecisions`] with an
//! honest default, so [`Honest`] is empty. A deliberately broken loader overrides one or two
//! methods and does not change the path. `src/loader` contains no broken behaviour.

use std::ops::Range;
use std::path::Path;

use crate::contract::generation::{Prompt, Sampling};
use crate::contract::inference::{Batch, State, Traced};
use crate::contract::parallel::RankPart;
use crate::contract::plan::{LoadTimes, MemoryPlan, Residency};
use crate::contract::reply::{DeviceInfo, Gate, GateReport};
use crate::contract::request::{DeviceQuery, DtypePolicy, Format};
use crate::contract::{DType, Device};

use super::error::{LoadError, Result};
use super::format::ImportedModel;
use super::format::blocks::Packing;
use super::format::buffers;
use super::format::safetensors;
use super::format::safetensors::{Header, TensorInfo};
use super::format::tensor::PlacedTensor;
use super::format::widen;
use super::gates;
use super::gates::Scan;
use super::infer::forward::ranks::{Exchange, InOrder};
use super::infer::generate::Sequence;
use super::infer::sample::{Choose, Sampler};
use super::infer::{RunnableModel, Search};
use super::memory::Memory;
use super::memory::layout::Layout;
use super::memory::sink::Sink;
use super::parallel::Divided;
use super::read::file::OpenFile;

/// The decisions that the load path and the verbs ask for.
///
/// If a model has several files, several threads may call at once. An error of a method fails the
/// request, and everything that was allocated is freed.
pub trait LoadDecisions: Send + Sync {
    /// The description of a device to report. `found` is the driver's answer, already compared with
    /// the query's profile.
    ///
    /// # Errors
    /// Those of `found`.
    fn device_info(&self, _query: &DeviceQuery, found: Result<DeviceInfo>) -> Result<DeviceInfo> {
        found
    }

    /// The device that a load really uses. `opened` says whether the requested device could be
    /// opened.
    ///
    /// # Errors
    /// Those of `opened`: there is no fallback to another device.
    fn device(&self, asked: Device, opened: Result<()>) -> Result<Device> {
        opened.map(|()| asked)
    }

    /// The device to report.
    fn claimed_device(&self, _asked: Device, real: Device) -> Device {
        real
    }

    /// The file to read. Only the first bytes of `opened` have been read. The returned file is
    /// hashed and used in one pass.
    ///
    /// # Errors
    /// Those of opening another file.
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

    /// The format to read a file as.
    fn format(&self, asked: Format, _path: &Path) -> Format {
        asked
    }

    /// The content of a file of another format than safetensors. `read` is what its reader found.
    fn imported_model(&self, _format: Format, read: ImportedModel) -> ImportedModel {
        read
    }

    /// Appends the elements of whole blocks as little-endian F32.
    fn unpack(&self, packing: Packing, blocks: &[u8], out: &mut Vec<u8>) {
        packing.unpack(blocks, out);
    }

    /// Finds a model's parts among its tensors. Only headers have been read. `documents` are those
    /// embedded in the weights' file, if its format has them.
    ///
    /// # Errors
    /// `invalid_config`, `unknown_architecture`, `incomplete_model`, `shape_mismatch`,
    /// `invalid_tokenizer`, `invalid_template`; `invalid_request` if no configuration is given, or
    /// two.
    fn model(&self, search: &Search) -> Result<RunnableModel> {
        search.find()
    }

    /// The names of unused tensors to report.
    fn unused(&self, found: Vec<String>) -> Vec<String> {
        found
    }

    /// Whether a decoder is loaded whole or streamed. `fits` is the mode that fits in memory.
    fn residency(&self, fits: Residency) -> Residency {
        fits
    }

    /// The layout of a streamed decoder. `needed` is the correct one.
    fn streamed(&self, _model: &mut RunnableModel, needed: Layout) -> Layout {
        needed
    }

    /// The memory plan to report.
    fn plan(&self, made: MemoryPlan) -> MemoryPlan {
        made
    }

    /// The times to report.
    fn times(&self, taken: LoadTimes) -> LoadTimes {
        taken
    }

    /// The slices that each rank holds. `tensors` are those of the files.
    fn divided(&self, made: Divided, _tensors: &[PlacedTensor]) -> Divided {
        made
    }

    /// What each rank holds, as the reply tells it.
    fn parts(&self, held: Vec<RankPart>) -> Vec<RankPart> {
        held
    }

    /// Checks the header against `data_bytes` bytes of data.
    ///
    /// # Errors
    /// The `invalid_layout` family.
    fn layout(&self, header: &Header, data_bytes: u64) -> Result<()> {
        safetensors::layout::check(header, data_bytes)
    }

    /// Whether a tensor is not loaded. `runs` says whether the model is to be run: then no buffer of
    /// an older export is needed.
    ///
    /// # Errors
    /// None of the honest loader's.
    fn left_out(&self, tensor: &TensorInfo, runs: bool) -> Result<bool> {
        Ok(runs && buffers::is_buffer(tensor))
    }

    /// The element type that a tensor has in memory.
    fn kept(&self, tensor: &TensorInfo, keep: DtypePolicy) -> DType {
        match (keep, tensor.dtype) {
            (DtypePolicy::F32, DType::F16 | DType::BF16) => DType::F32,
            (_, stored) => stored,
        }
    }

    /// The tensor's range of bytes, counted from the data's start. Bytes past the end of the file,
    /// and bytes missing from the range, stay zero.
    fn span(&self, tensor: &TensorInfo) -> Range<u64> {
        tensor.begin..tensor.end
    }

    /// Converts stored elements to the dtype in memory, `kept`. `scratch` is empty and may hold the
    /// result.
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

    /// Writes converted elements of `tensor` at `offset` into the model's memory on `device`.
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

    /// Checks that the file did not change since it was opened. Called after the last byte was
    /// read.
    ///
    /// # Errors
    /// `file_changed`.
    fn unchanged(&self, source: &OpenFile) -> Result<()> {
        source.unchanged()
    }

    /// The SHA-256 to report, and to compare with the expected one. `used` is that of the bytes
    /// used.
    fn digest(&self, _path: &Path, used: [u8; 32]) -> [u8; 32] {
        used
    }

    /// Whether a digest equals the expected one.
    fn digests_match(&self, asked: &[u8; 32], actual: &[u8; 32]) -> bool {
        asked == actual
    }

    /// Whether a digest equals the sealed one. The part is the seal itself, a header or a chunk.
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

    /// Applies one gate to one tensor of a kind that the gate checks.
    ///
    /// # Errors
    /// The gate's code.
    fn judge(&self, gate: Gate, tensor: &TensorInfo, scan: &Scan) -> Result<()> {
        gates::judge(gate, tensor, scan)
    }

    /// Called with the model's memory when everything is verified, before the load returns.
    ///
    /// # Errors
    /// None of the honest loader's.
    fn settle(&self, _memory: &Memory) -> Result<()> {
        Ok(())
    }

    /// Handles a shard that cannot be opened.
    ///
    /// # Errors
    /// The reason, `error`.
    fn shard_missing(&self, error: LoadError) -> Result<()> {
        Err(error)
    }

    /// Handles the result of comparing an index with its shards.
    ///
    /// # Errors
    /// Those of `checked`.
    fn index(&self, checked: Result<()>) -> Result<()> {
        checked
    }

    /// The batch to run a model on. `batch` is the requested one.
    fn input(&self, batch: Batch) -> Batch {
        batch
    }

    /// The result of a run. `engine` runs a batch on the device that holds the model; its states are
    /// traced if `trace` is set.
    ///
    /// # Errors
    /// Those of `engine`.
    fn compute(
        &self,
        _run: &Run<'_>,
        batch: &Batch,
        engine: &mut dyn FnMut(&Batch) -> Result<Traced>,
    ) -> Result<Traced> {
        engine(batch)
    }

    /// The sequence that a generation extends. `made` runs on the device that holds the model.
    ///
    /// # Errors
    /// None of the honest loader's.
    fn sequence<'s>(
        &self,
        _run: &Run<'s>,
        made: Box<dyn Sequence + 's>,
    ) -> Result<Box<dyn Sequence + 's>> {
        Ok(made)
    }

    /// What the ranks of a divided model do with the results of each other.
    fn exchange(&self) -> Box<dyn Exchange> {
        Box::new(InOrder)
    }

    /// What chooses the tokens of a generation.
    ///
    /// # Errors
    /// `invalid_request` for a temperature or a `top_p` out of range.
    fn chooser(&self, asked: Sampling) -> Result<Box<dyn Choose>> {
        Ok(Box::new(Sampler::new(self.sampling(asked))?))
    }

    /// The prompt to continue. `asked` is the requested one.
    ///
    /// # Errors
    /// None of the honest loader's.
    fn prompt(&self, _model: &RunnableModel, asked: Prompt) -> Result<Prompt> {
        Ok(asked)
    }

    /// The tokens that end a sequence. `ends` are the model's.
    fn ends(&self, ends: &[u32]) -> Vec<u32> {
        ends.to_vec()
    }

    /// How tokens are chosen. `asked` is the requested sampling.
    fn sampling(&self, asked: Sampling) -> Sampling {
        asked
    }

    /// Whether the KV cache is used.
    fn caches(&self) -> bool {
        true
    }

    /// The prompt that the answer names, given the one that the model was given.
    fn told(&self, _asked: &Prompt, given: Vec<u32>) -> Vec<u32> {
        given
    }

    /// The output to report for a batch. `given` is the model's output, and `handle` names the
    /// model.
    fn output(&self, _handle: u64, _batch: &Batch, given: State) -> State {
        given
    }

    /// The values to compare with a golden reference. `given` is the model's output.
    fn validated(&self, given: Vec<f32>, _golden: &[f32]) -> Vec<f32> {
        given
    }

    /// The device pointer to report for a model's memory. `real` is the real one.
    fn pointer(&self, _handle: u64, real: u64) -> u64 {
        real
    }

    /// Frees a model's memory.
    fn release(&self, memory: Memory) {
        drop(memory);
    }
}

/// A model that runs.
#[derive(Clone, Copy, Debug)]
pub struct Run<'m> {
    /// The model.
    pub runnable: &'m RunnableModel,
    /// Its weights.
    pub memory: &'m Memory,
    /// Whether the states of the run are traced.
    pub trace: bool,
}

/// A sealed part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The seal's own file, compared with its pin.
    Seal,
    /// A file's header, length prefix included.
    Header,
    /// A chunk of a file's data, by its number.
    Chunk(u64),
}

/// The honest decisions: all defaults.
#[derive(Clone, Copy, Debug, Default)]
pub struct Honest;

impl LoadDecisions for Honest {}
